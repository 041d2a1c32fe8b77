//! A producer gone wrong: the layer pauses itself before a table is filled with its records, and loses none of the others.

use std::time::Duration;

use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Service, Stage, until};
use serde_json::{Value, json};

use crate::beginnings::with_replica;

const LAYER: &str = "cdm";
const CODE: &str = "missing:payload.status";
const PATIENCE: Duration = Duration::from_mins(2);
const A_WHILE: Duration = Duration::from_secs(6);

/// Records of the given sort, in a row on the one partition.
fn records(first: u32, count: u32, is_good: bool) -> impl Iterator<Item = Produced> {
    (first..first + count).map(move |number| {
        let mut order = json!({
            "object_id": id(number), "object_type": "order_report", "sent_dttm": "2023-08-12 06:07:15",
            "payload": {
                "id": id(number), "order_dt": "2023-08-05 06:29:05", "status": "CLOSED",
                "restaurant": {"id": id(1), "name": "R"}, "user": {"id": id(2), "username": "U"},
                "products": [{"id": id(3), "name": "N", "category": {"id": id(4), "name": "C"}}],
            },
        });
        if !is_good {
            order["payload"].as_object_mut().unwrap().remove("status");
        }
        Produced { key: None, partition: Some(0), payload: order.to_string().into_bytes() }
    })
}

fn id(number: u32) -> String {
    format!("00000000-0000-5000-8000-{number:012}")
}

async fn scene(name: &str) -> (Stage, Service) {
    with_replica(name, 1, LAYER, &[("BATCH_MAX_RECORDS", "100")]).await
}

/// How many orders count, and how many dead letters there are.
async fn outcome(stage: &Stage) -> (i64, i64) {
    sqlx::query_as(
        "select (select coalesce(sum(order_cnt), 0)::bigint from cdm.user_product_counters), \
                (select count(*) from ops.dead_letters where status = 'open')",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap()
}

/// Waits until the layer rests because of its breaker; returns the reason, the only one.
async fn tripped(service: &Service) -> Value {
    until("the breaker", PATIENCE, async || {
        let report = service.consumer().await?;
        Ok((report["actual_state"] == "paused").then(|| {
            let reasons = report["reasons"].as_array().unwrap();
            assert_eq!(reasons.len(), 1, "{report}");
            reasons[0].clone()
        }))
    })
    .await
    .unwrap()
}

async fn pauses(service: &Service) -> Vec<Value> {
    let page = service.read("/api/v1/operations?kind=pause").await.unwrap();
    page["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layer_pauses_itself_and_says_why_and_goes_on_counting_anew_when_it_is_resumed() {
    let (stage, service) = scene("breaker").await;
    stage.produce(LAYER, records(1_000, 900, true)).await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    // Half of the last thousand, and no more.
    stage.produce(LAYER, records(2_000, 500, false)).await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    stage.let_pass(LAYER, A_WHILE, PATIENCE).await.unwrap();
    assert_eq!(pauses(&service).await, Vec::<Value>::new());

    stage.produce(LAYER, records(3_000, 1, false)).await.unwrap();
    let reason = tripped(&service).await;
    assert_eq!((&reason["kind"], &reason["actor"]), (&json!("dead_letter_breaker"), &json!("ordervault")), "{reason}");
    let cause = reason["reason"].as_str().unwrap();
    assert!(cause.contains("501 of the last 1000") && cause.contains(CODE), "{cause}");
    let operations = pauses(&service).await;
    assert_eq!((operations.len(), &operations[0]["reason"]), (1, &reason["reason"]), "{operations:?}");
    let (status, ready) = service.get("/readyz").await.unwrap();
    assert!(status == 200 && ready.contains(CODE), "{status} {ready}");

    // Were what was seen before still counted, the first of these would trip it again.
    let before = stage.footprint(LAYER).await.unwrap();
    stage.produce(LAYER, records(4_000, 400, false).chain(records(5_000, 300, true))).await.unwrap();
    stage.let_pass(LAYER, A_WHILE, PATIENCE).await.unwrap();
    assert_eq!(stage.footprint(LAYER).await.unwrap(), before, "a paused layer has worked");
    service.resume().await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    stage.let_pass(LAYER, A_WHILE, PATIENCE).await.unwrap();
    assert_eq!(service.consumer().await.unwrap()["desired_state"], "running");
    assert_eq!(pauses(&service).await.len(), 1);
    assert_eq!(outcome(&stage).await, (1_200, 901), "good records, and dead letters");

    // It is armed again.
    stage.produce(LAYER, records(6_000, 501, false)).await.unwrap();
    assert_eq!(tripped(&service).await["kind"], "dead_letter_breaker");
    assert_eq!(pauses(&service).await.len(), 2);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_bad_records_among_a_thousand_are_no_reason() {
    let (stage, service) = scene("breaker_rests").await;
    let mix = (0..3_u32).flat_map(|thousand| {
        let first = 10_000 + thousand * 1_000;
        records(first, 500, true).chain(records(first + 500, 10, false)).chain(records(first + 510, 490, true))
    });
    stage.produce(LAYER, mix).await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    stage.let_pass(LAYER, A_WHILE, PATIENCE).await.unwrap();
    assert_eq!(pauses(&service).await, Vec::<Value>::new());
    assert_eq!(service.consumer().await.unwrap()["actual_state"], "running");
    assert_eq!(outcome(&stage).await, (2_970, 30), "good records, and dead letters");
    drop(service);
    stage.tear_down().await.unwrap();
}
