//! The dead-letter breaker: a producer gone wrong pauses the layer, a few bad records do not.

use std::time::Duration;

use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Stage, until};
use serde_json::json;

const PATIENCE: Duration = Duration::from_mins(2);

fn records(count: usize, payload: &str) -> Vec<Produced> {
    let record = || Produced { key: None, partition: Some(0), payload: payload.as_bytes().to_vec() };
    std::iter::repeat_with(record).take(count).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_trips_when_most_records_are_bad_names_its_cause_and_does_not_for_a_few() {
    let stage = Stage::build("breaker", 1).await.unwrap();
    let dds = stage.start("dds", &[("BATCH_MAX_RECORDS", "100")]).unwrap();
    dds.ready(PATIENCE).await.unwrap();
    let bad = r#"{"object_id": 1, "object_type": "order", "payload": {}}"#;
    // Of another type: skipped, and no dead letters.
    let other = r#"{"object_id": 1, "object_type": "invoice", "payload": {}}"#;
    let caught_up = async || {
        until("the end of the topic", PATIENCE, async || Ok((stage.lag("dds").await? == 0).then_some(())))
            .await
            .unwrap();
    };

    let mut few = records(990, other);
    few.extend(records(10, bad));
    stage.produce("dds", few).await.unwrap();
    caught_up().await;
    assert_eq!(dds.read("/api/v1/consumer").await.unwrap()["desired_state"], "running");

    stage.produce("dds", records(1_500, bad)).await.unwrap();
    let shown = until("the breaker", PATIENCE, async || {
        let shown = dds.read("/api/v1/consumer").await?;
        Ok((shown["actual_state"] == "paused").then_some(shown))
    })
    .await
    .unwrap();
    let reason = &shown["reasons"][0];
    assert_eq!((&reason["kind"], &reason["actor"]), (&json!("dead_letter_breaker"), &json!("ordervault")));
    assert!(reason["reason"].as_str().unwrap().contains("missing:payload.id"), "{reason}");
    assert!(stage.lag("dds").await.unwrap() > 0, "it has stopped before the end");

    let (_, resumed) = dds.post("/api/v1/consumer/resume?wait=60s", &json!({"reason": "mended"})).await.unwrap();
    assert_eq!(resumed["state"], "done", "{resumed}");
    drop(dds);
    stage.tear_down().await.unwrap();
}
