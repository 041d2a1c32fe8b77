//! Counts and times every request, by the template of its route and not by its path, so that the series are bounded.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State as FromState};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use crate::metrics::Metrics;

/// Where no route has the path.
const NO_ROUTE: &str = "none";

/// Measures until the head of the answer is there; what is streamed after it is the client's pace as well.
pub(super) async fn measure(FromState(metrics): FromState<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    metrics.http_requests.with_label_values(&[method, route, response.status().as_str()]).inc();
    metrics.http_request_seconds.with_label_values(&[route]).observe(began.elapsed().as_secs_f64());
    response
}

/// Clients may send any word in its place.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
