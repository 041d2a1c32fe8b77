//! The document and its page.

use std::collections::BTreeSet;
use std::path::Path;

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::Value;

use super::{ask, bearer, get, layer, send, server};
use crate::http::access::Right;
use crate::http::{Code, docs};

/// What whoever reads can meet.
const READ: &[Code] = &[
    Code::UnknownParameter,
    Code::InvalidParameter,
    Code::TokenMissing,
    Code::TokenUnknown,
    Code::Timeout,
    Code::InvalidField,
    Code::TooManyFailedLogins,
    Code::DatabaseAway,
    Code::InternalFault,
];

/// What whoever changes something can meet beside it.
const CHANGE: &[Code] = &[
    Code::MalformedJson,
    Code::UnknownField,
    Code::ChangesDisabled,
    Code::OpsTokenNeeded,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
];

/// The documents of the layers, as they are committed, and that of the layer of these tests.
fn documents() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi");
    let mut documents: Vec<(String, Value)> = ["stg", "dds", "cdm"]
        .into_iter()
        .map(|layer| (layer.to_owned(), std::fs::read_to_string(folder.join(layer).with_extension("json")).unwrap()))
        .map(|(layer, text)| (layer, serde_json::from_str(&text).unwrap()))
        .collect();
    let tested = docs::text(&docs::document("cdm", layer::router()));
    documents.push(("tested".to_owned(), serde_json::from_str(&tested).unwrap()));
    documents
}

/// Every operation: its method, its path, itself.
fn operations(document: &Value) -> Vec<(String, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
        })
        .collect()
}

fn needed(method: &str, path: &str) -> Right {
    Right::needed(&method.parse().unwrap(), path)
}

#[test]
fn every_operation_is_described_and_says_what_can_go_wrong() {
    for (layer, document) in documents() {
        let mut ids = BTreeSet::new();
        let tags: BTreeSet<&str> =
            document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
        for (method, path, operation) in operations(&document) {
            let place = format!("{layer}: {method} {path}");
            for text in ["summary", "description", "operationId"] {
                assert!(operation[text].as_str().is_some_and(|text| !text.is_empty()), "{place} has no {text}");
            }
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{place}: its operationId is not its own");
            let own_tags = operation["tags"].as_array().unwrap();
            assert!(!own_tags.is_empty() && own_tags.iter().all(|tag| tags.contains(tag.as_str().unwrap())), "{place}");
            let (security, codes) = match needed(&method, path) {
                Right::Nothing => (serde_json::json!([]), Vec::new()),
                Right::Read => (serde_json::json!([{}, {"readToken": []}, {"opsToken": []}]), READ.to_vec()),
                Right::Change => (serde_json::json!([{"opsToken": []}]), [READ, CHANGE].concat()),
            };
            assert_eq!(operation["security"], security, "{place}");
            for code in codes {
                let status = code.status();
                let status = status.as_str();
                let reference = operation["responses"][status]["$ref"].as_str();
                let name = reference.and_then(|reference| reference.strip_prefix("#/components/responses/"));
                let name = name.unwrap_or_else(|| panic!("{place} does not say what {status} means"));
                let response = &document["components"]["responses"][name];
                let content = &response["content"]["application/problem+json"];
                assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem", "{place} {status}");
                let example = &content["examples"][code.name()]["value"];
                assert_eq!(example["code"], code.name(), "{place} does not say that it can answer {code}");
                assert_eq!(example["status"].to_string(), status, "{place} {code}");
            }
        }
    }
}

#[test]
fn the_schemes_are_what_authorize_asks_for() {
    for (layer, document) in documents() {
        for scheme in ["opsToken", "readToken"] {
            let scheme = &document["components"]["securitySchemes"][scheme];
            assert_eq!((&scheme["type"], &scheme["scheme"]), (&"http".into(), &"bearer".into()), "{layer}");
        }
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["license"]["identifier"], "Apache-2.0");
    }
}

#[tokio::test]
async fn every_operation_refuses_whoever_has_not_its_right() {
    let server = server(&[("API_OPS_TOKENS", "alice:ops-1"), ("API_READ_TOKENS", "grafana:read-1")]);
    let document: Value = serde_json::from_str(&get(&server, "/openapi.json").await.body).unwrap();
    for (method, path, _) in operations(&document) {
        let path = path.replace("{id}", "019ab7c2-7d3e-7b0a-9d51-3f6c2b8a4e10");
        let none = send(&server, ask(&method, &path).body(Body::empty()).unwrap()).await.status.as_u16();
        let read = send(&server, bearer(&method, &path, "read-1")).await.status.as_u16();
        let ops = send(&server, bearer(&method, &path, "ops-1")).await.status.as_u16();
        let refused = |status| [401, 403].contains(&status);
        let expected = match needed(&method, &path) {
            Right::Nothing => [false, false, false],
            Right::Read => [true, false, false],
            Right::Change => [true, true, false],
        };
        assert_eq!([refused(none), refused(read), refused(ops)], expected, "{method} {path}: {none} {read} {ops}");
    }
}

#[tokio::test]
async fn the_page_and_all_that_it_loads_come_from_here() {
    let server = server(&[]);
    let page = get(&server, "/docs").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.body.contains("<title>Ordervault CDM</title>"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self';") && policy.contains("default-src 'none'"), "{policy}");
    assert!(!policy.contains("http") && !policy.contains('*') && !policy.contains("unsafe-eval"), "{policy}");
    let loaded: Vec<&str> = page.body.split(['"', '\'']).filter(|text| text.starts_with("docs/")).collect();
    assert_eq!(loaded.len(), page.body.matches(" src=").count() + page.body.matches(" href=").count());
    for path in loaded {
        let file = server.clone();
        let request = ask("GET", &format!("/{path}")).body(Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(file, request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
    }
    assert_eq!(get(&server, "/docs/nothing.js").await.code(), "not_found");
    assert_eq!(get(&server, "/docs/").await.header("location"), "../docs");
    let script = get(&server, "/docs/page.js").await.body;
    for option in ["persistAuthorization: true", "tryItOutEnabled: true", "validatorUrl: null"] {
        assert!(script.contains(option), "{option}");
    }
    let document = get(&server, "/openapi.json").await;
    assert_eq!(document.header("content-type"), "application/json");
    assert_eq!(document.body, docs::text(&docs::document("cdm", layer::router())));
}
/// Every `$ref` in a document.
fn references(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn every_reference_leads_somewhere() {
    for (layer, document) in documents() {
        for reference in references(&document) {
            let there = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
            assert!(there.is_some(), "{layer}: {reference} leads nowhere; a parameter's type needs #[param(inline)]");
        }
    }
}
