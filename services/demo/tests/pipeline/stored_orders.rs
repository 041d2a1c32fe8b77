//! Stored orders that are out of the ordinary when they are sent onward again: given up, without a readable time, far
//! apart, large.

use ordervault_demo::kafka::read_topic;
use ordervault_demo::stage::{Service, Stage};
use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::beginnings::with_replica;

const REPUBLISH: &str = "/api/v1/order-events/republish?wait=60s";
const REACH: i64 = 10_000;

/// Notes what each portion adds to a republication, and how far it takes it.
const WATCH: &str = "create table portions (records bigint, ids bigint); \
     create function watch() returns trigger language plpgsql as $$ begin \
         insert into public.portions values ((new.progress ->> 'done')::bigint - (old.progress ->> 'done')::bigint, \
             new.cursor::bigint - coalesce(old.cursor::bigint, 0)); \
         return null; end $$; \
     create trigger watch after update on ops.operations for each row execute function watch()";

async fn scene(name: &str) -> (Stage, Service) {
    with_replica(name, 1, "stg", &[]).await
}

/// An order of this stage's own user and restaurant, as it lies in the table.
fn payload(stage: &Stage, update_ts: &Value) -> Value {
    let id = |name: &str| format!("{}-{name}", stage.name);
    json!({
        "restaurant": {"id": id("r1")}, "date": "2023-08-05 06:29:05", "user": {"id": id("u1")},
        "order_items": [{"id": id("d1"), "name": "N", "price": 120, "quantity": 1}], "bonus_payment": 0, "cost": 120,
        "payment": 120, "bonus_grant": 0, "statuses": [], "final_status": "CLOSED", "update_ts": update_ts,
    })
}

async fn write_dictionary(stage: &Stage) {
    let id = |name: &str| format!("{}-{name}", stage.name);
    let mut redis = stage.redis.clone();
    let user = json!({"_id": id("u1"), "name": "U", "login": "l", "update_ts_utc": "2023-01-01 00:00:00"});
    let menu = json!([{"_id": id("d1"), "name": "N", "price": 120, "category": "C"}]);
    let restaurant = json!({"_id": id("r1"), "name": "R", "update_ts_utc": "2023-01-01 00:00:00", "menu": menu});
    for (key, value) in [(id("u1"), user), (id("r1"), restaurant)] {
        let _: () = redis.set(key, value.to_string()).await.unwrap();
    }
}

async fn put(stage: &Stage, id: i64, sent: &str, version: Option<&str>, payload: &Value) {
    sqlx::query(
        "insert into stg.order_events (object_id, object_type, sent_dttm, version, payload) \
         values ($1, 'order', $2::text::timestamp, $3::text::timestamp, $4::text::json)",
    )
    .bind(id)
    .bind(sent)
    .bind(version)
    .bind(payload.to_string())
    .execute(&stage.pool)
    .await
    .unwrap();
}

/// Republishes; returns the operation at its end.
async fn republished(service: &Service, selection: Value) -> Value {
    let mut request = json!({"dry_run": false, "max_per_second": 10_000});
    request.as_object_mut().unwrap().extend(selection.as_object().unwrap().clone());
    let (status, operation) = service.post(REPUBLISH, &request).await.unwrap();
    assert_eq!((status.as_u16(), &operation["state"]), (200, &json!("done")), "{operation}");
    operation
}

/// The messages that lie on the topic of DDS.
async fn onward(stage: &Stage) -> Vec<Value> {
    let (cluster, topic) = (stage.cluster.clone(), stage.source_topic("dds"));
    let read = tokio::task::spawn_blocking(move || {
        let mut messages = Vec::new();
        read_topic(&cluster, &topic, |record| messages.push(serde_json::from_slice(record.payload.unwrap()).unwrap()))
            .unwrap();
        messages
    });
    read.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_order_whose_letter_was_given_up_is_left_alone() {
    let (stage, service) = scene("given_up").await;
    put(&stage, 1, "2023-08-12 06:07:15", None, &payload(&stage, &Value::Null)).await;
    let first = republished(&service, json!({})).await;
    assert_eq!(first["progress"]["failed"], 1, "{first}");
    let letters = service.read("/api/v1/dead-letters?status=waiting").await.unwrap();
    let letter = format!("/api/v1/dead-letters/{}", letters["items"][0]["id"].as_str().unwrap());
    let (status, answer) = service.post(&format!("{letter}/discard"), &json!({"reason": "a test"})).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    let discarded = service.read(&letter).await.unwrap();

    write_dictionary(&stage).await;
    republished(&service, json!({})).await;
    assert_eq!(service.read(&letter).await.unwrap(), discarded);
    assert_eq!(onward(&stage).await, Vec::<Value>::new());
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_without_a_readable_time_of_sending_go_onward_with_the_version_that_their_payload_gives() {
    let (stage, service) = scene("infinite").await;
    write_dictionary(&stage).await;
    put(&stage, 1, "infinity", None, &payload(&stage, &Value::Null)).await;
    put(&stage, 2, "-infinity", Some("2023-08-06 00:00:00"), &payload(&stage, &json!("2023-08-06 00:00:00"))).await;
    put(&stage, 3, "290000-01-01", Some("infinity"), &payload(&stage, &Value::Null)).await;
    let operation = republished(&service, json!({})).await;
    assert_eq!(operation["progress"], json!({"matched": 3, "done": 3, "succeeded": 3, "failed": 0}));
    let versions: Vec<Value> = onward(&stage).await.iter().map(|order| order["payload"]["update_ts"].clone()).collect();
    assert_eq!(versions, ["2023-08-05 06:29:05", "2023-08-06 00:00:00", "2023-08-05 06:29:05"]);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_a_time_that_lie_far_apart_are_found_step_by_step() {
    let (stage, service) = scene("far_apart").await;
    write_dictionary(&stage).await;
    let others = "insert into stg.order_events (object_id, object_type, sent_dttm, payload) \
         select id, 'order', '2020-01-01', '{}' from generate_series(2, 34999) id";
    sqlx::query(others).execute(&stage.pool).await.unwrap();
    for id in [1, 35_000] {
        put(&stage, id, "2023-08-12 06:07:15", None, &payload(&stage, &Value::Null)).await;
    }
    sqlx::raw_sql(WATCH).execute(&stage.pool).await.unwrap();
    let operation = republished(&service, json!({"sent": {"from": "2023-01-01T00:00:00Z"}})).await;
    assert_eq!(operation["progress"], json!({"matched": 2, "done": 2, "succeeded": 2, "failed": 0}));
    assert_eq!(onward(&stage).await.len(), 2);
    let (widest, all): (i64, i64) =
        sqlx::query_as("select max(ids), sum(ids)::bigint from portions").fetch_one(&stage.pool).await.unwrap();
    // Nothing fits after the last of them.
    assert_eq!((widest, all), (REACH, 35_000));
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn large_orders_are_sent_onward_a_few_at_a_time() {
    let (stage, service) = scene("large_orders").await;
    let large = "insert into stg.order_events (object_id, object_type, sent_dttm, payload) \
         select id, 'order', '2023-01-01', json_build_object('large', repeat('x', 1000000)) from generate_series(1, 30) id";
    sqlx::query(large).execute(&stage.pool).await.unwrap();
    sqlx::raw_sql(WATCH).execute(&stage.pool).await.unwrap();
    let operation = republished(&service, json!({})).await;
    assert_eq!(operation["progress"]["done"], 30, "{operation}");
    let most: i64 = sqlx::query_scalar("select max(records) from portions").fetch_one(&stage.pool).await.unwrap();
    // Eight are not yet 8 MiB.
    assert_eq!(most, 9);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_take_too_long_to_be_counted_are_estimated() {
    let (stage, service) = scene("uncounted").await;
    let slow = "alter table stg.order_events rename to hidden; \
         create view stg.order_events as select hidden.* from stg.hidden, pg_sleep(600); \
         insert into stg.hidden (object_id, object_type, sent_dttm, payload) \
         select id, 'order', '2023-01-01', '{}' from generate_series(1, 1000) id; analyze stg.hidden";
    sqlx::raw_sql(slow).execute(&stage.pool).await.unwrap();
    let request = json!({"ids": {"to": 1000}});
    let (status, answer) = service.post("/api/v1/order-events/republish", &request).await.unwrap();
    assert_eq!((status.as_u16(), &answer["count"]), (200, &json!(1000)), "{answer}");
    drop(service);
    stage.tear_down().await.unwrap();
}
