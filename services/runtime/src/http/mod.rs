//! The HTTP server: probes and metrics, the same in every layer, and what the layer adds.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

mod probes;

pub use probes::Readiness;

use crate::health::Health;
use crate::metrics::Metrics;

/// What the handlers share.
#[derive(Clone)]
pub struct State {
    /// What is well and what is not.
    pub health: Arc<Health>,
    /// All that is counted.
    pub metrics: Arc<Metrics>,
}

/// The table of contents of what every layer serves.
pub fn router(state: State) -> Router {
    Router::new()
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .with_state(state)
}
