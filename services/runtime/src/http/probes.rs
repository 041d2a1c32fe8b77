//! `/livez`, `/readyz` and `/metrics`.

use axum::Json;
use axum::extract::State as FromState;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::State;
use super::docs::tags;
use crate::health::CheckReport;

/// The answer of `/readyz`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether every check passes.
    pub ready: bool,
    /// Why the layer is paused; null while it is to run. A paused layer is ready.
    #[schema(required = true, example = "operator alice: menu migration, ticket 4711")]
    pub paused: Option<String>,
    /// Each named check, with the reason where it fails.
    pub checks: Vec<CheckReport>,
}

/// Whether the service is alive
///
/// 200 while the consumer loop turns, also while it is paused or a dependency is away; 503 when it has stalled and only a
/// restart can help.
#[utoipa::path(get, path = "/livez", tag = tags::PROBES, responses(
    (status = 200, description = "The consumer loop turns.", body = String, content_type = "text/plain", example = "live\n"),
    (status = 503, description = "The consumer loop has stalled.", body = String, content_type = "text/plain",
     example = "the consumer loop has not turned for 30 s\n"),
))]
pub(super) async fn livez(FromState(state): FromState<State>) -> impl IntoResponse {
    match state.health.stalled_for() {
        None => (StatusCode::OK, "live\n".to_owned()),
        Some(still) => {
            let text = format!("the consumer loop has not turned for {} s\n", still.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

/// Whether the service can do its work
///
/// 200, or 503 with each named check that fails, why, and since when.
#[utoipa::path(get, path = "/readyz", tag = tags::PROBES, responses(
    (status = 200, description = "Every check passes.", body = Readiness),
    (status = 503, description = "A check fails.", body = Readiness),
))]
pub(super) async fn readyz(FromState(state): FromState<State>) -> impl IntoResponse {
    let checks = state.health.report();
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, paused: state.health.paused(), checks }))
}

/// Metrics for Prometheus
///
/// In Prometheus' text format; every name begins with `ordervault_` or `process_`.
#[utoipa::path(get, path = "/metrics", tag = tags::PROBES, responses(
    (status = 200, description = "The metrics.", body = String, content_type = "text/plain"),
))]
pub(super) async fn metrics(FromState(state): FromState<State>) -> impl IntoResponse {
    state.metrics.show(&state.health);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], state.metrics.text())
}
