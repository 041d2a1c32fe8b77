//! `/livez`, `/readyz` and `/metrics`.

use axum::Json;
use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;

use super::State;
use crate::health::CheckReport;

/// The answer of `/readyz`.
#[derive(Debug, Serialize)]
pub struct Readiness {
    /// Whether every check passes.
    pub ready: bool,
    /// Each named check, with the reason where it fails.
    pub checks: Vec<CheckReport>,
}

/// 200 while the loop turns, whatever it waits for; 503 when it has stalled and only a restart can help.
pub(super) async fn livez(FromState(state): FromState<State>) -> impl IntoResponse {
    match state.health.stalled_for() {
        None => (StatusCode::OK, "live\n".to_owned()),
        Some(still) => {
            let text = format!("the consumer loop has not turned for {} s\n", still.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

/// 200, or 503 with each named check and its reason.
pub(super) async fn readyz(FromState(state): FromState<State>) -> impl IntoResponse {
    let checks = state.health.report();
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, checks }))
}

/// The Prometheus text format.
pub(super) async fn metrics(FromState(state): FromState<State>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.text())
}
