//! What CDM serves beside what every layer does.

use ordervault_runtime::http;
use utoipa_axum::router::OpenApiRouter;

mod counters;
mod contributions;
mod audit;

/// The table of contents.
#[must_use]
pub fn router() -> OpenApiRouter<http::State> {
    OpenApiRouter::default().merge(counters::routes()).merge(contributions::routes()).merge(audit::routes())
}
