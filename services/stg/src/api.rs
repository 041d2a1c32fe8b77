//! What STG serves beside the probes.

use axum::Router;

/// The table of contents.
pub fn router() -> Router {
    Router::new()
}
