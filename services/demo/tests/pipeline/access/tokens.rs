//! Where a token must not come to light.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::stage::{LAYERS, Service, Stage};
use reqwest::{Client, Response};
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::document::operations;

const START: Duration = Duration::from_mins(1);
const DRAIN: Duration = Duration::from_mins(5);

const OPS: &str = "ops-d2c1f7a09b";
const HASHED: &str = "hashed-5e80b3c6aa";
/// The SHA-256 of `HASHED`, as `printf hashed-5e80b3c6aa | sha256sum` has it.
const DIGEST: &str = "61921f32713681674f486e16120db1e78566d09a4b0b3c9c2ca31680257d8032";
const READ: &str = "read-91be64d07f";
const NOBODYS: &str = "nobodys-c3a75d21e8";

/// All that could be read by somebody who should not have the tokens, by where it stood.
#[derive(Default)]
struct Found(BTreeMap<String, String>);

impl Found {
    fn put(&mut self, place: impl Into<String>, text: &str) {
        self.0.entry(place.into()).or_default().push_str(text);
    }

    async fn answer(&mut self, place: String, answer: Response) {
        let headers = format!("{:?}\n", answer.headers());
        self.put(place.clone(), &headers);
        self.put(place, &answer.text().await.unwrap());
    }

    /// Where a text stands.
    fn places(&self, text: &str) -> Vec<&str> {
        self.0.iter().filter(|(_, found)| found.contains(text)).map(|(place, _)| place.as_str()).collect()
    }
}

/// Asks for everything with every token, and puts tokens where somebody in a hurry would.
async fn drive(service: &Service, found: &mut Found) {
    for operation in operations(service).await {
        for token in [OPS, HASHED, READ, NOBODYS] {
            let answer = operation.ask(service, Some(token)).await;
            found.answer(format!("answers to {} {}", operation.method, operation.path), answer).await;
        }
    }
    let pause = format!("{}/api/v1/consumer/pause", service.url);
    let client = Client::new();
    let misplaced = [
        client.post(format!("{pause}?token={OPS}")).bearer_auth(OPS).json(&json!({"reason": "a look"})),
        client.post(&pause).bearer_auth(OPS).json(&json!({"reason": "a look", "token": OPS})),
        client.post(&pause).basic_auth("alice", Some(OPS)).json(&json!({"reason": "a look"})),
        client.post(&pause).header("authorization", OPS).json(&json!({"reason": "a look"})),
        client.get(format!("{}/nowhere", service.url)).bearer_auth(OPS),
        client.get(format!("{}/api/v1/consumer", service.url)).bearer_auth(format!("{OPS},{READ}")),
    ];
    for request in misplaced {
        found.answer("answers to misplaced tokens".to_owned(), request.send().await.unwrap()).await;
    }
    let (status, _) = service.post_as(OPS, "/api/v1/consumer/resume?wait=30s", &json!({})).await.unwrap();
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_stand_in_no_log_answer_metric_document_or_table() {
    let mut stage = Stage::build("tokens", 1).await.unwrap();
    let dictionary = Dictionary::generate(3, 20, 4);
    dictionary.write(&mut stage.redis).await.unwrap();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&stage.name);
    std::fs::create_dir_all(&folder).unwrap();
    let file_of_readers = folder.join("readers");
    std::fs::write(&file_of_readers, format!("grafana:{READ}\n")).unwrap();

    let ops = format!("alice:{OPS},bob:sha256:{DIGEST}");
    let settings = [
        ("API_OPS_TOKENS", ops.as_str()),
        ("API_READ_TOKENS_FILE", file_of_readers.to_str().unwrap()),
        ("RUST_LOG", "trace"),
    ];
    let log = |layer: &str| folder.join(layer);
    let start = |layer| stage.start_into(File::create(log(layer)).unwrap(), layer, &settings).unwrap();
    let mut services = LAYERS.map(start);
    let plan = Plan { seed: 3, first_order_id: 1, orders: 200, partitions: 1, mix: Mix::adversarial() };
    stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
    let mut found = Found::default();
    for service in &services {
        service.ready(START).await.unwrap();
        drive(service, &mut found).await;
    }
    stage.settle(DRAIN).await.unwrap();
    for service in &mut services {
        for path in ["/metrics", "/openapi.json", "/docs"] {
            found.put(format!("{} {path}", service.layer), &service.get(path).await.unwrap().1);
        }
        assert!(service.stop(START).await.unwrap().success());
        found.put(format!("the log of {}", service.layer), &std::fs::read_to_string(log(service.layer)).unwrap());
    }
    let tables: Vec<String> = sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'ops'")
        .fetch_all(&stage.pool)
        .await
        .unwrap();
    for table in tables {
        let rows = format!("select coalesce(string_agg(t::text, '\n'), '') from ops.{table} t");
        let rows: String = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&stage.pool).await.unwrap();
        found.put(format!("ops.{table}"), &rows);
    }

    // The search does find what is there: whose token it was, in each of the kinds of places.
    let named = found.places("alice");
    for place in ["ops.operations", "the log of stg", "the log of cdm"] {
        assert!(named.contains(&place), "{named:?}");
    }
    for secret in [OPS, HASHED, DIGEST, READ, NOBODYS] {
        assert_eq!(found.places(secret), [""; 0], "{secret}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    stage.tear_down().await.unwrap();
}
