//! Every request has an id: the client's own or a new one. Answers, problems and log lines bear it.

use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;
use uuid::Uuid;

/// The header that brings it and takes it back.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const LONGEST: usize = 128;

tokio::task_local! {
    static PRESENT: String;
}

/// The id of the request that this task answers; empty outside of any.
pub(super) fn present() -> String {
    PRESENT.try_with(Clone::clone).unwrap_or_default()
}

/// Gives the request its id. Nothing of the request but method and path is logged: the rest may hold secrets.
pub(super) async fn give(request: Request, next: Next) -> Response {
    let id = request.headers().get(X_REQUEST_ID).and_then(sane).unwrap_or_else(|| Uuid::now_v7().to_string());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // At the level of errors, so that the id is there whatever is logged.
    let span = tracing::error_span!("request", request_id = id, %method, path, actor = tracing::field::Empty);
    let header = HeaderValue::from_str(&id);
    let answer = async move {
        let began = Instant::now();
        let response = next.run(request).await;
        let status = response.status().as_u16();
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if matches!(method, Method::GET | Method::HEAD | Method::OPTIONS) {
            tracing::debug!(status, took_ms, "answered");
        } else {
            tracing::info!(status, took_ms, "answered");
        }
        response
    };
    let mut response = PRESENT.scope(id, answer).instrument(span).await;
    if let Ok(header) = header {
        response.headers_mut().insert(X_REQUEST_ID, header);
    }
    response
}

fn sane(header: &HeaderValue) -> Option<String> {
    let text = header.to_str().ok()?;
    let fits = (1..=LONGEST).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(&byte));
    fits.then(|| text.to_owned())
}
