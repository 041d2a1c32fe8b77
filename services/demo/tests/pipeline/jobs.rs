//! Jobs whose surroundings make them wait, whose questions cannot be answered, and whose records are large.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ordervault_demo::orders::Produced;
use ordervault_demo::proxy::Cut;
use ordervault_demo::stage::{OPERATOR, Service, Stage, until};
use serde_json::{Value, json};
use sqlx::Executor as _;
use uuid::Uuid;

use crate::beginnings::with_replica;
use crate::proxied::behind_a_proxy;

const PATIENCE: Duration = Duration::from_mins(1);
const SETTINGS: [(&str, &str); 1] = [("DEAD_LETTER_BREAKER_PERCENT", "100")];
/// As many letters of a megabyte as come before a portion has its 8 MiB, and the one with which it has them.
const LARGE_AT_ONCE: i64 = 9;
const LARGE: i64 = 30;
/// Whether a transaction waits for another one.
const WAITS: &str =
    "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";
const NOBODY_WAITS: &str =
    "select not exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";

async fn scene(name: &str) -> (Stage, Service) {
    with_replica(name, 1, "stg", &SETTINGS).await
}

/// Records that are at fault.
async fn letters(stage: &Stage, count: usize) -> Vec<Uuid> {
    let bad = Produced { key: None, partition: Some(0), payload: b"nonsense".to_vec() };
    stage.produce("stg", vec![bad; count]).await.unwrap();
    stage.drained("stg", PATIENCE).await.unwrap();
    let found: Vec<Uuid> = sqlx::query_scalar("select id from ops.dead_letters").fetch_all(&stage.pool).await.unwrap();
    assert_eq!(found.len(), count);
    found
}

/// A job as it is recorded when it is asked for; returns it as far as its id.
async fn ordered(stage: &Stage, kind: &str, request: &Value) -> Value {
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into ops.operations (id, layer, kind, state, actor, request, progress) \
         values ($1, 'stg', $2, 'accepted', 'a test', $3, '{\"matched\":0,\"done\":0,\"succeeded\":0,\"failed\":0}')",
    )
    .bind(id)
    .bind(kind)
    .bind(request)
    .execute(&stage.pool)
    .await
    .unwrap();
    json!({"id": id})
}

async fn cancel(service: &Service, operation: &Value) {
    let path = format!("/api/v1/operations/{}/cancel", operation["id"].as_str().unwrap());
    let (status, answer) = service.post(&path, &json!({})).await.unwrap();
    assert_eq!(status, 202, "{answer}");
}

/// Waits until a question to the database is answered with true.
async fn true_of(stage: &Stage, what: &str, sql: &'static str) {
    until(what, PATIENCE, async || {
        let answer: bool = sqlx::query_scalar(sql).fetch_one(&stage.pool).await.unwrap();
        Ok(answer.then_some(()))
    })
    .await
    .unwrap();
}

async fn count(stage: &Stage, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&stage.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_to_wait_within_a_portion_is_kept_and_hears_that_it_is_cancelled() {
    let (stage, service) = scene("kept").await;
    letters(&stage, 1).await;
    // The letter is in hand until it can be stored once more.
    let mut held = stage.pool.begin().await.unwrap();
    held.execute("select from ops.dead_letters for update").await.unwrap();
    let request = json!({"dry_run": false});
    let (status, operation) = service.post("/api/v1/dead-letters/replays", &request).await.unwrap();
    assert_eq!(status, 202, "{operation}");
    true_of(&stage, "the letter in hand", WAITS).await;
    let lease = async || -> Option<DateTime<Utc>> {
        let id: Uuid = operation["id"].as_str().unwrap().parse().unwrap();
        let lease = sqlx::query_scalar("select lease_until from ops.operations where id = $1").bind(id);
        lease.fetch_one(&stage.pool).await.unwrap()
    };
    let first = lease().await;
    until("a longer lease", PATIENCE, async || Ok((lease().await > first).then_some(()))).await.unwrap();
    cancel(&service, &operation).await;
    let cancelled = service.finished(&operation, PATIENCE).await.unwrap();
    assert_eq!((&cancelled["state"], &cancelled["cancelled_by"]), (&json!("cancelled"), &json!(OPERATOR)));
    held.rollback().await.unwrap();
    // What it had in hand was dropped, and with it all that it was about to write.
    true_of(&stage, "an end of all waiting", NOBODY_WAITS).await;
    assert_eq!(service.finished(&operation, PATIENCE).await.unwrap(), cancelled);
    assert_eq!(count(&stage, "select attempts::bigint from ops.dead_letters").await, 1);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_read_fails_and_says_why() {
    let (stage, service) = scene("unreadable").await;
    let operation = ordered(&stage, "dead_letter_replay", &json!({"filter": 7, "max_per_second": 1})).await;
    let failed = service.finished(&operation, PATIENCE).await.unwrap();
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("LetterFilter"), "{failed}");
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_source_is_away_hears_that_it_is_cancelled() {
    let (stage, service) = scene("away").await;
    let away = "alter table stg.order_events rename to hidden; \
         create function stg.away() returns boolean language plpgsql as \
         $$ begin raise exception 'not now' using errcode = '53300'; end $$; \
         create view stg.order_events as select * from stg.hidden where stg.away(); \
         insert into stg.hidden (object_id, object_type, sent_dttm, payload) values (1, 'order', now(), '{}')";
    sqlx::raw_sql(away).execute(&stage.pool).await.unwrap();
    let operation = ordered(&stage, "republish", &json!({"selection": {}, "max_per_second": 1})).await;
    true_of(&stage, "a member at work", "select exists (select from ops.operations where runner is not null)").await;
    cancel(&service, &operation).await;
    let cancelled = service.finished(&operation, PATIENCE).await.unwrap();
    assert_eq!((&cancelled["state"], &cancelled["cancelled_by"]), (&json!("cancelled"), &json!(OPERATOR)));
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_replayed_while_orders_are_republished_for_hours() {
    let (stage, service) = scene("beside").await;
    let letter = letters(&stage, 1).await[0];
    let rows = "insert into stg.order_events (object_id, object_type, sent_dttm, payload) \
         select id, 'order', now(), '{}' from generate_series(1, 10000) id";
    stage.pool.execute(rows).await.unwrap();
    let request = json!({"dry_run": false, "max_per_second": 1});
    let (_, long) = service.post("/api/v1/order-events/republish", &request).await.unwrap();
    true_of(&stage, "a member at work", "select exists (select from ops.operations where runner is not null)").await;
    let path = format!("/api/v1/dead-letters/{letter}/replay?wait=30s");
    let (status, replayed) = service.post(&path, &json!({})).await.unwrap();
    assert_eq!((status.as_u16(), &replayed["state"]), (200, &json!("done")), "{replayed}");
    assert_eq!(service.operation(&long["id"]).await.unwrap()["state"], "running");
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_done_though_the_databases_host_dies_without_a_word_while_it_is_looked_for() {
    let (environment, proxy) = behind_a_proxy("PG_WAREHOUSE_HOST", "PG_WAREHOUSE_PORT").await;
    let stage = Stage::build_on(environment, "silent", 1).await.unwrap();
    let looks = b"set runner";
    proxy.cut_when(Cut::Silently, 2, move |piece| piece.windows(looks.len()).any(|window| window == looks));
    let service = stage.start("stg", &SETTINGS).unwrap();
    service.ready(PATIENCE).await.unwrap();
    // Each kind of job is looked for by itself.
    until("the silence", PATIENCE, async || Ok((proxy.cuts_left() < 2).then_some(()))).await.unwrap();
    let operation = ordered(&stage, "republish", &json!({"selection": {}, "max_per_second": 1})).await;
    // It takes a minute to know that there is no answer.
    assert_eq!(service.finished(&operation, 3 * PATIENCE).await.unwrap()["state"], "done");
    drop(service);
    stage.tear_down().await.unwrap();
}

/// Letters of a megabyte, in the middle of nowhere.
async fn large_letters(stage: &Stage, status: &str) {
    sqlx::query(
        r#"insert into ops.dead_letters (id, layer, topic, partition, "offset", record_time, value, header_names,
                                         header_values, code, message, status, next_attempt_at)
           select gen_random_uuid(), 'stg', 'large', 0, place, now(), decode(repeat('ff', 1000000), 'hex'), '{}', '{}',
                  'large', 'large', $1, now()
           from generate_series(1, $2::bigint) place"#,
    )
    .bind(status)
    .bind(LARGE)
    .execute(&stage.pool)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn large_letters_are_replayed_a_few_at_a_time() {
    let (stage, service) = scene("large").await;
    large_letters(&stage, "open").await;
    let watch = "create table portions (records bigint); \
         create function watch() returns trigger language plpgsql as $$ begin \
             insert into public.portions values ((new.progress ->> 'done')::bigint - (old.progress ->> 'done')::bigint); \
             return null; end $$; \
         create trigger watch after update on ops.operations for each row execute function watch()";
    sqlx::raw_sql(watch).execute(&stage.pool).await.unwrap();
    let request = json!({"dry_run": false, "max_per_second": 5_000});
    let (_, operation) = service.post("/api/v1/dead-letters/replays?wait=60s", &request).await.unwrap();
    assert_eq!((&operation["state"], &operation["progress"]["failed"]), (&json!("done"), &json!(LARGE)), "{operation}");
    assert_eq!(count(&stage, "select max(records) from portions").await, LARGE_AT_ONCE);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn large_letters_that_wait_are_tried_again_a_few_at_a_time() {
    let (stage, service) = scene("large_waiting").await;
    let watch = "create table portions (records bigint); \
         create function watch() returns trigger language plpgsql as $$ begin \
             insert into public.portions select count(*) from changed; return null; end $$; \
         create trigger watch after update on ops.dead_letters referencing new table as changed \
             for each statement execute function watch()";
    sqlx::raw_sql(watch).execute(&stage.pool).await.unwrap();
    large_letters(&stage, "waiting").await;
    true_of(&stage, "all", "select not exists (select from ops.dead_letters where status = 'waiting')").await;
    assert_eq!(count(&stage, "select max(records) from portions").await, LARGE_AT_ONCE);
    drop(service);
    stage.tear_down().await.unwrap();
}
