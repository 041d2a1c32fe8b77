//! Connections: how many there are at once, and how long a client may take to say what it wants.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Far more than operators, probes and scrapers have, and far fewer than a process may have descriptors: Kafka's and
/// PostgreSQL's are among them.
const CONNECTIONS: usize = 512;

/// A client that has not said by then what it wants is let go, also one that only keeps its connection open.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);

/// Where no descriptor is left, others have to be let go first.
const ACCEPT_AGAIN: Duration = Duration::from_millis(500);

/// Serves until `shutdown`, and then until the requests that are under way are answered.
pub async fn serve(listener: TcpListener, routes: Router, shutdown: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    let routes = TowerToHyperService::new(routes);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let under_way = GracefulShutdown::new();
    while let Some(accepted) = shutdown.run_until_cancelled(accept(&listener, &places)).await {
        let (stream, from, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let routes = routes.clone();
        let answer = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(from));
            routes.call(request)
        });
        let connection = under_way.watch(http.serve_connection(TokioIo::new(stream), answer));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection has ended");
            }
            drop(place);
        });
    }
    drop(listener);
    under_way.shutdown().await;
}

type Accepted = (tokio::net::TcpStream, std::net::SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once there is a place for one.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> io::Result<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, from) = listener.accept().await?;
    Ok((stream, from, place))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::time::timeout;

    use super::*;

    /// Longer than anything here may take; the clock is the test's own, and goes on when nothing else does.
    const LONG: Duration = Duration::from_hours(1);

    async fn server(routes: Router) -> (TcpStream, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let shutdown = CancellationToken::new();
        (client, shutdown.clone(), tokio::spawn(serve(listener, routes, shutdown)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_come_to_the_end_of_its_headers_is_let_go() {
        for begun in ["", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
            let (mut client, _shutdown, _server) = server(Router::new()).await;
            client.write_all(begun.as_bytes()).await.unwrap();
            let mut said = Vec::new();
            let ended = timeout(LONG, client.read_to_end(&mut said)).await;
            assert!(ended.is_ok(), "the connection is still open after {begun:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_connection_is_taken_while_every_place_is_held() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let places = Arc::new(Semaphore::new(1));
        let address = listener.local_addr().unwrap();
        let _clients = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let (_, _, place) = accept(&listener, &places).await.unwrap();
        assert!(timeout(LONG, accept(&listener, &places)).await.is_err());
        drop(place);
        assert!(timeout(LONG, accept(&listener, &places)).await.is_ok());
    }

    #[tokio::test]
    async fn a_request_that_is_under_way_is_answered_after_the_shutdown_and_its_address_is_known() {
        let (begun, go_on) = (CancellationToken::new(), CancellationToken::new());
        let (at_work, told) = (begun.clone(), go_on.clone());
        let answer = move |ConnectInfo(from): ConnectInfo<std::net::SocketAddr>| async move {
            at_work.cancel();
            told.cancelled().await;
            from.to_string()
        };
        let (mut client, shutdown, server) = server(Router::new().route("/", get(answer))).await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        begun.cancelled().await;
        shutdown.cancel();
        go_on.cancel();
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert!(said.ends_with(&client.local_addr().unwrap().to_string()), "{said}");
        server.await.unwrap();
    }
}
