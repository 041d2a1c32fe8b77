//! What CDM serves beside what every layer does.

use ordervault_runtime::http;
use ordervault_runtime::http::docs::tags;
use utoipa::openapi::OpenApiBuilder;
use utoipa_axum::router::OpenApiRouter;

mod counters;

/// The table of contents.
#[must_use]
pub fn router() -> OpenApiRouter<http::State> {
    let about =
        tags::tag(counters::COUNTERS, "How often what was ordered by whom: pages, files, and what has changed.");
    let description = OpenApiBuilder::new().tags(Some([about])).build();
    OpenApiRouter::with_openapi(description).merge(counters::routes())
}
