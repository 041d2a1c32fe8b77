//! The command line that every layer's binary has: `serve` (the default), `migrate`, `openapi`, `healthcheck`.

use std::future::Future;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use sqlx::migrate::Migrator;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use utoipa_axum::router::OpenApiRouter;

use crate::config::{RuntimeConfig, Settings};
use crate::http::{self, docs};
use crate::migrations;
use crate::version::{COMMIT, VERSION};

/// `EX_USAGE`: a setting or the command line is wrong.
const USAGE: u8 = 64;
/// What is logged where nothing else is asked for. What sqlx warns of is told by those who meet it.
const LOGGED: &str = "info,sqlx=error";

/// What a layer tells its command line.
pub trait Program {
    /// The layer's name.
    const LAYER: &'static str;
    /// Its settings.
    type Config: Send + 'static;

    /// Reads its settings; `None` where something is wrong, which `settings` then knows.
    fn read(settings: &mut Settings) -> Option<Self::Config>;
    /// The part of them that the runtime needs.
    fn runtime(config: &Self::Config) -> &RuntimeConfig;
    /// How its schema comes to be.
    fn migrations() -> &'static Migrator;
    /// Who else may read its schema, as SQL that may be run at any time.
    #[must_use]
    fn grants() -> Option<&'static str> {
        None
    }
    /// What it serves beside what every layer does.
    fn api() -> OpenApiRouter<http::State>;
    /// Serves until `shutdown`.
    fn run(
        config: Self::Config,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

#[derive(Clone, Copy)]
enum Verb {
    Serve,
    Migrate,
    Healthcheck,
}

/// What `main` calls.
#[must_use]
pub fn main<P: Program>() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = match (arguments.next().as_deref(), arguments.next()) {
        (None | Some("serve"), None) => Verb::Serve,
        (Some("migrate"), None) => Verb::Migrate,
        (Some("healthcheck"), None) => Verb::Healthcheck,
        // It needs no settings, so that a build can write it.
        (Some("openapi"), None) => return say(openapi::<P>().trim_end()),
        (Some("--version" | "-V"), None) => {
            return say(&format!("ordervault-{} {VERSION} ({COMMIT})", P::LAYER));
        }
        (Some("help" | "--help" | "-h"), None) => return say(&usage::<P>()),
        _ => {
            eprintln!("{}", usage::<P>());
            return ExitCode::from(USAGE);
        }
    };
    let mut settings = Settings::of_process();
    let config = P::read(&mut settings);
    let json = settings.or("LOG_FORMAT", true, "json or text", |text| match text {
        "json" => Some(true),
        "text" => Some(false),
        _ => None,
    });
    let takes = "levels by target, as info,ordervault_runtime=debug";
    let filter = settings.or("RUST_LOG", EnvFilter::new(LOGGED), takes, |text| EnvFilter::builder().parse(text).ok());
    let faults = settings.faults();
    let (Some(config), Some(json), Some(filter), true) = (config, json, filter, faults.is_empty()) else {
        for fault in &faults {
            eprintln!("{fault}");
        }
        return ExitCode::from(USAGE);
    };
    log_as(json, filter);
    if let Verb::Healthcheck = verb {
        return healthcheck(P::runtime(&config).http_addr);
    }
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = threads.and_then(|threads| {
        let ended = threads.block_on(async {
            match verb {
                Verb::Migrate => migrate::<P>(&config).await,
                Verb::Serve | Verb::Healthcheck => serve::<P>(config).await,
            }
        });
        // A thread that waits for a broker that does not answer must not keep the process from its end.
        threads.shutdown_timeout(Duration::from_millis(200));
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ordervault-{}: {error}", P::LAYER);
            ExitCode::FAILURE
        }
    }
}

/// The OpenAPI document of a layer, as its file in `openapi/` holds it.
#[must_use]
pub fn openapi<P: Program>() -> String {
    docs::text(&docs::document(P::LAYER, P::api()))
}

async fn serve<P: Program>(config: P::Config) -> io::Result<()> {
    let address = P::runtime(&config).http_addr;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("HTTP_ADDR: {address} cannot be listened on: {error}"))
    })?;
    let shutdown = CancellationToken::new();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let asked = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminated.recv() => {}, _ = interrupted.recv() => {} }
        tracing::info!("asked to stop");
        asked.cancel();
    });
    tracing::info!(layer = P::LAYER, %address, version = VERSION, commit = COMMIT, "serving");
    P::run(config, listener, shutdown).await?;
    tracing::info!("stopped");
    Ok(())
}

async fn migrate<P: Program>(config: &P::Config) -> io::Result<()> {
    let postgres = &P::runtime(config).postgres;
    migrations::migrate(postgres, P::LAYER, P::migrations()).await.map_err(io::Error::other)?;
    if let Some(grants) = P::grants()
        && let Err(error) = migrations::grant(postgres, P::LAYER, grants).await
    {
        println!("-- this could not be run here ({error}); have it run by a role that may:\n{}", grants.trim_end());
    }
    Ok(())
}

/// Asks `/readyz` of the service in the same container.
fn healthcheck(address: SocketAddr) -> ExitCode {
    let host = if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address };
    let ask = || -> io::Result<String> {
        let patience = Duration::from_secs(3);
        let mut connection = TcpStream::connect_timeout(&host, patience)?;
        connection.set_read_timeout(Some(patience))?;
        write!(connection, "GET /readyz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => ExitCode::SUCCESS,
        Ok(answer) => {
            eprintln!("{}", answer.split("\r\n\r\n").nth(1).unwrap_or(&answer));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{host} does not answer: {error}");
            ExitCode::FAILURE
        }
    }
}

fn log_as(json: bool, filter: EnvFilter) {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if json {
        // A request's span stands alone: its list would say everything twice.
        log.json().with_span_list(false).init();
    } else {
        log.with_ansi(io::stderr().is_terminal()).init();
    }
}

fn usage<P: Program>() -> String {
    let name = P::LAYER;
    format!(
        "usage: ordervault-{name} [serve | migrate | openapi | healthcheck]\nSettings are environment variables; the README lists them."
    )
}

fn say(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
