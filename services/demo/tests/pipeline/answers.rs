//! What the API answers where the servers behind it do not answer as they should.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{OPERATOR, OPS_TOKEN, Service, Stage, until};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::Executor as _;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::beginnings::with_replica;

/// One whose results of operations nothing but requests asks for: CDM looks at those of its audits.
const LAYER: &str = "dds";
/// Far more than the connections that one replica has.
const CLIENTS: usize = 40;
/// Those that it has for requests.
const CONNECTIONS: i64 = 3;
const PATIENCE: Duration = Duration::from_mins(1);

/// How many sessions wait for the table that the test holds.
async fn waiting(stage: &Stage) -> i64 {
    let sql = "select count(*) from pg_locks where not granted and relation = 'ops.operation_results'::regclass";
    sqlx::query_scalar(sql).fetch_one(&stage.pool).await.unwrap()
}

async fn scene(name: &str) -> (Stage, Service) {
    with_replica(name, 1, LAYER, &[]).await
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

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_the_database_does_not_answer_are_told_to_come_again_and_hold_up_no_batch() {
    let (stage, service) = scene("starved").await;
    // What a list of operations is read from is out of reach, and nothing but requests asks for it.
    let mut held = stage.pool.begin().await.unwrap();
    held.execute("lock table ops.operation_results in access exclusive mode").await.unwrap();
    let list = format!("{}/api/v1/operations", service.url);
    let client = Client::new();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, list) = (client.clone(), list.clone());
        clients.spawn(async move {
            let answer = client.get(&list).send().await.unwrap();
            let again = answer.headers().get("retry-after").cloned();
            (answer.status().as_u16(), again, answer.json::<Value>().await.unwrap())
        });
    }
    until("requests that wait", PATIENCE, async || Ok((waiting(&stage).await > 0).then_some(()))).await.unwrap();
    let bad = |_| Produced { key: None, partition: Some(0), payload: b"nonsense".to_vec() };
    stage.produce(LAYER, (0..100).map(bad)).await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    while let Some(ended) = clients.join_next().await {
        assert!(waiting(&stage).await <= CONNECTIONS, "requests have taken connections of the layer's own");
        let (status, again, problem) = ended.unwrap();
        assert_eq!((status, &problem["code"]), (503, &json!("database_away")), "{problem}");
        assert_eq!(again.unwrap(), "5");
    }
    held.rollback().await.unwrap();
    assert_eq!(service.read("/api/v1/operations").await.unwrap()["items"], json!([]));
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_operation_says_who_cancelled_it_when_and_why_and_the_first_word_stands() {
    let (stage, service) = scene("cancelled").await;
    // Nobody works on it: a job of another member's, whose lease lasts.
    let id: Uuid = sqlx::query_scalar(
        "insert into ops.operations (id, layer, kind, state, actor, request, runner, lease_until) values \
         (gen_random_uuid(), $1, 'dead_letter_replay', 'running', 'alice', '{}', gen_random_uuid(), now() + interval '1 hour') \
         returning id",
    )
    .bind(LAYER)
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    let path = format!("/api/v1/operations/{id}/cancel");
    for (body, code) in [(json!({"reson": "x"}), "unknown_field"), (json!({"reason": " "}), "invalid_field")] {
        let (_, problem) = service.post(&path, &body).await.unwrap();
        assert_eq!(problem["code"], code, "{problem}");
    }
    let (status, told) = service.post(&path, &json!({"reason": "the wrong day"})).await.unwrap();
    assert_eq!(status, 202, "{told}");
    let word =
        |operation: &Value| ["cancelled_by", "cancel_reason", "cancelled_at"].map(|name| operation[name].clone());
    let first = word(&told);
    assert_eq!(first[..2], [json!(OPERATOR), json!("the wrong day")], "{told}");
    let at: DateTime<Utc> = first[2].as_str().unwrap().parse().unwrap();
    let held: DateTime<Utc> =
        sqlx::query_scalar("select cancelled_at from ops.operations").fetch_one(&stage.pool).await.unwrap();
    assert_eq!(at, held);
    let (status, again) = service.post(&path, &json!({})).await.unwrap();
    assert_eq!((status.as_u16(), word(&again)), (202, first));
    drop(service);
    stage.tear_down().await.unwrap();
}
