//! What looks like a record's fault, or like none at all, and is one of the surroundings: it is waited out, and said.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ordervault_demo::Error;
use ordervault_demo::kafka;
use ordervault_demo::stage::{Service, Stage, until};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::json;
use sqlx::Executor as _;

const PATIENCE: Duration = Duration::from_mins(1);
const SOURCE_TIME: &str = "ordervault-source-time-ms";

fn order(object_id: i64) -> String {
    json!({
        "object_id": object_id, "object_type": "order", "sent_dttm": "2023-08-12 06:07:15",
        "payload": {
            "restaurant": {"id": "nobody"}, "date": "2023-08-05 06:29:05", "user": {"id": "nobody"},
            "order_items": [], "bonus_payment": 0, "cost": 600, "payment": 600, "bonus_grant": 0, "statuses": [],
            "final_status": "CLOSED", "update_ts": "2023-08-05 06:29:05",
        },
    })
    .to_string()
}

async fn not_ready(service: &Service, says: &str) {
    until(says, PATIENCE, async || {
        let Ok((status, body)) = service.get("/readyz").await else { return Ok(None) };
        Ok((status == 503 && body.contains(says)).then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(service.get("/livez").await.unwrap().0, 200);
}

async fn drained(stage: &Stage) -> Result<(), Error> {
    until("STG", PATIENCE, async || Ok((stage.lag("stg").await? == 0).then_some(()))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_no_clock_shows_neither_blocks_its_record_nor_stays_as_the_age_of_the_tables() {
    let stage = Stage::build("clocks", 1).await.unwrap();
    let topic = stage.source_topic("stg");
    let producer: FutureProducer = stage.cluster.client().create().unwrap();
    let begun = Utc::now();
    let service = stage.start("stg", &[]).unwrap();
    for (object_id, (millis, entered)) in (1..).zip([
        ("-300000000000000", None),
        ("-9223372036854775808", None),
        ("9223372036854775807", None),
        // The greatest time that the program can hold, and one in microseconds by mistake.
        ("8210266876799999", None),
        ("1790000000000000", None),
        ("0", Some(8_000_000_000_000_000)),
        ("0", Some(-1_000)),
    ]) {
        let order = order(object_id);
        let headers = OwnedHeaders::new().insert(Header { key: SOURCE_TIME, value: Some(millis) });
        let mut record = FutureRecord::<(), str>::to(&topic).partition(0).payload(&order);
        // Without the header the record's own time counts.
        record = match entered {
            Some(entered) => record.timestamp(entered),
            None => record.headers(headers),
        };
        // A broker may refuse such a time at once, and then there is no record.
        if producer.send(record, PATIENCE).await.is_err() {
            assert!(entered.is_some(), "{millis}");
            continue;
        }
        // Each is alone in its batch.
        drained(&stage).await.unwrap();
        let age: DateTime<Utc> = sqlx::query_scalar("select record_time from ops.applied_offsets where layer = 'stg'")
            .fetch_one(&stage.pool)
            .await
            .unwrap();
        let possible = DateTime::UNIX_EPOCH..=Utc::now();
        assert!(possible.contains(&age), "{age} of {millis}, {entered:?}, after {begun}");
    }
    assert_eq!(service.get("/readyz").await.unwrap().0, 200);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_that_is_behind_the_rows_is_waited_out_and_no_order_is_thrown_away() {
    let stage = Stage::build("sequence", 1).await.unwrap();
    stage.migrate("stg").await.unwrap();
    // As after a copy that brought the rows and not what their sequence had come to.
    let copied = "insert into stg.order_events (id, object_id, object_type, sent_dttm, payload) \
                  select n, 1000 + n, 'order', now(), '{}' from generate_series(1, 100) n";
    stage.pool.execute(copied).await.unwrap();
    let topic = stage.source_topic("stg");
    kafka::produce_raw(&stage.cluster, &topic, Some(order(1).as_bytes())).await.unwrap();
    let service = stage.start("stg", &[]).unwrap();
    not_ready(&service, "order_events_pkey").await;
    let advance = "select setval(pg_get_serial_sequence('stg.order_events', 'id'), 100)";
    stage.pool.execute(advance).await.unwrap();
    drained(&stage).await.unwrap();
    let (rows, refused): (i64, i64) = sqlx::query_as(
        "select (select count(*) from stg.order_events where object_id = 1), \
                (select count(*) from ops.dead_letters where code like 'database_refused%')",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    assert_eq!((rows, refused), (1, 0));
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_its_group_does_not_take_is_not_ready_and_says_so_until_it_is_taken() {
    let stage = Stage::build("strangers", 1).await.unwrap();
    // A consumer of the replaced service, which shares the partitions out in another way.
    let mut other = stage.cluster.client();
    other.set("group.id", stage.group("stg")).set("partition.assignment.strategy", "range");
    let other: BaseConsumer = other.create().unwrap();
    other.subscribe(&[&stage.source_topic("stg")]).unwrap();
    let other = tokio::task::spawn_blocking(move || {
        while other.assignment().unwrap().count() == 0 {
            other.poll(Duration::from_millis(100));
        }
        other
    });
    let other = other.await.unwrap();
    let service = stage.start("stg", &[]).unwrap();
    not_ready(&service, "Inconsistent group protocol").await;
    tokio::task::spawn_blocking(move || drop(other)).await.unwrap();
    service.ready(PATIENCE).await.unwrap();
    kafka::produce_raw(&stage.cluster, &stage.source_topic("stg"), Some(order(1).as_bytes())).await.unwrap();
    drained(&stage).await.unwrap();
    drop(service);
    stage.tear_down().await.unwrap();
}
