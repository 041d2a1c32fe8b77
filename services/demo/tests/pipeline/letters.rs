//! Dead letters as an operator meets them: listed, counted, looked at, given up.

use std::collections::BTreeSet;
use std::time::Duration;

use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{OPERATOR, Service, Stage, until};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::beginnings::with_replica;

const LAYER: &str = "cdm";
const PATIENCE: Duration = Duration::from_mins(2);
const DRAIN: Duration = Duration::from_mins(10);
const LETTERS: usize = 10_000;
const SETTINGS: [(&str, &str); 1] = [("DEAD_LETTER_BREAKER_PERCENT", "100")];

async fn scene(name: &str, partitions: i32) -> (Stage, Service) {
    with_replica(name, partitions, LAYER, &SETTINGS).await
}

/// Records that are no orders, over the partitions; of every third the fault is another one.
fn bad(count: usize) -> impl Iterator<Item = Produced> {
    (0..count).map(|place| Produced {
        key: None,
        partition: i32::try_from(place % 3).ok(),
        payload: if place % 9 < 3 { b"nonsense".to_vec() } else { br#"{"object_id": 1}"#.to_vec() },
    })
}

fn order(number: u32, status: &str) -> Produced {
    let id = |number: u32| format!("00000000-0000-5000-8000-{number:012}");
    let order = json!({
        "object_id": id(number), "object_type": "order_report", "sent_dttm": "2023-08-12 06:07:15",
        "payload": {
            "id": id(number), "order_dt": "2023-08-05 06:29:05", "status": status,
            "restaurant": {"id": id(1), "name": "R"}, "user": {"id": id(2), "username": "U"},
            "products": [{"id": id(3), "name": "N", "category": {"id": id(4), "name": "C"}}],
        },
    });
    Produced { key: None, partition: Some(0), payload: order.to_string().into_bytes() }
}

async fn page(service: &Service, query: &str, cursor: &Value) -> Value {
    let cursor = cursor.as_str().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    service.read(&format!("/api/v1/dead-letters?{query}{cursor}")).await.unwrap()
}

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect()
}

/// The ids that a list gives, page by page; after each page `between` is done.
async fn all(service: &Service, query: &str, mut between: impl AsyncFnMut()) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let page = page(service, query, &cursor).await;
        found.extend(ids(&page));
        cursor = page["next_cursor"].clone();
        if cursor.is_null() {
            return found;
        }
        between().await;
    }
}

async fn in_the_table(stage: &Stage) -> BTreeSet<String> {
    let ids: Vec<String> =
        sqlx::query_scalar("select id::text from ops.dead_letters").fetch_all(&stage.pool).await.unwrap();
    ids.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_gives_every_letter_once_while_new_ones_come_and_the_summary_is_a_count() {
    let (stage, service) = scene("letters", 3).await;
    stage.produce(LAYER, bad(LETTERS)).await.unwrap();
    stage.drained(LAYER, DRAIN).await.unwrap();
    let before = in_the_table(&stage).await;
    assert_eq!(before.len(), LETTERS);
    let found = all(&service, "limit=1000", async || {
        stage.produce(LAYER, bad(30)).await.unwrap();
        stage.drained(LAYER, DRAIN).await.unwrap();
    })
    .await;
    assert!(found.is_sorted_by(|one, next| one > next), "not the newest first, or one of them twice");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), before);
    assert!(in_the_table(&stage).await.len() > LETTERS, "no new ones came");

    let counted: Vec<(String, i64)> =
        sqlx::query_as("select code, count(*) from ops.dead_letters group by 1 order by 2 desc, 1")
            .fetch_all(&stage.pool)
            .await
            .unwrap();
    assert_eq!(counted.len(), 2, "{counted:?}");
    let summary = service.read("/api/v1/dead-letters/summary").await.unwrap();
    let said: Vec<(String, i64)> = summary["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            assert_eq!(item["status"], "open");
            (item["code"].as_str().unwrap().to_owned(), item["count"].as_i64().unwrap())
        })
        .collect();
    assert_eq!(said, counted);
    let filtered = all(&service, "limit=1000&status=open&partition=1&code=invalid_json", async || {}).await;
    let expected: Vec<String> = sqlx::query_scalar(
        "select id::text from ops.dead_letters where partition = 1 and code = 'invalid_json' order by id desc",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    assert_eq!(filtered, expected);
    assert_eq!(all(&service, "status=resolved", async || {}).await, Vec::<String>::new());
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_shown_with_key_headers_and_value_byte_for_byte() {
    let (stage, service) = scene("letter", 1).await;
    let header = |key, value: Option<&'static [u8]>| Header { key, value };
    let headers = OwnedHeaders::new()
        .insert(header("traceparent", Some(b"00-ab-cd-01")))
        .insert(header("twice", Some(b"\xff\x00")))
        .insert(header("twice", Some(b"")))
        .insert(header("none", None::<&[u8]>));
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &stage.cluster.brokers).create().unwrap();
    let topic = stage.source_topic(LAYER);
    let record = FutureRecord::to(&topic).key(&b"\x80key"[..]).payload(&b"\xff\xfe\x00"[..]).headers(headers);
    producer.send(record, PATIENCE).await.unwrap();
    let record = FutureRecord::<[u8], [u8]>::to(&topic).payload("näher".as_bytes());
    producer.send(record, PATIENCE).await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();

    let list = ids(&page(&service, "limit=10", &Value::Null).await);
    let mut letters = Vec::new();
    for id in &list {
        letters.push(service.read(&format!("/api/v1/dead-letters/{id}")).await.unwrap());
    }
    letters.sort_by_key(|letter| letter["offset"].as_i64());
    let binary = &letters[0];
    assert_eq!((&binary["code"], &binary["value_bytes"]), (&json!("invalid_utf8"), &json!(3)));
    assert_eq!((&binary["topic"], &binary["partition"], &binary["offset"]), (&json!(topic), &json!(0), &json!(0)));
    assert_eq!((&binary["attempts"], &binary["status"]), (&json!(1), &json!("open")));
    assert_eq!(binary["value"], json!({"base64": "//4A", "text": null}));
    assert_eq!(binary["key"], json!({"base64": "gGtleQ==", "text": null}));
    let headers = json!([
        {"name": "traceparent", "base64": "MDAtYWItY2QtMDE=", "text": "00-ab-cd-01"},
        {"name": "twice", "base64": "/wA=", "text": null},
        {"name": "twice", "base64": "", "text": ""},
        {"name": "none", "base64": null, "text": null},
    ]);
    assert_eq!(binary["headers"], headers);
    let text = &letters[1];
    assert_eq!(text["code"], "invalid_json");
    assert_eq!((&text["key"], &text["headers"]), (&Value::Null, &json!([])));
    assert_eq!(text["value"], json!({"base64": "bsOkaGVy", "text": "näher"}));
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_letter_stays_so_with_its_reason_also_when_its_record_is_read_once_more() {
    let (stage, service) = scene("discards", 1).await;
    stage
        .pool
        .execute("alter table cdm.order_ledger add constraint no_poison check (status <> 'POISON')")
        .await
        .unwrap();
    stage.produce(LAYER, [order(11, "POISON"), order(12, "POISON"), order(13, "CLOSED")]).await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    let list = ids(&page(&service, "status=open", &Value::Null).await);
    assert_eq!(list.len(), 2, "{list:?}");
    let letter = format!("/api/v1/dead-letters/{}", list[0]);
    let discard = format!("{letter}/discard");
    for without in [json!({}), json!({"reason": null}), json!({"reason": " "})] {
        let (status, problem) = service.post(&discard, &without).await.unwrap();
        assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("invalid_field")), "{without}: {problem}");
    }
    assert_eq!(service.read(&letter).await.unwrap()["status"], "open");
    let (status, operation) = service.post(&discard, &json!({"reason": "a test order"})).await.unwrap();
    assert_eq!(status, 202);
    let operation = service.operation(&operation["id"]).await.unwrap();
    assert_eq!((&operation["kind"], &operation["state"]), (&json!("dead_letter_discard"), &json!("done")));
    assert_eq!((&operation["actor"], &operation["reason"]), (&json!(OPERATOR), &json!("a test order")));
    let discarded = service.read(&letter).await.unwrap();
    assert_eq!((&discarded["status"], &discarded["closed_by"]), (&json!("discarded"), &json!(OPERATOR)));
    assert_eq!(discarded["closed_reason"], "a test order");
    for (path, body) in [(&discard, json!({"reason": "again"})), (&format!("{letter}/replay"), json!({}))] {
        let (status, problem) = service.post(path, &body).await.unwrap();
        assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("dead_letter_closed")), "{path}: {problem}");
    }
    let dry_run = service.post("/api/v1/dead-letters/replays", &json!({})).await.unwrap();
    assert_eq!((dry_run.0.as_u16(), dry_run.1), (200, json!({"dry_run": true, "count": 1})));

    // The same records come once more: first as bad as before, then with nothing in the way of any of them.
    let again = json!({"to": "earliest", "dry_run": false, "reason": "a second look"});
    assert_eq!(service.reset(&again).await.unwrap()["state"], "done");
    stage.drained(LAYER, PATIENCE).await.unwrap();
    assert_eq!(service.read(&letter).await.unwrap(), discarded);
    stage.pool.execute("alter table cdm.order_ledger drop constraint no_poison").await.unwrap();
    assert_eq!(service.reset(&again).await.unwrap()["state"], "done");
    let other = format!("/api/v1/dead-letters/{}", list[1]);
    until("the other letter", PATIENCE, async || {
        Ok((service.read(&other).await?["status"] == "resolved").then_some(()))
    })
    .await
    .unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    assert_eq!(service.read(&letter).await.unwrap(), discarded);
    let counted: i64 =
        sqlx::query_scalar("select order_cnt from cdm.user_product_counters").fetch_one(&stage.pool).await.unwrap();
    assert_eq!(counted, 2, "the given up order counts");
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_given_up_while_a_replay_has_it_in_hand_stays_given_up() {
    let (stage, service) = scene("in_hand", 1).await;
    let refuse = "alter table cdm.order_ledger add constraint no_poison check (status <> 'POISON')";
    stage.pool.execute(refuse).await.unwrap();
    stage.produce(LAYER, [order(11, "POISON")]).await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    stage.pool.execute("alter table cdm.order_ledger drop constraint no_poison").await.unwrap();
    let letter =
        format!("/api/v1/dead-letters/{}", ids(&page(&service, "status=open", &Value::Null).await).first().unwrap());

    let mut held = stage.pool.begin().await.unwrap();
    held.execute("lock table cdm.order_ledger in access exclusive mode").await.unwrap();
    let (status, replay) = service.post(&format!("{letter}/replay"), &json!({})).await.unwrap();
    assert_eq!(status, 202, "{replay}");
    until("the letter in hand", PATIENCE, async || {
        let waits: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')",
        )
        .fetch_one(&stage.pool)
        .await?;
        Ok(waits.then_some(()))
    })
    .await
    .unwrap();
    let (status, answer) =
        service.post(&format!("{letter}/discard"), &json!({"reason": "a test order"})).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    let discarded = service.read(&letter).await.unwrap();
    held.rollback().await.unwrap();
    assert_eq!(service.finished(&replay, PATIENCE).await.unwrap()["state"], "done");
    assert_eq!(service.read(&letter).await.unwrap(), discarded);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_fits_few_of_many_rows_is_answered_from_an_index() {
    let (stage, service) = scene("filters", 1).await;
    let many = "insert into ops.dead_letters (id, layer, topic, partition, \"offset\", record_time, value, header_names, \
                    header_values, code, message, status, first_seen) \
                select gen_random_uuid(), 'cdm', 't', i % 3, i, now(), convert_to(repeat('x', 500), 'UTF8'), '{}', '{}', \
                    'code ' || i % 3, 'm', 'open', now() - i * interval '1 s' from generate_series(1, 20000) i; \
                insert into ops.operations (id, layer, kind, state, actor, request, finished_at) \
                select gen_random_uuid(), 'cdm', 'pause', 'done', 'alice', '{}', now() from generate_series(1, 20000) i; \
                vacuum analyze ops.dead_letters; vacuum analyze ops.operations";
    for statement in many.split("; ") {
        stage.pool.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
    let long_ago = "from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z";
    for (path, index) in [
        ("dead-letters?code=rare".to_owned(), "dead_letters_code"),
        ("dead-letters?partition=99".to_owned(), "dead_letters_partition"),
        (format!("dead-letters?{long_ago}"), "dead_letters_first_seen"),
        ("dead-letters/summary".to_owned(), "dead_letters_summary"),
        ("operations?kind=republish".to_owned(), "operations_kind"),
    ] {
        service.read(&format!("/api/v1/{path}")).await.unwrap();
        until(index, PATIENCE, async || {
            // The server counts a scan a moment after it.
            let sql = "select idx_scan > 0 from pg_stat_user_indexes where schemaname = 'ops' and indexrelname = $1";
            let used: bool = sqlx::query_scalar(sql).bind(index).fetch_one(&stage.pool).await?;
            Ok(used.then_some(()))
        })
        .await
        .unwrap();
    }
    drop(service);
    stage.tear_down().await.unwrap();
}
