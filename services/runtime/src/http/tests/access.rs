//! Who may do what.

use std::fs;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::StatusCode;

use super::{Answer, ask, bearer, from, get, send, server};

const READ: (&str, &str) = ("GET", "/api/v1/things");
const CHANGE: (&str, &str) = ("POST", "/api/v1/things/change");
const ELSEWHERE: (&str, &str) = ("POST", "/api/v1/nothing");

async fn with(server: &axum::Router, (method, uri): (&str, &str), token: Option<&str>) -> Answer {
    match token {
        Some(token) => send(server, bearer(method, uri, token)).await,
        None => send(server, ask(method, uri).body(Body::empty()).unwrap()).await,
    }
}

#[tokio::test]
async fn each_right_is_given_to_whom_the_settings_give_it() {
    let ops = ("API_OPS_TOKENS", "alice:ops-1");
    let read = ("API_READ_TOKENS", "grafana:read-1");
    let (neither, only_ops, only_read, both) = (server(&[]), server(&[ops]), server(&[read]), server(&[ops, read]));
    for (name, server, request, token, status, code) in [
        ("neither", &neither, READ, None, 200, ""),
        ("neither", &neither, READ, Some("x"), 401, "token_unknown"),
        ("neither", &neither, CHANGE, None, 403, "changes_disabled"),
        ("neither", &neither, CHANGE, Some("x"), 403, "changes_disabled"),
        ("neither", &neither, ELSEWHERE, None, 403, "changes_disabled"),
        ("ops", &only_ops, READ, None, 200, ""),
        ("ops", &only_ops, READ, Some("ops-1"), 200, ""),
        ("ops", &only_ops, READ, Some("x"), 401, "token_unknown"),
        ("ops", &only_ops, CHANGE, None, 401, "token_missing"),
        ("ops", &only_ops, CHANGE, Some("x"), 401, "token_unknown"),
        ("ops", &only_ops, CHANGE, Some("ops-1"), 200, ""),
        ("ops", &only_ops, CHANGE, Some("secret"), 401, "token_unknown"),
        ("ops", &only_ops, CHANGE, Some("sesame"), 401, "token_unknown"),
        ("ops", &only_ops, CHANGE, Some("swordfish"), 401, "token_unknown"),
        ("read", &only_read, READ, None, 401, "token_missing"),
        ("read", &only_read, READ, Some("read-1"), 200, ""),
        ("read", &only_read, CHANGE, Some("read-1"), 403, "changes_disabled"),
        ("both", &both, READ, None, 401, "token_missing"),
        ("both", &both, READ, Some("read-1"), 200, ""),
        ("both", &both, READ, Some("ops-1"), 200, ""),
        ("both", &both, CHANGE, Some("read-1"), 403, "ops_token_needed"),
        ("both", &both, CHANGE, Some("ops-1"), 200, ""),
        ("both", &both, ELSEWHERE, None, 401, "token_missing"),
        ("both", &both, ELSEWHERE, Some("ops-1"), 404, "not_found"),
        ("both", &both, ("QUERY", "/api/v1/things"), Some("read-1"), 403, "ops_token_needed"),
        ("both", &both, ("HEAD", "/api/v1/things"), None, 401, ""),
        ("both", &both, ("GET", "/livez"), None, 200, ""),
        ("both", &both, ("GET", "/metrics"), None, 200, ""),
        ("both", &both, ("GET", "/openapi.json"), None, 200, ""),
        ("both", &both, ("GET", "/docs"), Some("x"), 200, ""),
    ] {
        let answer = with(server, request, token).await;
        assert_eq!(answer.status.as_u16(), status, "{name} {request:?} {token:?}: {}", answer.body);
        if !code.is_empty() {
            assert_eq!(answer.code(), code, "{name} {request:?} {token:?}");
        }
        assert_eq!(answer.header("www-authenticate").starts_with("Bearer realm=\"ordervault\""), status == 401);
    }
}

#[tokio::test]
async fn a_digest_stands_for_its_token_and_is_none_itself() {
    // SHA-256 of "secret".
    let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let server = server(&[("API_OPS_TOKENS", &format!("bob:sha256:{digest}"))]);
    let answer = with(&server, CHANGE, Some("secret")).await;
    assert_eq!(answer.json()["actor"], "bob", "{}", answer.body);
    for wrong in [digest.to_owned(), format!("sha256:{digest}"), "secret2".to_owned(), "secre".to_owned()] {
        assert_eq!(with(&server, CHANGE, Some(&wrong)).await.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let server_without = server(&[]);
    let (_, detail) = with(&server_without, CHANGE, None).await.problem();
    assert!(detail.contains("API_OPS_TOKENS=name:token") && detail.contains("API_OPS_TOKENS_FILE"), "{detail}");
    let server = server(&[("API_OPS_TOKENS", "alice:secret"), ("API_READ_TOKENS", "grafana:read-1")]);
    let (_, detail) = with(&server, CHANGE, Some("read-1")).await.problem();
    assert!(detail.contains("\"grafana\"") && detail.contains("API_OPS_TOKENS"), "{detail}");
    let unknown = with(&server, CHANGE, Some("s3cret")).await;
    assert!(unknown.header("www-authenticate").ends_with("error=\"invalid_token\""));
    assert!(!unknown.body.contains("s3cret"));
}

#[tokio::test]
async fn only_wrong_tokens_are_limited_and_a_right_one_always_passes() {
    let server = server(&[("API_OPS_TOKENS", "alice:secret"), ("API_FAILED_LOGINS_PER_MINUTE", "3")]);
    let (method, uri) = READ;
    let here = [192, 0, 2, 1];
    for _ in 0..10 {
        assert_eq!(send(&server, from(here, bearer(method, uri, "secret"))).await.status, StatusCode::OK);
        let missing = send(&server, from(here, ask("POST", uri).body(Body::empty()).unwrap())).await;
        assert_eq!(missing.status, StatusCode::UNAUTHORIZED);
    }
    for _ in 0..3 {
        assert_eq!(send(&server, from(here, bearer(method, uri, "x"))).await.status, StatusCode::UNAUTHORIZED);
    }
    let limited = send(&server, from(here, bearer(method, uri, "x"))).await;
    assert_eq!((limited.status.as_u16(), limited.code().as_str()), (429, "too_many_failed_logins"));
    assert!((1..=60).contains(&limited.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!(send(&server, from(here, bearer(method, uri, "secret"))).await.status, StatusCode::OK);
    let elsewhere = send(&server, from([192, 0, 2, 2], bearer(method, uri, "x"))).await;
    assert_eq!(elsewhere.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_file_of_tokens_is_read_anew_when_it_changes_and_a_bad_one_changes_nothing() {
    let folder = std::env::temp_dir().join(format!("ordervault-tokens-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (path, next) = (folder.join("tokens"), folder.join("next"));
    fs::write(&path, "alice:first\n").unwrap();
    let server = server(&[("API_READ_TOKENS_FILE", path.to_str().unwrap()), ("API_READ_TOKENS", "env:fixed")]);
    let becomes = async |token: &str, status: StatusCode| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while with(&server, READ, Some(token)).await.status != status {
            assert!(Instant::now() < deadline, "{token} does not become {status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    becomes("first", StatusCode::OK).await;
    // As Kubernetes does it: another file takes the place of the first, here of the same length.
    fs::write(&next, "alice:other\n").unwrap();
    fs::rename(&next, &path).unwrap();
    becomes("other", StatusCode::OK).await;
    becomes("first", StatusCode::UNAUTHORIZED).await;
    // None of these is good, and each but the last is seen before a good one comes.
    for bad in ["", "no colon", "alice:\n"] {
        fs::write(&next, bad).unwrap();
        fs::rename(&next, &path).unwrap();
        let later = Instant::now() + Duration::from_millis(1_100);
        while Instant::now() < later {
            assert_eq!(with(&server, READ, Some("other")).await.status, StatusCode::OK, "{bad:?}");
            assert_eq!(get(&server, READ.1).await.status, StatusCode::UNAUTHORIZED, "{bad:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    fs::write(&path, "alice:sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b,\n\nbob:last\n")
        .unwrap();
    becomes("secret", StatusCode::OK).await;
    becomes("last", StatusCode::OK).await;
    becomes("other", StatusCode::UNAUTHORIZED).await;
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(with(&server, READ, Some("fixed")).await.status, StatusCode::OK);
}
