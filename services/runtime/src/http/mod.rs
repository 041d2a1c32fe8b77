//! The HTTP server: what is the same in every layer, and what the layer adds.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub mod problem;
pub mod extract;
pub mod access;
pub mod docs;
pub mod fields;
pub mod accepted;
mod probes;
mod consumer;
mod offsets;
mod operations;
mod dead_letters;
mod request_id;
mod edge;
mod measured;
mod serve;
#[cfg(test)]
mod tests;

pub use access::Actor;
pub use probes::Readiness;
pub use problem::{Code, Problem};
pub(crate) use serve::serve;

use access::Access;

use crate::broker::Broker;
use crate::config::ApiConfig;
use crate::database::Requests;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::reads::Reads;

/// What the handlers share.
#[derive(Clone)]
pub struct State {
    /// The layer's name: its schema, its label, its place in `ops`.
    pub layer: &'static str,
    /// What is well and what is not.
    pub health: Arc<Health>,
    /// All that is counted.
    pub metrics: Arc<Metrics>,
    /// The layer's consumer group.
    pub group: Arc<str>,
    /// The topic that it reads.
    pub topic: Arc<str>,
    /// The warehouse, as requests may ask it.
    pub database: Requests,
    /// The warehouse, as analysts read it.
    pub reads: Reads,
    /// Answers about the topic and the group; none where its client could not be made.
    pub broker: Option<Arc<Broker>>,
}

impl State {
    /// Answers about the topic and the group.
    pub fn broker(&self) -> Result<&Arc<Broker>, Problem> {
        self.broker.as_ref().ok_or_else(Problem::kafka_away)
    }
}

/// The table of contents of what every layer serves.
pub(crate) fn shared() -> OpenApiRouter<State> {
    OpenApiRouter::default()
        .routes(routes!(probes::livez))
        .routes(routes!(probes::readyz))
        .routes(routes!(probes::metrics))
        .merge(consumer::routes())
        .merge(offsets::routes())
        .merge(operations::routes())
        .merge(dead_letters::routes())
}

/// All that a layer serves: what every layer does, and `api`, which is the layer's own.
pub fn router(state: State, config: &ApiConfig, api: OpenApiRouter<State>) -> Router {
    let document = docs::document(state.layer, api.clone());
    let metrics = Arc::clone(&state.metrics);
    let routes = Router::from(shared().merge(api))
        .merge(docs::page::router(&document))
        .fallback(edge::nothing_here)
        .method_not_allowed_fallback(edge::no_such_method)
        .with_state(state);
    let guarded = routes
        .layer(DefaultBodyLimit::max(extract::BODY_LIMIT))
        .layer(middleware::from_fn_with_state(Arc::new(Access::new(config)), access::guard))
        .layer(middleware::from_fn_with_state(edge::ANSWER_IN, edge::in_time));
    // A browser asks for leave without a token, so its question must not come to the guard.
    let reachable =
        if config.cors_origins.is_empty() { guarded } else { guarded.layer(edge::cors(&config.cors_origins)) };
    // The last layer is the outermost one.
    reachable
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(edge::panicked))
        .layer(middleware::from_fn(edge::headers))
        .layer(middleware::from_fn(request_id::give))
        .layer(middleware::from_fn_with_state(metrics, measured::measure))
}
