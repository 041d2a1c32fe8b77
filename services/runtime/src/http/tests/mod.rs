//! The edge as a client meets it, in process: no Kafka and no PostgreSQL.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::request::Builder;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use super::State;
use crate::config::{RuntimeConfig, Settings, Topics};
use crate::database::Database;
use crate::health::Health;
use crate::metrics::Metrics;

mod access;
mod bodies;
mod edges;
mod layer;
mod measured;
mod queries;
mod spec;

/// An answer, read whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Looks at the shape that every problem has, and returns its code and detail.
    fn problem(&self) -> (String, String) {
        let json = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(json["type"], "about:blank");
        assert_eq!(json["status"], self.status.as_u16());
        assert_eq!(json["title"], self.status.canonical_reason().unwrap());
        assert_eq!(json["request_id"], self.header("x-request-id"));
        assert_ne!(json["request_id"], "");
        (json["code"].as_str().unwrap().to_owned(), json["detail"].as_str().unwrap().to_owned())
    }

    fn code(&self) -> String {
        self.problem().0
    }
}

/// The server with these settings beside those that must be there.
fn server(settings: &[(&str, &str)]) -> Router {
    let needed =
        [("KAFKA_HOST", "k"), ("PG_WAREHOUSE_HOST", "p"), ("PG_WAREHOUSE_DBNAME", "d"), ("PG_WAREHOUSE_USER", "u")];
    let all = needed.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut read = Settings::of(all.collect::<BTreeMap<_, _>>());
    let config = RuntimeConfig::read(&mut read, Topics { group: "g", source: "s", destination: None }).unwrap();
    let database = Database::new(&config.postgres, "cdm", 1, 1);
    let state = State {
        group: "g".into(),
        topic: "s".into(),
        broker: None,
        layer: "cdm",
        health: Health::new(&["startup"]).into(),
        metrics: Metrics::new("cdm").into(),
        database: database.for_requests(),
        reads: database.for_analysts(),
    };
    super::router(state, &config.api, layer::router())
}

async fn send(server: &Router, request: Request) -> Answer {
    let response = server.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 4 << 20).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn ask(method: &str, uri: &str) -> Builder {
    Request::builder().method(method).uri(uri)
}

fn bearer(method: &str, uri: &str, token: &str) -> Request {
    ask(method, uri).header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap()
}

fn from(address: [u8; 4], mut request: Request) -> Request {
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 40_000))));
    request
}

async fn get(server: &Router, uri: &str) -> Answer {
    send(server, ask("GET", uri).body(Body::empty()).unwrap()).await
}

/// POSTs JSON with the ops token `secret`.
async fn post(server: &Router, uri: &str, body: impl Into<Body>) -> Answer {
    let request = ask("POST", uri).header("authorization", "Bearer secret").header("content-type", "application/json");
    send(server, request.body(body.into()).unwrap()).await
}
