//! What stands around every route.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::{Router, middleware};
use tracing_subscriber::fmt::MakeWriter;

use super::super::{edge, request_id};
use super::{ask, bearer, get, send, server};

const OPS: (&str, &str) = ("API_OPS_TOKENS", "alice:swordfish");

#[tokio::test]
async fn an_unknown_path_or_method_is_a_problem_for_every_method() {
    let server = server(&[OPS]);
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "PROPFIND", "HEAD"] {
        let nowhere = send(&server, bearer(method, "/api/v2/consumer", "swordfish")).await;
        assert_eq!(nowhere.status, StatusCode::NOT_FOUND, "{method}");
        let wrong_method = send(&server, bearer(method, "/api/v1/things/change", "swordfish")).await;
        if method == "POST" {
            assert_eq!(wrong_method.status, StatusCode::OK);
            continue;
        }
        assert_eq!(wrong_method.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(wrong_method.header("allow"), "POST", "{method}");
        if method == "HEAD" {
            assert_eq!((nowhere.body.as_str(), wrong_method.body.as_str()), ("", ""));
        } else {
            assert_eq!((nowhere.code().as_str(), wrong_method.code().as_str()), ("not_found", "method_not_allowed"));
        }
    }
    let probe = send(&server, ask("DELETE", "/livez").body(Body::empty()).unwrap()).await;
    assert_eq!((probe.status.as_u16(), probe.code().as_str()), (405, "method_not_allowed"));
    assert_eq!(probe.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn a_request_keeps_its_id_if_that_is_sane_and_else_gets_one() {
    let server = server(&[]);
    let with = async |id: &str| {
        let request = ask("GET", "/api/v1/nothing").header("x-request-id", id).body(Body::empty()).unwrap();
        send(&server, request).await
    };
    let answer = with("curl-1_a.b:c/d+e=").await;
    answer.problem();
    assert_eq!(answer.header("x-request-id"), "curl-1_a.b:c/d+e=");
    let long = "x".repeat(129);
    for insane in ["", "a b", "\"", "é", long.as_str()] {
        let answer = with(insane).await;
        answer.problem();
        let id = uuid::Uuid::parse_str(answer.header("x-request-id")).unwrap();
        assert_eq!(id.get_version_num(), 7, "{insane}");
    }
    assert_ne!(get(&server, "/livez").await.header("x-request-id"), "");
}

#[tokio::test]
async fn a_panic_ends_its_request_and_an_outage_of_the_database_is_told_without_internals() {
    let server = server(&[]);
    let answer = get(&server, "/api/v1/panic").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "internal_fault"));
    assert!(!answer.body.contains("swordfish"), "{}", answer.body);
    let answer = get(&server, "/api/v1/database").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "database_away"));
    assert_eq!(answer.header("retry-after"), "5");
    assert!(!answer.body.contains("pool"), "{}", answer.body);
}

#[tokio::test]
async fn a_request_without_an_end_is_ended() {
    let patience = Duration::from_millis(20);
    let server = Router::new()
        .route("/", axum::routing::get(std::future::pending::<()>))
        .layer(middleware::from_fn_with_state(patience, edge::in_time))
        .layer(middleware::from_fn(request_id::give));
    let answer = get(&server, "/").await;
    let problem = ("timeout".to_owned(), "there was no answer within 0.02 s".to_owned());
    assert_eq!((answer.status, answer.problem()), (StatusCode::REQUEST_TIMEOUT, problem));
}

#[tokio::test]
async fn answers_are_neither_guessed_at_nor_kept() {
    let server = server(&[]);
    for (uri, kept) in [("/api/v1/things", "no-store"), ("/api/v1/nothing", "no-store"), ("/livez", "")] {
        let answer = get(&server, uri).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{uri}");
        assert_eq!(answer.header("cache-control"), kept, "{uri}");
    }
}

#[tokio::test]
async fn other_origins_are_let_in_only_where_they_are_named() {
    let ask_from = |origin: &str| {
        let request = ask("OPTIONS", "/api/v1/things/change").header("origin", origin);
        request.header("access-control-request-method", "POST").body(Body::empty()).unwrap()
    };
    let closed = send(&server(&[OPS]), ask_from("https://ops.example")).await;
    assert_eq!((closed.status, closed.header("access-control-allow-origin")), (StatusCode::UNAUTHORIZED, ""));
    let open = server(&[OPS, ("API_CORS_ORIGINS", "https://ops.example, http://localhost:3000")]);
    for (origin, allowed) in [
        ("https://ops.example", "https://ops.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://evil.example", ""),
    ] {
        let answer = send(&open, ask_from(origin)).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (StatusCode::OK, allowed));
        assert!(answer.header("access-control-allow-headers").contains("authorization"));
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn log_lines_bear_the_requests_id_and_actor_and_no_token() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
    // For the whole process: whether a line is wanted is remembered for all threads, also for those of other tests.
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    let server = server(&[("API_OPS_TOKENS", "nightshift:sesame-1")]);
    let uri = "/api/v1/things/change?token=sesame-2";
    let id = send(&server, bearer("POST", uri, "sesame-1")).await.header("x-request-id").to_owned();
    send(&server, bearer("POST", uri, "sesame-3")).await;
    let outage = get(&server, "/api/v1/database").await.header("x-request-id").to_owned();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let line_of = |id: &str| log.lines().find(|line| line.contains(id)).unwrap_or_else(|| panic!("{id}: {log}"));
    let line = line_of(&id);
    assert!(line.contains("\"actor\":\"nightshift\"") && line.contains("\"path\":\"/api/v1/things/change\""), "{line}");
    assert!(line_of(&outage).contains("outage of the database"), "{log}");
    for secret in ["sesame", "authorization", "Bearer"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}
