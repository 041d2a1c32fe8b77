//! What is said about query strings and paths.

use axum::http::StatusCode;

use super::{get, post, server};

const THINGS: &str = "/api/v1/things";

#[tokio::test]
async fn parameters_are_read_and_those_left_out_have_their_defaults() {
    let server = server(&[]);
    let answer = get(&server, THINGS).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.json()["limit"], 100);
    let answer = get(&server, &format!("{THINGS}?limit=1000&state=a%20b&partition=-1&from=2026-03-01T10:00:00Z")).await;
    let read = serde_json::json!({"limit": 1000, "state": "a b", "partition": -1, "from": "2026-03-01T10:00:00Z"});
    assert_eq!(answer.json(), read);
}

#[tokio::test]
async fn each_misfit_is_named_with_what_it_holds_and_what_is_taken() {
    let server = server(&[]);
    let whole = "takes a whole number within its bounds";
    for (query, code, detail) in [
        (
            "limt=1",
            "unknown_parameter",
            r#"there is no parameter "limt"; the nearest is "limit", and all are limit, state, partition, from"#
                .to_owned(),
        ),
        (
            "limit=0",
            "invalid_parameter",
            r#"the parameter limit holds "0", takes a whole number from 1 to 1000"#.to_owned(),
        ),
        ("partition=one", "invalid_parameter", format!(r#"the parameter partition holds "one", {whole}"#)),
        ("partition=", "invalid_parameter", format!(r#"the parameter partition holds "", {whole}"#)),
        (
            "partition=9999999999",
            "invalid_parameter",
            format!(r#"the parameter partition holds "9999999999", {whole}"#),
        ),
        (
            "from=now",
            "invalid_parameter",
            r#"the parameter from holds "now", takes a time per RFC 3339, as in 2026-03-01T10:00:00Z"#.to_owned(),
        ),
        ("limit=1&limit=2", "invalid_parameter", "the parameter limit stands twice".to_owned()),
        (
            "state=%00",
            "invalid_parameter",
            "the parameter state holds the character U+0000, which the database cannot hold".to_owned(),
        ),
    ] {
        let answer = get(&server, &format!("{THINGS}?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(answer.problem(), (code.to_owned(), detail), "{query}");
        let parameter = query.split('=').next().unwrap();
        assert_eq!(answer.json()["errors"][0]["parameter"], parameter, "{query}");
    }
}

#[tokio::test]
async fn a_wait_is_bounded() {
    let server = server(&[("API_OPS_TOKENS", "alice:secret")]);
    for (wait, takes) in
        [("0s", true), ("30s", true), ("60s", true), ("61s", false), ("-1s", false), ("30", false), ("1m", false)]
    {
        let answer = post(&server, &format!("/api/v1/things/change?wait={wait}"), "").await;
        assert_eq!(answer.status == StatusCode::OK, takes, "{wait}: {}", answer.body);
        assert!(takes || answer.code() == "invalid_parameter");
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_one_is_an_id_that_nothing_has() {
    let server = server(&[]);
    for id in ["019ab7c2-7d3e-7b0a-9d51-3f6c2b8a4e10", "1", "%FF", "..%2f", "%00"] {
        let answer = get(&server, &format!("{THINGS}/{id}")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "operation_not_found"), "{id}");
    }
}

#[tokio::test]
async fn two_ids_of_a_path_are_read_each_by_itself() {
    let server = server(&[]);
    let thing = "019ab7c2-7d3e-7b0a-9d51-3f6c2b8a4e10";
    for (part, name) in [("%D0%9F%20%2F%20%D0%B3", "П / г"), ("a%2520b", "a%20b"), ("+%3F%23", "+?#"), ("%2E%2E", "..")]
    {
        let answer = get(&server, &format!("/api/v1/pairs/{thing}/{part}")).await;
        assert_eq!(answer.json(), serde_json::json!([thing, name]));
    }
    for (ids, code) in [
        (format!("1/{thing}"), "operation_not_found"),
        (format!("%FF/{thing}"), "operation_not_found"),
        (format!("{thing}/%20"), "dead_letter_not_found"),
        ("1/%20".to_owned(), "operation_not_found"),
    ] {
        let answer = get(&server, &format!("/api/v1/pairs/{ids}")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, code), "{ids}");
    }
}

#[tokio::test]
async fn probes_and_metrics_take_no_notice_of_parameters_and_the_document_says_so() {
    let server = server(&[]);
    for path in ["/livez", "/metrics", "/openapi.json", "/docs"] {
        assert_eq!(get(&server, &format!("{path}?stray=1")).await.status, StatusCode::OK, "{path}");
    }
    let document = get(&server, "/openapi.json").await.json();
    assert!(document["info"]["description"].as_str().unwrap().contains("probes and metrics take no notice of any"));
}
