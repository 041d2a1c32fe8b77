//! A topic that is deleted and made anew while a service reads it.

use std::time::Duration;

use ordervault_demo::kafka;
use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Service, Stage, until};
use sqlx::Executor as _;

use crate::beginnings::{orders, replica, with_dictionary};

const LAYER: &str = "stg";
const PATIENCE: Duration = Duration::from_mins(2);
const BEFORE: u64 = 150;
const AFTER: u64 = 50;
/// The first order of the new topic.
const NEW: i64 = 10_001;

/// Deletes the layer's topic, and makes it anew with these records; says how many they are.
async fn renewed(stage: &Stage, records: Vec<Produced>) -> u64 {
    let topic = stage.source_topic(LAYER);
    kafka::delete_topics(&stage.cluster, &[&topic]).await.unwrap();
    kafka::create_topics(&stage.cluster, &[&topic], 1).await.unwrap();
    stage.produce(LAYER, records).await.unwrap()
}

/// Waits until the tables have all of the new topic, and everything says that they are at its end.
async fn at_the_end(stage: &Stage, service: &Service, end: u64) {
    until("the orders of the new topic", PATIENCE, async || {
        let orders: i64 = sqlx::query_scalar("select count(*) from stg.order_events where object_id >= $1")
            .bind(NEW)
            .fetch_one(&stage.pool)
            .await?;
        Ok((u64::try_from(orders).ok() == Some(AFTER)).then_some(()))
    })
    .await
    .unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    let applied: i64 = sqlx::query_scalar("select next_offset from ops.applied_offsets where layer = $1")
        .bind(LAYER)
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(u64::try_from(applied), Ok(end));
    let said = service.offsets().await.unwrap();
    assert_eq!((&said["total_lag"], &said["partitions"][0]["committed"]), (&0.into(), &end.into()), "{said}");
}

/// Waits until the service has seen that nothing of the topic's records is done.
async fn shown(service: &Service, lag: u64) {
    until("the topic's lag", PATIENCE, async || {
        let line = format!("ordervault_lag_records{{partition=\"0\",layer=\"{LAYER}\"}} {lag}\n");
        Ok(service.get("/metrics").await?.1.contains(&line).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_anew_is_read_from_its_first_record() {
    let (stage, dictionary) = with_dictionary("recreated", 1).await;
    let service = replica(&stage, LAYER, &[]).await;
    let before = stage.produce(LAYER, orders(&dictionary, 1, BEFORE)).await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    let after = renewed(&stage, orders(&dictionary, NEW, AFTER)).await;
    assert!(after < before, "the new topic is to end before the old one did");
    at_the_end(&stage, &service, after).await;
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_made_anew_in_the_middle_of_a_batch_is_read_from_its_first_record() {
    let (stage, dictionary) = with_dictionary("recreated_batch", 1).await;
    let service = replica(&stage, LAYER, &[]).await;
    let mut held = stage.pool.begin().await.unwrap();
    held.execute("lock table stg.order_events in access exclusive mode").await.unwrap();
    let before = stage.produce(LAYER, orders(&dictionary, 1, BEFORE)).await.unwrap();
    shown(&service, before).await;
    let after = renewed(&stage, orders(&dictionary, NEW, AFTER)).await;
    assert!(after < before, "the new topic is to end before the old one did");
    shown(&service, after).await;
    held.rollback().await.unwrap();
    at_the_end(&stage, &service, after).await;
    drop(service);
    stage.tear_down().await.unwrap();
}
