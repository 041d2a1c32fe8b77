//! Swagger UI, served from the binary. Its page loads nothing from any other host.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::OpenApi;

use crate::http::State;
use crate::http::problem::{Code, Problem};

/// Swagger UI sets styles inline and has its icons in `data:` URLs; all else comes from here or not at all.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// Another version of the binary may bring other files.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

const PAGE: &str = include_str!("page.html");
const START: &str = include_str!("page.js");

/// Serves the document and its page.
pub(in crate::http) fn router(document: &OpenApi) -> Router<State> {
    let json = Bytes::from(super::text(document));
    let page = PAGE.replace("{title}", &document.info.title);
    Router::new()
        .route("/openapi.json", get(async move || ([(CONTENT_TYPE, JSON), (CACHE_CONTROL, ASK_AGAIN)], json)))
        .route("/docs", get(async move || ([(CONTENT_SECURITY_POLICY, POLICY)], Html(page))))
        .route("/docs/", get(async || Redirect::permanent("../docs")))
        .route("/docs/{file}", get(file))
}

async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let headers = |kind| [(CONTENT_TYPE, kind), (CACHE_CONTROL, ASK_AGAIN), (CONTENT_SECURITY_POLICY, POLICY)];
    if name == "page.js" {
        return Ok((headers(HeaderValue::from_static("text/javascript")), START).into_response());
    }
    let served = utoipa_swagger_ui::serve(&name, Arc::default()).ok().flatten();
    let served = served.and_then(|file| Some((HeaderValue::from_str(&file.content_type).ok()?, file.bytes)));
    let (kind, bytes) = served.ok_or_else(|| Problem::new(Code::NotFound, "Swagger UI has no such file"))?;
    Ok((headers(kind), bytes).into_response())
}
