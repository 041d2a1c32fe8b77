//! What is said about bodies.

use axum::body::Body;
use axum::http::StatusCode;

use super::{ask, post, send, server};

const CHANGE: &str = "/api/v1/things/change";
const OPS: &[(&str, &str)] = &[("API_OPS_TOKENS", "alice:secret")];

#[tokio::test]
async fn an_empty_body_is_an_empty_object_and_the_actor_is_the_name_of_the_token() {
    let server = server(OPS);
    let request = ask("POST", &format!("{CHANGE}?wait=30s")).header("authorization", "Bearer secret");
    let answer = send(&server, request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.json(), serde_json::json!({"actor": "alice", "wait_ms": 30_000, "fields": 0}));
    let body = r#"{"reason": "x", "partitions": [0, 1], "to": {"offsets": {"0": 42}}, "dry_run": false}"#;
    assert_eq!(post(&server, CHANGE, body).await.json()["fields"], 5);
}

#[tokio::test]
async fn each_misfit_is_named_with_its_place_what_it_holds_and_what_is_taken() {
    let server = server(OPS);
    for (body, status, code, pointer, detail) in [
        (
            r#"{"reason": "#,
            400,
            "malformed_json",
            None,
            "the body is not JSON: EOF while parsing a value at line 1 column 11",
        ),
        ("{} x", 400, "malformed_json", None, "the body is not JSON: trailing characters at line 1 column 4"),
        (
            r#"{"reson": "x"}"#,
            400,
            "unknown_field",
            Some("/reson"),
            r#"there is no field "reson"; the nearest is "reason", and all are reason, until, partitions, to, dry_run"#,
        ),
        (r#"{"dry_run": "no"}"#, 422, "invalid_field", Some("/dry_run"), r#"/dry_run holds "no", takes true or false"#),
        (
            r#"{"partitions": [0, "one"]}"#,
            422,
            "invalid_field",
            Some("/partitions/1"),
            r#"/partitions/1 holds "one", takes a whole number from -2147483648 to 2147483647"#,
        ),
        (
            r#"{"until": "tomorrow"}"#,
            422,
            "invalid_field",
            Some("/until"),
            r#"/until holds "tomorrow", takes a time per RFC 3339, as in 2026-03-01T10:00:00Z"#,
        ),
        (
            r#"{"to": "newest"}"#,
            422,
            "invalid_field",
            Some("/to"),
            r#"/to holds "newest", takes "earliest" or "offsets""#,
        ),
        (
            r#"{"to": {"offsets": {"a/b": "x"}}}"#,
            422,
            "invalid_field",
            Some("/to/offsets/a~1b"),
            r#"/to/offsets/a~1b holds "x", takes a whole number"#,
        ),
        ("[]", 422, "invalid_field", Some(""), "the body holds [], takes an object"),
        (
            r#"["x", null, null, null, false]"#,
            422,
            "invalid_field",
            Some(""),
            r#"the body holds ["x",null,null,null,false], takes an object"#,
        ),
        (r#"{"reason": 1, "reason": 2}"#, 422, "invalid_field", Some("/reason"), ""),
        (r#"{"reason": "a", "reason": "b"}"#, 422, "invalid_field", Some("/reason"), "/reason stands twice"),
        (
            r#"{"reason": "a\u0000b"}"#,
            422,
            "invalid_field",
            Some("/reason"),
            "/reason holds the character U+0000, which the database cannot hold",
        ),
    ] {
        let answer = post(&server, CHANGE, body).await;
        let (found, said) = answer.problem();
        assert_eq!((answer.status.as_u16(), found.as_str()), (status, code), "{body}: {said}");
        assert_eq!(answer.json()["errors"][0]["pointer"].as_str(), pointer, "{body}");
        assert!(said == detail || detail.is_empty(), "{body}: {said}");
    }
}

#[tokio::test]
async fn a_long_value_is_not_shown_whole() {
    let body = format!(r#"{{"dry_run": "{}"}}"#, "é".repeat(20_000));
    assert!(post(&server(OPS), CHANGE, body).await.problem().1.len() < 300);
}

#[tokio::test]
async fn a_body_must_be_declared_as_json_and_fit() {
    let server = server(OPS);
    for (kind, status) in [
        ("application/x-www-form-urlencoded", 415),
        ("text/json", 415),
        ("application/json; charset=utf-8", 200),
        ("application/merge-patch+json", 200),
    ] {
        let request = ask("POST", CHANGE).header("authorization", "Bearer secret").header("content-type", kind);
        let answer = send(&server, request.body(Body::from("{}")).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{kind}: {}", answer.body);
        if status == 415 {
            let (code, detail) = answer.problem();
            assert_eq!(code, "unsupported_media_type");
            assert!(detail.contains(kind) && detail.contains("Content-Type: application/json"), "{detail}");
        }
    }
    let fits = format!("{}{{}}", " ".repeat(64 * 1024 - 2));
    assert_eq!(post(&server, CHANGE, fits.clone()).await.status, StatusCode::OK);
    let answer = post(&server, CHANGE, fits + " ").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "body_too_large"));
}
