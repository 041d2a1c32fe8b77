//! What the API answers where the servers behind it do not answer as they should.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::time::Duration;

use ordervault_demo::stage::{OPS_TOKEN, Service, Stage};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::Executor as _;

const LAYER: &str = "cdm";
const PATIENCE: Duration = Duration::from_mins(1);

async fn scene(name: &str) -> (Stage, Service) {
    let stage = Stage::build(name, 1).await.unwrap();
    let service = stage.start(LAYER, &[]).unwrap();
    service.ready(PATIENCE).await.unwrap();
    (stage, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_is_recorded_and_cannot_be_read_again_is_still_answered_with_its_place() {
    let (stage, service) = scene("unread").await;
    // What an operation is read from goes away with the commit that records one, so that every later look fails.
    stage
        .pool
        .execute(
            "create function ops.hide() returns trigger language plpgsql as \
             $$ begin alter table ops.operation_results rename to hidden; return null; end $$; \
             create constraint trigger hide after insert on ops.operations initially deferred \
             for each row execute function ops.hide()",
        )
        .await
        .unwrap();
    let replay = format!("{}/api/v1/dead-letters/replays?wait=1s", service.url);
    let body = json!({"dry_run": false, "reason": "ticket 4711"});
    let answer = Client::new().post(replay).bearer_auth(OPS_TOKEN).json(&body).send().await.unwrap();
    stage
        .pool
        .execute("drop function ops.hide cascade; alter table ops.hidden rename to operation_results")
        .await
        .unwrap();
    let status = answer.status();
    let place = answer.headers().get("location").map(|place| place.to_str().unwrap().to_owned());
    let told: Value = answer.json().await.unwrap();
    assert_eq!(status, 202, "{told}");
    let place = place.unwrap();
    assert_eq!(place, format!("/api/v1/operations/{}", told["id"].as_str().unwrap()));
    assert_eq!((&told["kind"], &told["reason"]), (&json!("dead_letter_replay"), &json!("ticket 4711")), "{told}");
    let kept = service.read(&place).await.unwrap();
    for field in ["id", "kind", "actor", "reason", "request", "created_at"] {
        assert_eq!(kept[field], told[field], "{field}");
    }
    drop(service);
    stage.tear_down().await.unwrap();
}
