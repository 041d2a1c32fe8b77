//! A pause is brought up to date, ends when its time is up, and is heard of also where PostgreSQL's notifications are lost.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use ordervault_demo::stage::{Service, until};
use serde_json::{Value, json};

use crate::beginnings::{orders, replica, with_dictionary};

const LAYER: &str = "stg";
const PATIENCE: Duration = Duration::from_mins(2);
/// Longer than it takes a member to learn of a change that it is not told of.
const A_WHILE: Duration = Duration::from_secs(6);

/// Waits until the member that runs alone in its layer holds the topic's partition.
async fn alone(service: &Service) {
    until("a member with the partition", PATIENCE, async || {
        let report = service.consumer().await?;
        let members = report["members"].as_array().unwrap();
        Ok((members.len() == 1 && members[0]["partitions"].as_array().unwrap().len() == 1).then_some(()))
    })
    .await
    .unwrap();
}

/// The layer's resumes, the newest first.
async fn resumes(service: &Service) -> Vec<Value> {
    let page = service.read("/api/v1/operations?kind=resume").await.unwrap();
    page["items"].as_array().unwrap().clone()
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

fn in_seconds(seconds: i64) -> DateTime<Utc> {
    Utc::now() + TimeDelta::seconds(seconds)
}

fn pause_until(until: DateTime<Utc>) -> Value {
    json!({"reason": "menu migration", "until": until.to_rfc3339_opts(SecondsFormat::Millis, true)})
}

#[tokio::test(flavor = "multi_thread")]
async fn pausing_a_paused_layer_brings_reason_and_time_up_to_date() {
    let (stage, _) = with_dictionary("paused_again", 1).await;
    let service = replica(&stage, LAYER, &[]).await;
    let first = service.pause(&json!({"reason": "menu migration"})).await.unwrap();
    let since = service.consumer().await.unwrap()["reasons"][0]["since"].clone();
    let end = in_seconds(3_600);
    let mut wish = pause_until(end);
    wish["reason"] = json!("menu migration, now with a new index");
    let second = service.pause(&wish).await.unwrap();
    assert_ne!(first["id"], second["id"]);
    let reasons = service.consumer().await.unwrap()["reasons"].clone();
    assert_eq!(reasons.as_array().unwrap().len(), 1, "{reasons}");
    assert_eq!((&reasons[0]["reason"], &reasons[0]["since"]), (&wish["reason"], &since));
    assert_eq!(time(&reasons[0]["until"]).timestamp_millis(), end.timestamp_millis());
    // Without a time it lasts again until somebody resumes.
    service.pause(&json!({"reason": "menu migration"})).await.unwrap();
    assert_eq!(service.consumer().await.unwrap()["reasons"][0]["until"], Value::Null);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_whose_time_is_up_ends_by_itself_and_one_whose_time_was_up_at_once() {
    let (stage, dictionary) = with_dictionary("until", 1).await;
    let service = replica(&stage, LAYER, &[]).await;
    alone(&service).await;
    let end = in_seconds(8);
    service.pause(&pause_until(end)).await.unwrap();
    stage.produce(LAYER, orders(&dictionary, 1, 100)).await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    let report = service.consumer().await.unwrap();
    assert_eq!((&report["desired_state"], &report["reasons"]), (&json!("running"), &json!([])));
    let found = resumes(&service).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["actor"], "ordervault");
    assert!(found[0]["reason"].as_str().unwrap().contains("menu migration"), "{found:?}");
    assert!(time(&found[0]["created_at"]) >= end, "{found:?}");
    assert_eq!(service.finished(&found[0], PATIENCE).await.unwrap()["state"], "done");

    let paused = service.pause(&pause_until(in_seconds(-60))).await.unwrap();
    assert_eq!(paused["state"], "done");
    let report = service.consumer().await.unwrap();
    assert_eq!((&report["desired_state"], &report["reasons"]), (&json!("running"), &json!([])));
    stage.produce(LAYER, orders(&dictionary, 1_000, 100)).await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    let found = resumes(&service).await;
    assert_eq!((found.len(), &found[0]["actor"]), (2, &json!("ordervault")), "{found:?}");
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_whose_time_passes_while_no_member_is_alive_is_over_for_the_next_one() {
    let (stage, dictionary) = with_dictionary("until_alone", 1).await;
    let mut service = replica(&stage, LAYER, &[]).await;
    alone(&service).await;
    // Long enough that the member has been told, however slow it is, and is dead before it passes.
    let end = in_seconds(15);
    service.pause(&pause_until(end)).await.unwrap();
    service.kill().await.unwrap();
    assert!(Utc::now() < end, "the pause was over before the member was dead");
    stage.produce(LAYER, orders(&dictionary, 1, 100)).await.unwrap();
    until("the end of the pause", PATIENCE, async || Ok((Utc::now() > end).then_some(()))).await.unwrap();
    let service = replica(&stage, LAYER, &[]).await;
    stage.drained(LAYER, PATIENCE).await.unwrap();
    let found = resumes(&service).await;
    assert_eq!((found.len(), &found[0]["actor"]), (1, &json!("ordervault")), "{found:?}");
    assert_eq!(service.consumer().await.unwrap()["desired_state"], "running");
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_arrives_also_where_postgresql_tells_nobody_of_it() {
    let (stage, dictionary) = with_dictionary("untold", 1).await;
    // What is called in the place of PostgreSQL's own function tells nobody.
    let silent = format!(
        "create schema silent; \
         create function silent.pg_notify(text, text) returns void language sql as 'select'; \
         alter database {} set search_path = silent, pg_catalog, public",
        stage.name
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(silent)).execute(&stage.pool).await.unwrap();
    let service = replica(&stage, LAYER, &[]).await;
    alone(&service).await;
    let paused = service.pause(&json!({"reason": "menu migration"})).await.unwrap();
    assert_eq!(paused["progress"], json!({"members_total": 1, "members_done": 1}));
    let before = stage.footprint(LAYER).await.unwrap();
    stage.produce(LAYER, orders(&dictionary, 1, 100)).await.unwrap();
    stage.let_pass(LAYER, A_WHILE, PATIENCE).await.unwrap();
    assert_eq!(stage.footprint(LAYER).await.unwrap(), before, "a paused layer has worked");
    service.resume().await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_arrives_also_after_the_listening_connection_was_ended() {
    let (stage, _) = with_dictionary("deaf", 1).await;
    let service = replica(&stage, LAYER, &[]).await;
    for _ in 0..3 {
        let ended: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity \
             where datname = current_database() and application_name = $1",
        )
        .bind(format!("ordervault-{LAYER}"))
        .fetch_one(&stage.pool)
        .await
        .unwrap();
        assert!(ended > 0, "no connection was ended");
        // The API's own connections were ended as well: it says 503 until it has new ones.
        for path in ["pause", "resume"] {
            let path = format!("/api/v1/consumer/{path}?wait=60s");
            until("the order to be taken and done", PATIENCE, async || {
                let (status, operation) = service.post(&path, &json!({"reason": "menu migration"})).await?;
                Ok((status == 200).then(|| assert_eq!(operation["state"], "done")))
            })
            .await
            .unwrap();
        }
    }
    drop(service);
    stage.tear_down().await.unwrap();
}
