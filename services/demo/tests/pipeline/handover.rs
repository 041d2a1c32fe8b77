//! A partition that is asked back is worked by nobody else before it is handed back, whatever is reset meanwhile.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::kafka::read_topic;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::recount::NameCheck;
use ordervault_demo::stage::{LAYERS, Service, Stage, until};
use serde_json::{Value, json};

const LAYER: &str = "cdm";
const PATIENCE: Duration = Duration::from_mins(2);
const DRAIN: Duration = Duration::from_mins(10);
const RESET: &str = "/api/v1/consumer/offsets/reset";

/// What the live members of the layer hold, in the order of their start, and when they said so.
async fn held(stage: &Stage) -> Vec<(Vec<i32>, DateTime<Utc>)> {
    sqlx::query_as(
        "select partitions, heartbeat from ops.members \
         where layer = $1 and heartbeat > now() - interval '10 seconds' order by id",
    )
    .bind(LAYER)
    .fetch_all(&stage.pool)
    .await
    .unwrap()
}

/// Waits until so many members hold the two partitions between them; returns what the last of them holds.
async fn shared(stage: &Stage, members: usize) -> Vec<i32> {
    until("members with partitions", PATIENCE, async || {
        let held = held(stage).await;
        let all: usize = held.iter().map(|(partitions, _)| partitions.len()).sum();
        let shared = held.len() == members && all == 2 && held.iter().all(|(partitions, _)| !partitions.is_empty());
        Ok(shared.then(|| held[members - 1].0.clone()))
    })
    .await
    .unwrap()
}

/// The last record of a partition: its offset, and the order that it is about.
async fn last_record(stage: &Stage, partition: i32) -> (i64, String) {
    let (cluster, topic) = (stage.cluster.clone(), stage.source_topic(LAYER));
    let read = tokio::task::spawn_blocking(move || {
        let mut last = None;
        read_topic(&cluster, &topic, |record| {
            if record.partition == partition {
                last = Some((record.offset, record.payload.unwrap().to_vec()));
            }
        })
        .unwrap();
        last.unwrap()
    });
    let (offset, message) = read.await.unwrap();
    let message: Value = serde_json::from_slice(&message).unwrap();
    (offset, message["object_id"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_of_one_partition_does_not_hand_back_another_that_is_still_worked() {
    let mut stage = Stage::build("handover", 2).await.unwrap();
    let dictionary = Dictionary::generate(fastrand::u64(..), 50, 5);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed: fastrand::u64(..), first_order_id: 1, orders: 200, partitions: 2, mix: Mix::calm() };
    stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
    let services: Vec<Service> = LAYERS.iter().map(|layer| stage.start(layer, &[]).unwrap()).collect();
    let first = &services[2];
    first.ready(PATIENCE).await.unwrap();
    stage.settle(DRAIN).await.unwrap();

    // The one that goes over to a second member.
    let mut second = stage.start(LAYER, &[]).unwrap();
    let goes = shared(&stage, 2).await[0];
    second.stop(PATIENCE).await.unwrap();
    shared(&stage, 1).await;
    let stays = 1 - goes;

    // Its last record comes again, and the batch waits for a row that is locked.
    let (offset, order) = last_record(&stage, goes).await;
    let mut lock = stage.pool.begin().await.unwrap();
    let locked = sqlx::query("select from cdm.order_ledger where order_id::text = $1 for update").bind(order);
    assert_eq!(locked.fetch_all(&mut *lock).await.unwrap().len(), 1);
    let again =
        |partition: i32, offset: i64| json!({"to": {"offsets": {partition.to_string(): offset}}, "dry_run": false});
    let (status, operation) = first.post(&format!("{RESET}?wait=60s"), &again(goes, offset)).await.unwrap();
    assert_eq!((status.as_u16(), &operation["state"]), (200, &json!("done")), "{operation}");
    until("a batch that waits", PATIENCE, async || {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_one(&stage.pool)
        .await?;
        Ok((waiting == 1).then_some(()))
    })
    .await
    .unwrap();

    // The other is taken to another place again and again, until a second member has this one.
    let (offset, _) = last_record(&stage, stays).await;
    let second = stage.start(LAYER, &[]).unwrap();
    let taken_at = until("the second member", PATIENCE, async || {
        let (status, answer) = first.post(RESET, &again(stays, offset)).await?;
        assert!(status == 202 || answer["code"] == "reset_under_way", "{answer}");
        let held = held(&stage).await;
        Ok(held.get(1).filter(|(partitions, _)| partitions.contains(&goes)).map(|(_, at)| *at))
    })
    .await
    .unwrap();
    // A word that was on its way then is heard before that.
    let (still, at) = until("the first member's word", PATIENCE, async || {
        let held = held(&stage).await.swap_remove(0);
        Ok((held.1 > taken_at + TimeDelta::seconds(1)).then_some(held))
    })
    .await
    .unwrap();
    assert_eq!(still, [stays], "at {at} the first member still works what the second one has since {taken_at}");

    lock.rollback().await.unwrap();
    stage.settle(DRAIN).await.unwrap();
    for report in stage.recount(&NameCheck::Present).await.unwrap() {
        assert!(report.is_equal(), "{report}");
    }
    drop((services, second));
    stage.tear_down().await.unwrap();
}
