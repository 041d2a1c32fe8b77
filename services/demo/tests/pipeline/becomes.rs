//! What becomes of a record: the design's table, row by row, through the running services.

use std::collections::BTreeMap;
use std::time::Duration;

use ordervault_demo::kafka;
use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Stage, until};
use serde_json::{Value, json};
use sqlx::Executor as _;

const PATIENCE: Duration = Duration::from_mins(1);

/// What is expected of a record.
#[derive(Clone, Debug)]
enum Becomes {
    /// A row, a message onward, no dead letter.
    Good,
    /// Nothing but a count under this outcome.
    Skipped(&'static str),
    /// A dead letter that is `open`, with this code.
    Open(&'static str),
    /// A row, and a dead letter that is `waiting`, with this code.
    Waiting(&'static str),
}
use Becomes::{Good, Open, Skipped, Waiting};

/// A change of one place of a good record; `None` takes the place away.
fn with(good: &Value, pointer: &str, value: Option<Value>) -> Vec<u8> {
    let mut changed = good.clone();
    if let Some(value) = value {
        *changed.pointer_mut(pointer).unwrap() = value;
    } else {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    }
    changed.to_string().into_bytes()
}

fn source_order() -> Value {
    json!({
        "object_id": 1, "object_type": "order", "sent_dttm": "2023-08-12 06:07:15",
        "payload": {
            "restaurant": {"id": "r1"}, "date": "2023-08-05 06:29:05", "user": {"id": "u1"},
            "order_items": [{"id": "d1", "name": "N", "price": 120, "quantity": 5}],
            "bonus_payment": 0, "cost": 600, "payment": 600, "bonus_grant": 0, "statuses": [],
            "final_status": "CLOSED", "update_ts": "2023-08-05 06:29:05",
        },
    })
}

/// Every record with what is to become of it. Each has an order of its own, so that rows can be told apart.
fn stg_cases() -> Vec<(Option<Vec<u8>>, Becomes)> {
    let good = source_order();
    let set = |pointer: &str, value: Value| Some(with(&good, pointer, Some(value)));
    let without = |pointer: &str| Some(with(&good, pointer, None));
    let text = |text: &[u8]| Some(text.to_vec());
    vec![
        (Some(good.to_string().into_bytes()), Good),
        (None, Skipped("skipped_null_value")),
        (set("/object_type", json!("order_report")), Skipped("skipped_other_type")),
        (without("/payload"), Skipped("skipped_no_payload")),
        (set("/payload", Value::Null), Skipped("skipped_no_payload")),
        (text(b""), Open("invalid_json")),
        (text(b"{\"object_id\": 1, "), Open("invalid_json")),
        (text(b"{\"object_id\": 1}}"), Open("invalid_json")),
        (text(b"[1]"), Open("wrong_type:(record)")),
        (text(b"\xff\xfe"), Open("invalid_utf8")),
        (without("/object_type"), Open("missing:object_type")),
        (set("/object_type", json!(7)), Open("wrong_type:object_type")),
        (without("/object_id"), Open("missing:object_id")),
        (set("/object_id", json!("1")), Open("wrong_type:object_id")),
        (set("/object_id", json!(1.5)), Open("wrong_type:object_id")),
        (
            Some(good.to_string().replacen("\"object_id\":1", "\"object_id\":9223372036854775808", 1).into_bytes()),
            Open("out_of_range:object_id"),
        ),
        (set("/sent_dttm", json!("yesterday")), Open("unreadable_time:sent_dttm")),
        (set("/payload", json!([])), Open("wrong_type:payload")),
        (without("/payload/user"), Open("missing:payload.user")),
        (without("/payload/user/id"), Open("missing:payload.user.id")),
        (set("/payload/user", json!(["u1"])), Open("wrong_type:payload.user")),
        (set("/payload/order_items", json!([["d1", 120, 5]])), Open("wrong_type:payload.order_items[]")),
        (text(br#"["order", {}]"#), Open("wrong_type:(record)")),
        (set("/payload/user/id", json!(5)), Open("wrong_type:payload.user.id")),
        (set("/payload/user/id", json!("u\u{0}")), Open("nul_character:payload.user.id")),
        (without("/payload/restaurant/id"), Open("missing:payload.restaurant.id")),
        (without("/payload/date"), Open("missing:payload.date")),
        (set("/payload/date", json!("2023-02-30 00:00:00")), Open("unreadable_time:payload.date")),
        (set("/payload/update_ts", json!("2023-08-05")), Open("unreadable_time:payload.update_ts")),
        (without("/payload/cost"), Open("missing:payload.cost")),
        (set("/payload/cost", json!("600")), Open("wrong_type:payload.cost")),
        (set("/payload/payment", json!(true)), Open("wrong_type:payload.payment")),
        (without("/payload/final_status"), Open("missing:payload.final_status")),
        (without("/payload/order_items"), Open("missing:payload.order_items")),
        (set("/payload/order_items", Value::Null), Open("wrong_type:payload.order_items")),
        (without("/payload/order_items/0/id"), Open("missing:payload.order_items[].id")),
        (set("/payload/order_items/0/price", json!("1")), Open("wrong_type:payload.order_items[].price")),
        (set("/payload/user/id", json!("nobody")), Waiting("user_unknown")),
        (set("/payload/restaurant/id", json!("nowhere")), Waiting("restaurant_unknown")),
        (set("/payload/order_items/0/id", json!("off the menu")), Waiting("dish_not_on_menu")),
        (set("/payload/user/id", json!("broken")), Waiting("dictionary_unreadable")),
        (set("/payload/restaurant/id", json!("broken")), Waiting("dictionary_unreadable")),
        (set("/payload/user/id", json!("hash")), Waiting("dictionary_unreadable")),
        (set("/payload/order_items", json!([])), Good),
        (without("/sent_dttm"), Good),
        (set("/sent_dttm", Value::Null), Good),
        (without("/payload/update_ts"), Good),
        (set("/payload/date", json!("2023-08-05T06:29:05.123456")), Good),
        (without("/payload/bonus_grant"), Good),
        (set("/payload/statuses", json!("whatever")), Good),
        // A negative cost is not read by STG, and DDS judges it.
        (set("/payload/cost", json!(-1)), Good),
    ]
}

fn stg_order() -> Value {
    json!({
        "object_id": 1, "object_type": "order", "sent_dttm": "2023-08-12 06:07:15",
        "payload": {
            "id": 1, "date": "2023-08-05 06:29:05", "cost": 600, "payment": 600, "status": "CLOSED",
            "restaurant": {"id": "r1", "name": "R"}, "user": {"id": "u1", "name": "U"},
            "products": [{"id": "d1", "price": 120, "quantity": 5, "name": "N", "category": "C"}],
        },
    })
}

fn dds_cases() -> Vec<(Option<Vec<u8>>, Becomes)> {
    let good = stg_order();
    let number = |text: &str| Some(good.to_string().replace("\"cost\":600", &format!("\"cost\":{text}")).into_bytes());
    let set = |pointer: &str, value: Value| Some(with(&good, pointer, Some(value)));
    let without = |pointer: &str| Some(with(&good, pointer, None));
    vec![
        (Some(good.to_string().into_bytes()), Good),
        (None, Skipped("skipped_null_value")),
        (set("/object_type", json!("order_report")), Skipped("skipped_other_type")),
        (without("/payload"), Skipped("skipped_no_payload")),
        (Some(b"nonsense".to_vec()), Open("invalid_json")),
        (set("/payload/cost", json!(-1)), Open("negative:payload.cost")),
        (set("/payload/payment", json!(-0.5)), Open("negative:payload.payment")),
        (set("/payload/cost", json!(1e15)), Open("out_of_range:payload.cost")),
        (number("99999999999999.999995"), Open("out_of_range:payload.cost")),
        (number("99999999999999.99999"), Good),
        (number("1e-20000"), Good),
        (without("/object_id"), Good),
        (set("/payload/id", json!("1")), Open("wrong_type:payload.id")),
        (without("/payload/status"), Open("missing:payload.status")),
        (without("/payload/user/name"), Open("missing:payload.user.name")),
        (set("/payload/restaurant/name", json!("R\u{0}")), Open("nul_character:payload.restaurant.name")),
        (without("/payload/products/0/category"), Open("missing:payload.products[].category")),
        (set("/payload/products/0/name", json!(3)), Open("wrong_type:payload.products[].name")),
        (set("/payload/products", json!([])), Good),
        (without("/sent_dttm"), Good),
    ]
}

fn id(last: u8) -> String {
    format!("00000000-0000-5000-8000-0000000000{last:02}")
}

fn order_report() -> Value {
    json!({
        "object_id": id(1), "object_type": "order_report", "sent_dttm": "2023-08-12 06:07:15",
        "payload": {
            "id": id(1), "order_dt": "2023-08-05 06:29:05", "status": "CLOSED",
            "restaurant": {"id": id(2), "name": "R"}, "user": {"id": id(3), "username": "U"},
            "products": [{"id": id(4), "name": "N", "category": {"id": id(5), "name": "C"}}],
        },
    })
}

fn cdm_cases() -> Vec<(Option<Vec<u8>>, Becomes)> {
    let good = order_report();
    let set = |pointer: &str, value: Value| Some(with(&good, pointer, Some(value)));
    let without = |pointer: &str| Some(with(&good, pointer, None));
    vec![
        (Some(good.to_string().into_bytes()), Good),
        (None, Skipped("skipped_null_value")),
        (set("/object_type", json!("order")), Skipped("skipped_other_type")),
        (without("/payload"), Skipped("skipped_no_payload")),
        (Some(b"{".to_vec()), Open("invalid_json")),
        (without("/payload/id"), Open("missing:payload.id")),
        (set("/payload/user/id", json!("not a uuid")), Open("wrong_type:payload.user.id")),
        (set("/payload/products/0/category", json!([id(5), "C"])), Open("wrong_type:payload.products[].category")),
        (without("/payload/products/0/category/id"), Open("missing:payload.products[].category.id")),
        (set("/payload/products/0/name", json!("\u{0}")), Open("nul_character:payload.products[].name")),
        (set("/payload/order_dt", json!("never")), Open("unreadable_time:payload.order_dt")),
        (set("/payload/products", json!([])), Good),
    ]
}

/// Sends the cases to a layer, one partition, and holds what became of each against what should have.
async fn assert_becomes(stage: &Stage, layer: &'static str, cases: &[(Option<Vec<u8>>, Becomes)]) {
    for (value, _) in cases {
        kafka::produce_raw(&stage.cluster, &stage.source_topic(layer), value.as_deref()).await.unwrap();
    }
    let service = stage.start(layer, &[]).unwrap();
    until(layer, PATIENCE, async || Ok((stage.lag(layer).await? == 0).then_some(()))).await.unwrap();
    let letters: Vec<(i64, String, String, Option<Vec<u8>>)> =
        sqlx::query_as(r#"select "offset", status, code, value from ops.dead_letters where layer = $1"#)
            .bind(layer)
            .fetch_all(&stage.pool)
            .await
            .unwrap();
    let letters: BTreeMap<i64, _> =
        letters.into_iter().map(|(offset, status, code, value)| (offset, (status, code, value))).collect();
    let mut skipped: BTreeMap<&str, u32> = BTreeMap::new();
    let mut onward = 0;
    for (offset, (value, becomes)) in (0_i64..).zip(cases) {
        let said = value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
        let expected = match becomes {
            Good => {
                onward += 1;
                None
            }
            Skipped(outcome) => {
                *skipped.entry(outcome).or_default() += 1;
                None
            }
            Open(code) => Some(("open".to_owned(), (*code).to_owned(), value.clone())),
            Waiting(code) => Some(("waiting".to_owned(), (*code).to_owned(), value.clone())),
        };
        assert_eq!(letters.get(&offset), expected.as_ref(), "{layer}, offset {offset}: {said:?}");
    }
    let (_, metrics) = service.get("/metrics").await.unwrap();
    for (outcome, count) in skipped {
        let line =
            format!("ordervault_records_total{{outcome=\"{outcome}\",partition=\"0\",layer=\"{layer}\"}} {count}");
        assert!(metrics.lines().any(|held| held == line), "no {line} in {metrics}");
    }
    if let Some(next) = stage.environment(layer).get("KAFKA_DESTINATION_TOPIC") {
        let (cluster, topic) = (stage.cluster.clone(), next.clone());
        let read = tokio::task::spawn_blocking(move || kafka::read_topic(&cluster, &topic, |_| {}).unwrap());
        assert_eq!(read.await.unwrap(), onward, "messages that {layer} sent onward");
    }
}

/// Writes the dictionary's readable and unreadable entries under this stage's ids.
async fn write_dictionary(stage: &mut Stage, prefix: &str) {
    let user = json!({"_id": "u1", "name": "U", "login": "l", "update_ts_utc": "2023-01-01 00:00:00"});
    let menu = json!([{"_id": "d1", "name": "N", "price": 120, "category": "C"}]);
    let restaurant = json!({"_id": "r1", "name": "R", "update_ts_utc": "2023-01-01 00:00:00", "menu": menu});
    let mut set = redis::cmd("MSET");
    set.arg(format!("{prefix}u1")).arg(user.to_string());
    set.arg(format!("{prefix}r1")).arg(restaurant.to_string());
    set.arg(format!("{prefix}broken")).arg("{\"name\": 1}");
    set.query_async::<()>(&mut stage.redis).await.unwrap();
    redis::cmd("HSET")
        .arg(format!("{prefix}hash"))
        .arg(&["name", "U"])
        .query_async::<()>(&mut stage.redis)
        .await
        .unwrap();
}

/// The cases with this stage's own ids in the dictionary, and an order of its own for each.
fn own(prefix: &str, cases: Vec<(Option<Vec<u8>>, Becomes)>) -> Vec<(Option<Vec<u8>>, Becomes)> {
    let own = |(place, (value, becomes)): (usize, (Option<Vec<u8>>, Becomes))| {
        let value = value.map(|value| match serde_json::from_slice::<Value>(&value) {
            Ok(mut order) => {
                for pointer in ["/payload/user/id", "/payload/restaurant/id"] {
                    if let Some(Value::String(id)) = order.pointer_mut(pointer) {
                        id.insert_str(0, prefix);
                    }
                }
                if order["object_id"] == json!(1) {
                    order["object_id"] = json!(place + 1);
                }
                order.to_string().into_bytes()
            }
            Err(_) => value,
        });
        (value, becomes)
    };
    cases.into_iter().enumerate().map(own).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stg_makes_of_every_kind_of_record_what_the_table_says() {
    let mut stage = Stage::build("becomes_stg", 1).await.unwrap();
    let prefix = format!("{}-", stage.name);
    write_dictionary(&mut stage, &prefix).await;
    let cases = own(&prefix, stg_cases());
    assert_becomes(&stage, "stg", &cases).await;
    let stored: Vec<i64> = sqlx::query_scalar("select object_id::bigint from stg.order_events order by 1")
        .fetch_all(&stage.pool)
        .await
        .unwrap();
    let expected: Vec<i64> = (1_i64..)
        .zip(&cases)
        .filter(|(_, (_, becomes))| matches!(becomes, Good | Waiting(_)))
        .map(|(id, _)| id)
        .collect();
    assert_eq!(stored, expected, "good and waiting records are stored, and no others");
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dds_makes_of_every_kind_of_record_what_the_table_says() {
    let stage = Stage::build("becomes_dds", 1).await.unwrap();
    assert_becomes(&stage, "dds", &dds_cases()).await;
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cdm_makes_of_every_kind_of_record_what_the_table_says() {
    let stage = Stage::build("becomes_cdm", 1).await.unwrap();
    assert_becomes(&stage, "cdm", &cdm_cases()).await;
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_record_goes_on_by_itself_once_the_dictionary_has_what_it_needs() {
    let stage = Stage::build("waits", 1).await.unwrap();
    let prefix = format!("{}-", stage.name);
    let good = own(&prefix, vec![(Some(source_order().to_string().into_bytes()), Waiting("user_unknown"))]);
    kafka::produce_raw(&stage.cluster, &stage.source_topic("stg"), good[0].0.as_deref()).await.unwrap();
    let service = stage.start("stg", &[]).unwrap();
    let status = async |wanted: &str| {
        until(&format!("status {wanted}"), PATIENCE, async || {
            let held: Option<String> = sqlx::query_scalar("select status from ops.dead_letters where layer = 'stg'")
                .fetch_optional(&stage.pool)
                .await
                .unwrap_or_default();
            Ok((held.as_deref() == Some(wanted)).then_some(()))
        })
        .await
        .unwrap();
    };
    status("waiting").await;
    let mut redis = stage.redis.clone();
    let user = json!({"_id": "u1", "name": "U", "login": "l", "update_ts_utc": "2023-01-01 00:00:00"});
    redis::cmd("SET").arg(format!("{prefix}u1")).arg(user.to_string()).query_async::<()>(&mut redis).await.unwrap();
    let menu = json!([{"_id": "d1", "name": "N", "price": 120, "category": "C"}]);
    let restaurant = json!({"_id": "r1", "name": "R", "update_ts_utc": "2023-01-01 00:00:00", "menu": menu});
    let key = format!("{prefix}r1");
    redis::cmd("SET").arg(key).arg(restaurant.to_string()).query_async::<()>(&mut redis).await.unwrap();
    status("resolved").await;
    let (cluster, topic) = (stage.cluster.clone(), stage.source_topic("dds"));
    let read = tokio::task::spawn_blocking(move || kafka::read_topic(&cluster, &topic, |_| {}).unwrap());
    assert_eq!(read.await.unwrap(), 1);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_postgresql_refuses_costs_only_itself_among_a_thousand_good_ones() {
    let stage = Stage::build("bisect", 1).await.unwrap();
    stage.migrate("dds").await.unwrap();
    // Nothing that the service checks beforehand: only the database knows that it will not take these.
    stage
        .pool
        .execute("alter table dds.s_order_status add constraint no_poison check (status <> 'POISON')")
        .await
        .unwrap();
    let good = stg_order();
    let poisoned = [0, 499, 500, 1_001];
    let messages = (0..1_002).map(|place| {
        let mut order = good.clone();
        order["object_id"] = json!(place + 1);
        order["payload"]["id"] = json!(place + 1);
        if poisoned.contains(&place) {
            order["payload"]["status"] = json!("POISON");
        }
        Produced { key: None, partition: None, payload: order.to_string().into_bytes() }
    });
    stage.produce("dds", messages).await.unwrap();
    let service = stage.start("dds", &[]).unwrap();
    until("DDS", PATIENCE, async || Ok((stage.lag("dds").await? == 0).then_some(()))).await.unwrap();
    let refused: Vec<(i64, String, String)> =
        sqlx::query_as(r#"select "offset", code, status from ops.dead_letters order by "offset""#)
            .fetch_all(&stage.pool)
            .await
            .unwrap();
    let expected = poisoned.map(|place| (place, "database_refused:23514".to_owned(), "open".to_owned()));
    assert_eq!(refused, expected);
    let rows: i64 = sqlx::query_scalar("select count(*) from dds.s_order_status").fetch_one(&stage.pool).await.unwrap();
    assert_eq!(rows, 998);

    // What was wrong is put right, and the same records come once more: their dead letters are resolved.
    stage.pool.execute("alter table dds.s_order_status drop constraint no_poison").await.unwrap();
    drop(service);
    let mut stage = stage;
    stage.pass = 2;
    let service = stage.start("dds", &[]).unwrap();
    until("DDS again", PATIENCE, async || Ok((stage.lag("dds").await? == 0).then_some(()))).await.unwrap();
    let resolved: i64 = sqlx::query_scalar("select count(*) from ops.dead_letters where status = 'resolved'")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(resolved, 4);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_grant_is_waited_out_and_loses_nothing() {
    let stage = Stage::build("grant", 1).await.unwrap();
    stage.migrate("dds").await.unwrap();
    // The servers' role owns the tables; a trigger stands in for a right that somebody has taken away.
    let refuse = "create function deny() returns trigger language plpgsql as \
         $$ begin raise insufficient_privilege using message = 'permission denied for table h_order'; end $$; \
         create trigger deny before insert on dds.h_order execute function deny()";
    sqlx::raw_sql(refuse).execute(&stage.pool).await.unwrap();
    kafka::produce_raw(&stage.cluster, &stage.source_topic("dds"), Some(stg_order().to_string().as_bytes()))
        .await
        .unwrap();
    let service = stage.start("dds", &[]).unwrap();
    until("a reason", PATIENCE, async || {
        let Ok((status, body)) = service.get("/readyz").await else { return Ok(None) };
        Ok((status == 503 && body.contains("permission denied for table h_order")).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(service.get("/livez").await.unwrap().0, 200);
    stage.pool.execute("drop trigger deny on dds.h_order").await.unwrap();
    service.ready(PATIENCE).await.unwrap();
    until("DDS", PATIENCE, async || Ok((stage.lag("dds").await? == 0).then_some(()))).await.unwrap();
    let counts: (i64, i64) =
        sqlx::query_as("select (select count(*) from dds.h_order), (select count(*) from ops.dead_letters)")
            .fetch_one(&stage.pool)
            .await
            .unwrap();
    assert_eq!(counts, (1, 0));
    drop(service);
    stage.tear_down().await.unwrap();
}
