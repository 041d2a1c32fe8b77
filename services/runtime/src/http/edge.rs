//! What stands around every route: time and body bounds, headers, and problems where nobody else answers.

use std::any;
use std::time::Duration;

use axum::extract::{Request, State as FromState};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::problem::{Code, Problem};
use super::request_id::X_REQUEST_ID;

/// Longer than any `?wait=`, which is 60 s at the most.
pub(super) const ANSWER_IN: Duration = Duration::from_secs(75);

/// Ends a request that takes longer than `patience`.
pub(super) async fn in_time(
    FromState(patience): FromState<Duration>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let late = |_| Problem::new(Code::Timeout, format!("there was no answer within {} s", patience.as_secs_f32()));
    tokio::time::timeout(patience, next.run(request)).await.map_err(late)
}

/// Headers that every answer has.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_api {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

/// Pages of other origins, where they are allowed.
pub(super) fn cors(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, X_REQUEST_ID])
        .expose_headers(Any)
        .max_age(Duration::from_hours(1))
}

/// A handler that panics takes its request with it, not the server.
#[expect(clippy::needless_pass_by_value, reason = "it is what the layer calls")]
pub(super) fn panicked(cause: Box<dyn any::Any + Send>) -> Response {
    let said = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
    tracing::error!(panic = said.unwrap_or("without a message"), "a request met a fault of the service");
    let detail = "the service failed at this request; its log has the cause under this request_id";
    Problem::new(Code::InternalFault, detail).into_response()
}

/// No route has the path.
pub(super) async fn nothing_here(uri: Uri) -> Problem {
    let hint = "/docs shows what is served";
    Problem::new(Code::NotFound, format!("nothing is served at {}; {hint}", uri.path()))
}

/// A route has the path, but not the method.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> Problem {
    Problem::new(Code::MethodNotAllowed, format!("{} does not take {method}; see the header Allow", uri.path()))
}
