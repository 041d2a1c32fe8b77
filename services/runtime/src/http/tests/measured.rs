//! What the metrics say of requests: as many series as there are routes, whatever clients ask for.

use axum::body::Body;

use super::{ask, bearer, get, send, server};

#[tokio::test]
async fn requests_count_by_the_template_of_their_route_and_strange_ones_are_one() {
    let server = server(&[("API_OPS_TOKENS", "alice:secret")]);
    for number in 0..50 {
        get(&server, &format!("/nothing/{number}")).await;
        get(&server, &format!("/api/v1/operations/{number}")).await;
        send(&server, ask(&format!("STRANGE{number}"), "/livez").body(Body::empty()).unwrap()).await;
    }
    send(&server, bearer("POST", "/api/v1/consumer/pause", "wrong")).await;
    let text = get(&server, "/metrics").await.body;
    let series = |start: &str| text.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
    let value = |labels: &str| {
        let found = series(&format!("ordervault_http_requests_total{{{labels},layer=\"cdm\"}}"));
        found.first().and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok())
    };
    assert_eq!(value(r#"method="GET",route="none",status="404""#), Some(50), "{text}");
    assert_eq!(value(r#"method="other",route="/livez",status="405""#), Some(50), "{text}");
    assert_eq!(value(r#"method="POST",route="/api/v1/consumer/pause",status="401""#), Some(1), "{text}");
    let of_operations = series("ordervault_http_requests_total{").into_iter().filter(|line| line.contains("{id}"));
    assert_eq!(of_operations.count(), 1, "{text}");
    assert!(series("ordervault_http_request_seconds_count{").iter().any(|line| line.contains(r#"route="none""#)));
}
