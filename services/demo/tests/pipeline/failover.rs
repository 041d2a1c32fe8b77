//! The control plane when PostgreSQL comes back from an outage: silent members, lost notes, and others' notifications.

use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::stage::{Service, Stage, until};
use serde_json::{Value, json};
use uuid::Uuid;

const LAYER: &str = "stg";
const PATIENCE: Duration = Duration::from_mins(1);

/// A replica that has processed some orders.
async fn scene(name: &str) -> (Stage, Service) {
    let mut stage = Stage::build(name, 2).await.unwrap();
    let dictionary = Dictionary::generate(5, 20, 4);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed: 5, first_order_id: 1, orders: 100, partitions: 2, mix: Mix::calm() };
    stage.produce(LAYER, Backlog::new(&dictionary, plan)).await.unwrap();
    let service = stage.start(LAYER, &[]).unwrap();
    service.ready(PATIENCE).await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    (stage, service)
}

/// What became of an operation with a member.
fn outcome<'o>(operation: &'o Value, member: &str) -> Option<&'o str> {
    let results = operation["results"].as_array().unwrap();
    results.iter().find(|result| result["member"] == member)?["outcome"].as_str()
}

/// Waits until an operation is as it is to be.
async fn becomes(service: &Service, operation: &Value, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(what, PATIENCE, async || {
        let operation = service.operation(&operation["id"]).await?;
        Ok(is(&operation).then_some(operation))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_waits_for_a_member_that_was_silent_for_as_long_as_postgresql_was_away() {
    let (stage, service) = scene("silent").await;
    let silent = Uuid::now_v7();
    sqlx::query(
        "insert into ops.members (id, layer, host, version, state, generation, partitions, positions, heartbeat) \
         values ($1, $2, 'elsewhere', '0', 'running', 0, '{}', '{}', now() - interval '30 seconds')",
    )
    .bind(silent)
    .bind(LAYER)
    .execute(&stage.pool)
    .await
    .unwrap();
    let (status, paused) =
        service.post("/api/v1/consumer/pause", &json!({"reason": "after the outage"})).await.unwrap();
    assert_eq!(status, 202, "{paused}");
    let member = silent.to_string();
    assert_eq!(outcome(&paused, &member), Some("pending"), "{paused}");

    // It reports, and has not paused; the other one has.
    let beat = "update ops.members set heartbeat = now() + interval '1 hour' where id = $1";
    sqlx::query(beat).bind(silent).execute(&stage.pool).await.unwrap();
    let others = |operation: &Value| {
        operation["results"].as_array().unwrap().iter().filter(|result| result["outcome"] == "done").count()
    };
    let paused = becomes(&service, &paused, "the other member's pause", |operation| others(operation) == 1).await;
    assert_eq!((&paused["state"], outcome(&paused, &member)), (&json!("running"), Some("pending")), "{paused}");

    sqlx::query("update ops.members set generation = 1000 where id = $1")
        .bind(silent)
        .execute(&stage.pool)
        .await
        .unwrap();
    let done = becomes(&service, &paused, "the end of the pause", |operation| operation["state"] == "done").await;
    assert_eq!((others(&done), outcome(&done, &member)), (2, Some("done")), "{done}");
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_whose_notes_were_lost_is_noted_again_and_not_done_again() {
    let (stage, service) = scene("lost_notes").await;
    let request = json!({"to": "earliest", "dry_run": false, "reason": "rebuild"});
    let reset = service.reset(&request).await.unwrap();
    assert_eq!(reset["state"], "done", "{reset}");
    stage.drained(LAYER, PATIENCE).await.unwrap();
    let at_the_end = stage.standings(LAYER).await.unwrap();
    let commits = stage.commits(LAYER).await.unwrap().len();
    // The server that takes over had not yet been sent the last transactions.
    sqlx::raw_sql(
        "update ops.reset_targets set done = false; delete from ops.operation_results; \
         update ops.operations set state = 'accepted', finished_at = null where kind = 'offset_reset'",
    )
    .execute(&stage.pool)
    .await
    .unwrap();
    let again = becomes(&service, &reset, "the end of the reset", |operation| operation["state"] == "done").await;
    assert_eq!(again["results"].as_array().unwrap().len(), 2, "{again}");
    assert_eq!(stage.standings(LAYER).await.unwrap(), at_the_end);
    assert_eq!(stage.commits(LAYER).await.unwrap().len(), commits, "the group was moved once more");
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_learns_of_its_changes_however_often_another_is_told_of_its_own() {
    let (stage, service) = scene("told").await;
    let pool = stage.pool.clone();
    let others = tokio::spawn(async move {
        loop {
            sqlx::query("select pg_notify('ordervault_ops', 'another')").execute(&pool).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    // As a pause whose notification was lost.
    sqlx::raw_sql(
        "insert into ops.layers (layer, generation) values ('stg', 1) \
             on conflict (layer) do update set generation = layers.generation + 1; \
         insert into ops.pauses (layer, kind, reason, actor) values ('stg', 'operator', 'a look', 'alice')",
    )
    .execute(&stage.pool)
    .await
    .unwrap();
    until("the pause", PATIENCE, async || Ok((service.consumer().await?["actual_state"] == "paused").then_some(())))
        .await
        .unwrap();
    others.abort();
    drop(service);
    stage.tear_down().await.unwrap();
}
