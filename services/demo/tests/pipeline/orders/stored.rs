//! `GET /api/v1/order-events/{id}`: the stored version, and the record that brought it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Service, Stage, until};
use redis::AsyncCommands as _;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sqlx::Executor as _;

use super::scene::{PATIENCE, Said, Scene, assert_refused};

/// As a binary of the release before writes a row.
const OLDER: &str = "insert into stg.order_events as e (object_id, object_type, sent_dttm, payload, version) \
     select id, 'order', at, payload::json, at from (values ($1::bigint, $2::text::timestamp, $3::text)) r(id, at, payload) \
     on conflict (object_id) do update \
     set object_type = excluded.object_type, sent_dttm = excluded.sent_dttm, payload = excluded.payload, \
         version = excluded.version \
     where coalesce(e.version, e.sent_dttm) <= excluded.version";

#[derive(Deserialize)]
struct Shown<'a> {
    object_id: i64,
    object_type: &'a str,
    version: DateTime<Utc>,
    sent_dttm: DateTime<Utc>,
    stored_at: DateTime<Utc>,
    topic: &'a str,
    partition: i32,
    offset: i64,
    #[serde(borrow)]
    payload: &'a RawValue,
}

async fn shown(service: &Service, order: i64) -> String {
    let (status, body) = service.get(&format!("/api/v1/order-events/{order}")).await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

/// Of the records that bear the newest version, partition by partition, those that may have brought what is stored: the last
/// that said something else than the one before it.
fn bringers(versions: &[Said]) -> Vec<&Said> {
    let at = versions.iter().map(|version| version.at).max().unwrap();
    let mut bringers: BTreeMap<i32, &Said> = BTreeMap::new();
    for version in versions.iter().filter(|version| version.at == at) {
        let held = bringers.entry(version.partition).or_insert(version);
        if (version.sent, &version.text) != (held.sent, &held.text) {
            *held = version;
        }
    }
    bringers.into_values().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_order_is_shown_to_the_letter_with_the_record_that_brought_it_also_after_all_came_once_more() {
    let mut scene = Scene::set("stored", &["stg"], 600).await;
    let said = scene.said().await;
    let (mut duplicates, mut late, mut steady) = (0, 0, BTreeMap::new());
    for (order, versions) in &said {
        let body = shown(scene.asked(), *order).await;
        let shown: Shown<'_> = serde_json::from_str(&body).unwrap();
        let bringers = bringers(versions);
        let place = (shown.partition, shown.offset);
        let brought = bringers.iter().find(|version| (version.partition, version.offset) == place);
        let brought = brought.unwrap_or_else(|| panic!("{place:?} has not brought what is stored of order {order}"));
        assert_eq!((shown.object_id, shown.object_type), (*order, "order"));
        assert_eq!(shown.topic, scene.stage.source_topic("stg"));
        assert_eq!((shown.version, shown.sent_dttm), (brought.at.and_utc(), brought.sent.and_utc()), "{body}");
        assert_eq!(shown.payload.get(), brought.text);
        assert!(shown.stored_at >= brought.entered, "{body}");

        let of_newest: Vec<&Said> = versions.iter().filter(|version| version.at == brought.at).collect();
        duplicates += of_newest.len() - 1;
        let comes_after = |other: &Said| other.partition == brought.partition && other.offset > brought.offset;
        late += usize::from(versions.iter().any(|other| other.at < brought.at && comes_after(other)));
        // Of equal versions that differ the one processed later stays, and that may be another one the next time.
        if of_newest.iter().all(|version| (version.sent, &version.text) == (brought.sent, &brought.text)) {
            steady.insert(*order, body);
        }
    }
    println!("{duplicates} duplicates, {late} late versions, {} of {} steady", steady.len(), said.len());
    assert!(duplicates > 0 && late > 0 && steady.len() > 500);
    scene.again().await;
    for (order, before) in steady {
        assert_eq!(shown(scene.asked(), order).await, before);
    }
    scene.end().await;
}

/// An order of this stage's own user and restaurant.
fn payload(stage: &Stage, status: &str, at: &str) -> Value {
    let id = |name: &str| format!("{}-{name}", stage.name);
    json!({
        "restaurant": {"id": id("r1")}, "date": "2023-08-05 06:29:05", "user": {"id": id("u1")},
        "order_items": [{"id": id("d1"), "name": "N", "price": 120, "quantity": 1}], "cost": 120, "payment": 120,
        "final_status": status, "update_ts": at,
    })
}

fn message(order: i64, payload: &Value, partition: i32) -> Produced {
    let message = json!({"object_id": order, "object_type": "order", "payload": payload});
    Produced { key: None, partition: Some(partition), payload: message.to_string().into_bytes() }
}

async fn write_dictionary(stage: &Stage) {
    let id = |name: &str| format!("{}-{name}", stage.name);
    let user = json!({"_id": id("u1"), "name": "U", "login": "l", "update_ts_utc": "2023-01-01 00:00:00"});
    let menu = json!([{"_id": id("d1"), "name": "N", "price": 120, "category": "C"}]);
    let restaurant = json!({"_id": id("r1"), "name": "R", "update_ts_utc": "2023-01-01 00:00:00", "menu": menu});
    for (key, value) in [(id("u1"), user), (id("r1"), restaurant)] {
        let _: () = stage.redis.clone().set(key, value.to_string()).await.unwrap();
    }
}

async fn scene(name: &str) -> (Stage, Service) {
    let stage = Stage::build(name, 2).await.unwrap();
    let service = stage.start("stg", &[("DEAD_LETTER_BREAKER_PERCENT", "100")]).unwrap();
    service.ready(PATIENCE).await.unwrap();
    (stage, service)
}

fn place(body: &str) -> [Value; 4] {
    let shown: Value = serde_json::from_str(body).unwrap();
    ["stored_at", "topic", "partition", "offset"].map(|name| shown[name].clone())
}

async fn letters(stage: &Stage, status: &str, count: i64) {
    until(&format!("{count} letters that are {status}"), PATIENCE, async || {
        let sql = "select count(*) from ops.dead_letters where status = $1";
        let found: i64 = sqlx::query_scalar(sql).bind(status).fetch_one(&stage.pool).await?;
        Ok((found == count).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_tried_again_keeps_its_place_and_an_order_sent_onward_from_the_table_gets_none() {
    let (stage, service) = scene("tried_again").await;
    let order = payload(&stage, "CLOSED", "2023-08-06 00:00:00");
    stage.pool.execute("alter table stg.order_events add constraint no_nine check (object_id <> 9)").await.unwrap();
    let skipped = |_| Produced { key: None, partition: Some(1), payload: br#"{"object_type": "other"}"#.to_vec() };
    let records = (0..3).map(skipped).chain([message(7, &order, 1), message(9, &order, 1)]);
    stage.produce("stg", records).await.unwrap();
    stage.drained("stg", PATIENCE).await.unwrap();
    let seven = shown(&service, 7).await;
    let topic = json!(stage.source_topic("stg"));
    assert_eq!(place(&seven)[1..], [topic.clone(), json!(1), json!(3)]);
    assert_refused(&service, "/api/v1/order-events/9", 404, "order_event_not_found").await;

    // A row that was taken over waits as well, once it is to go onward.
    sqlx::query("insert into stg.order_events (object_id, object_type, sent_dttm, payload) values (8, 'order', '2023-08-06', $1)")
        .bind(&order)
        .execute(&stage.pool)
        .await
        .unwrap();
    let republish = json!({"ids": {"from": 8}, "dry_run": false});
    let (status, done) = service.post("/api/v1/order-events/republish?wait=60s", &republish).await.unwrap();
    assert_eq!((status.as_u16(), &done["progress"]["failed"]), (200, &json!(1)), "{done}");
    letters(&stage, "waiting", 2).await;
    stage.pool.execute("alter table stg.order_events drop constraint no_nine").await.unwrap();
    write_dictionary(&stage).await;
    letters(&stage, "resolved", 2).await;
    let replay = json!({"filter": {"status": "open"}, "dry_run": false});
    let (status, done) = service.post("/api/v1/dead-letters/replays?wait=60s", &replay).await.unwrap();
    assert_eq!((status.as_u16(), &done["progress"]["succeeded"]), (200, &json!(1)), "{done}");

    assert_eq!(shown(&service, 7).await, seven);
    assert_eq!(place(&shown(&service, 8).await), [Value::Null, Value::Null, Value::Null, Value::Null]);
    assert_eq!(place(&shown(&service, 9).await)[1..], [topic, json!(1), json!(4)]);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_a_binary_one_release_older_stores_is_shown_without_a_place() {
    let (stage, service) = scene("older").await;
    write_dictionary(&stage).await;
    stage.produce("stg", [message(1, &payload(&stage, "OPEN", "2023-08-06 00:00:00"), 0)]).await.unwrap();
    stage.drained("stg", PATIENCE).await.unwrap();
    assert_eq!(place(&shown(&service, 1).await)[1..], [json!(stage.source_topic("stg")), json!(0), json!(0)]);
    for (order, at) in [(1, "2023-08-07 00:00:00"), (2, "2023-08-07 00:00:00"), (1, "2023-08-05 00:00:00")] {
        let payload = payload(&stage, "COOKING", at).to_string();
        sqlx::query(OLDER).bind(order).bind(at).bind(payload).execute(&stage.pool).await.unwrap();
    }
    for order in [1, 2] {
        let body = shown(&service, order).await;
        assert_eq!(place(&body), [Value::Null, Value::Null, Value::Null, Value::Null], "{body}");
        let held: Value = serde_json::from_str(&body).unwrap();
        let said = (&held["version"], &held["payload"]["final_status"]);
        assert_eq!(said, (&json!("2023-08-07T00:00:00Z"), &json!("COOKING")));
    }
    stage.produce("stg", [message(1, &payload(&stage, "CLOSED", "2023-08-08 00:00:00"), 1)]).await.unwrap();
    stage.drained("stg", PATIENCE).await.unwrap();
    assert_eq!(place(&shown(&service, 1).await)[1..], [json!(stage.source_topic("stg")), json!(1), json!(0)]);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_order_that_is_not_there_or_cannot_be_is_not_found_and_one_without_readable_times_is_shown() {
    let (stage, service) = scene("odd_events").await;
    let infinite = "insert into stg.order_events (object_id, object_type, sent_dttm, payload, version) values \
         (-9223372036854775808, 'order', 'infinity', '{\"cost\": 1E+2}', '290000-01-01')";
    stage.pool.execute(infinite).await.unwrap();
    let least = shown(&service, i64::MIN).await;
    assert!(least.ends_with(r#""payload":{"cost": 1E+2}}"#), "{least}");
    let held: Value = serde_json::from_str(&least).unwrap();
    assert_eq!((&held["sent_dttm"], &held["version"]), (&Value::Null, &Value::Null), "{least}");
    for id in ["1", "-1", "9223372036854775808", "1.0", "one", "%31%30", "%FF", "%00", "1%2F2", "%20"] {
        assert_refused(&service, &format!("/api/v1/order-events/{id}"), 404, "order_event_not_found").await;
    }
    assert_refused(&service, "/api/v1/order-events/1?version=1", 400, "unknown_parameter").await;
    drop(service);
    stage.tear_down().await.unwrap();
}
