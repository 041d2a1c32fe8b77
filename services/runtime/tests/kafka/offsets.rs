//! How far the group is, and what a reset would do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use ordervault_runtime::broker::{Broker, BrokerError};
use ordervault_runtime::offsets::Effect::{self, None as Stays, Replay, Skip};
use ordervault_runtime::offsets::{self, Held, Plan, PlanError, Positions, Refusal, Target};
use rdkafka::mocking::{MockCluster, MockCoordinator};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use crate::stand::{PATIENCE, Stand, at, config_with};

/// Of two clocks on one machine, with the asking in between.
const NEAR: f64 = 5.0;

async fn commit(stand: &Stand, partition: i32, offset: i64) {
    stand.ask(move |broker| broker.commit_for_empty_group(partition, offset, "")).await;
}

async fn positions(stand: &Stand) -> Positions {
    offsets::positions(&stand.broker, BTreeMap::new()).await.unwrap()
}

fn seconds_ago(seconds: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::seconds(seconds)
}

async fn plan(stand: &Stand, to: Value, chosen: Option<&[i32]>) -> Result<Plan, PlanError> {
    let target: Target = serde_json::from_value(to).unwrap();
    let chosen: Option<BTreeSet<i32>> = chosen.map(|ids| ids.iter().copied().collect());
    offsets::plan(&stand.broker, &target, chosen.as_ref(), Utc::now()).await
}

/// Partition, current, target, clamped, effect, records and first record's time of each partition.
type Row = (i32, i64, i64, bool, Effect, i64, Option<DateTime<Utc>>);

async fn rows(stand: &Stand, to: Value, chosen: Option<&[i32]>) -> Vec<Row> {
    let plan = plan(stand, to, chosen).await.unwrap();
    let row = |moved: &offsets::PartitionPlan| {
        let time = moved.first_record_time;
        (moved.partition, moved.current, moved.target, moved.clamped, moved.effect, moved.records, time)
    };
    plan.partitions.iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_is_what_was_produced_and_not_committed_with_the_age_of_its_first_record() {
    let stand = Stand::build("lag", 6).await;
    // 0: all to do; 1: half; 2: done; 3: empty; 4: the broker has forgotten what was to do; 5: a clock that is ahead.
    stand.produce(0, [seconds_ago(3_600), seconds_ago(60)]).await;
    stand.produce(1, [7_200, 600, 30].map(seconds_ago)).await;
    stand.produce(2, [seconds_ago(100)]).await;
    stand.produce(4, [5_000, 4_000, 3_000, 2_000].map(seconds_ago)).await;
    stand.produce(5, [seconds_ago(-100)]).await;
    commit(&stand, 1, 1).await;
    commit(&stand, 2, 1).await;
    commit(&stand, 4, 1).await;
    stand.delete_below(4, 3).await;

    let found = positions(&stand).await;
    assert_eq!((found.topic.as_str(), found.group.as_str()), (stand.broker.topic(), stand.broker.group()));
    let row = |of: &offsets::PartitionPosition| {
        assert_eq!(of.error, None);
        (of.partition, of.committed, of.low.unwrap(), of.high.unwrap(), of.lag.unwrap())
    };
    let expected = [
        (0, None, 0, 2, 2),
        (1, Some(1), 0, 3, 2),
        (2, Some(1), 0, 1, 0),
        (3, None, 0, 0, 0),
        (4, Some(1), 3, 4, 1),
        (5, None, 0, 1, 1),
    ];
    assert_eq!(found.partitions.iter().map(row).collect::<Vec<_>>(), expected);
    assert_eq!(found.total_lag, 6);
    for (of, seconds) in found.partitions.iter().zip([3_600.0, 600.0, 0.0, 0.0, 2_000.0, 0.0]) {
        let lag_seconds = of.lag_seconds.unwrap();
        assert!((seconds..seconds + NEAR).contains(&lag_seconds), "{of:?}");
    }
    let settled = [2, 3].map(|id: usize| found.partitions[id].lag_seconds);
    assert_eq!(settled, [Some(0.0); 2]);
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_grows_while_a_member_holds_the_partitions_and_does_nothing() {
    let stand = Stand::build("held", 2).await;
    stand.produce(0, [seconds_ago(50), seconds_ago(40)]).await;
    commit(&stand, 0, 1).await;
    let member = stand.member().await;
    assert_eq!(positions(&stand).await.total_lag, 1);
    stand.produce(0, [seconds_ago(30), seconds_ago(20)]).await;
    let held = BTreeMap::from([(0, Held { position: Some(1), member: "a".to_owned() })]);
    let found = offsets::positions(&stand.broker, held).await.unwrap();
    let shown = serde_json::to_value(&found).unwrap();
    let age = shown["partitions"][0]["lag_seconds"].as_f64().unwrap();
    assert!((40.0..40.0 + NEAR).contains(&age), "{age}");
    let of = |partition: usize| {
        let mut of = shown["partitions"][partition].clone();
        of.as_object_mut().unwrap().remove("lag_seconds");
        of
    };
    let first = json!({"partition": 0, "committed": 1, "position": 1, "low": 0, "high": 4, "lag": 3, "member": "a",
        "error": null});
    let second = json!({"partition": 1, "committed": null, "position": null, "low": 0, "high": 0, "lag": 0,
        "member": null, "error": null});
    assert_eq!((of(0), of(1)), (first, second));
    tokio::task::spawn_blocking(move || drop(member)).await.unwrap();
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_without_a_leader_or_with_one_that_does_not_answer_say_so_and_the_others_are_known() {
    let cluster = MockCluster::new(2).unwrap();
    let config = config_with("leaderless", &cluster.bootstrap_servers());
    let topic = &config.source_topic;
    cluster.create_topic(topic, 3, 1).unwrap();
    for (partition, leader) in [(0, Some(1)), (1, None), (2, Some(2))] {
        cluster.partition_leader(topic, partition, leader).unwrap();
    }
    cluster.coordinator(MockCoordinator::Group(config.group.clone()), 1).unwrap();
    let producer: FutureProducer = config.client().create().unwrap();
    let record = FutureRecord::<[u8], [u8]>::to(topic).payload(b"x").partition(0);
    producer.send(record, PATIENCE).await.unwrap();
    cluster.broker_down(2).unwrap();

    let broker = Arc::new(Broker::new(&config).unwrap());
    let held = BTreeMap::from([(1, Held { position: Some(7), member: "a".to_owned() })]);
    let found = offsets::positions(&broker, held).await.unwrap();
    let numbers = |of: &offsets::PartitionPosition| (of.partition, of.low, of.high, of.lag, of.position);
    let expected = [(0, Some(0), Some(1), Some(1), None), (1, None, None, None, Some(7)), (2, None, None, None, None)];
    assert_eq!(found.partitions.iter().map(numbers).collect::<Vec<_>>(), expected);
    assert_eq!(found.total_lag, 1);
    let errors: Vec<Option<&str>> = found.partitions.iter().map(|of| of.error.as_deref()).collect();
    assert_eq!(errors[..2], [None, Some("partition 1 has no leader")]);
    assert!(errors[2].is_some());
    assert!(found.partitions.iter().all(|of| of.lag_seconds.is_some() == of.lag.is_some()));

    let plan = async |chosen: &[i32]| {
        let chosen = chosen.iter().copied().collect();
        offsets::plan(&broker, &Target::Earliest, Some(&chosen), Utc::now()).await
    };
    assert_eq!(plan(&[0]).await.unwrap().partitions.len(), 1);
    let none = plan(&[0, 1]).await.unwrap_err();
    assert!(matches!(none, PlanError::Broker(BrokerError::NoLeader(1))), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_back_and_the_marks_of_transactions_are_no_lag() {
    let stand = Stand::build("marks", 2).await;
    let producer = stand.transaction().await;
    stand.send(&producer, 0, [seconds_ago(10)]).await;
    stand.send(&producer, 1, [seconds_ago(20)]).await;
    stand.take_back(&producer, &[(0, 2), (1, 2)]).await;
    stand.produce(1, [seconds_ago(5)]).await;
    let found = positions(&stand).await;
    let row = |of: &offsets::PartitionPosition| (of.low.unwrap(), of.high.unwrap(), of.lag.unwrap());
    assert_eq!(found.partitions.iter().map(row).collect::<Vec<_>>(), [(0, 2, 0), (0, 3, 3)]);
    assert_eq!((found.total_lag, found.partitions[0].lag_seconds), (3, Some(0.0)));
    let age = found.partitions[1].lag_seconds.unwrap();
    assert!((5.0..5.0 + NEAR).contains(&age), "{age}");
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_beyond_the_end_is_a_lag_of_all_that_is_there() {
    let stand = Stand::build("beyond", 1).await;
    stand.produce(0, [seconds_ago(10), seconds_ago(5)]).await;
    commit(&stand, 0, 99).await;
    let found = positions(&stand).await;
    assert_eq!((found.partitions[0].committed, found.total_lag), (Some(99), 2));
    assert_eq!(rows(&stand, json!("latest"), None).await[0].1, 0);
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_target_is_planned_from_what_the_broker_has() {
    let stand = Stand::build("plans", 3).await;
    // 0: offsets 2 to 6 are there, and the group is at 4; 1: never committed; 2: empty.
    stand.produce(0, [0, 10, 20, 30, 40, 50, 60].map(at)).await;
    stand.produce(1, [15, 25].map(at)).await;
    stand.delete_below(0, 2).await;
    commit(&stand, 0, 4).await;
    let empty = (2, 0, 0, false, Stays, 0, None);

    let earliest = [(0, 4, 2, false, Replay, 2, Some(at(20))), (1, 0, 0, false, Stays, 0, Some(at(15))), empty];
    assert_eq!(rows(&stand, json!("earliest"), None).await, earliest);
    let latest = [(0, 4, 7, false, Skip, 3, None), (1, 0, 2, false, Skip, 2, None), empty];
    assert_eq!(rows(&stand, json!("latest"), None).await, latest);
    let time = [(0, 4, 3, false, Replay, 1, Some(at(30))), (1, 0, 2, false, Skip, 2, None), empty];
    assert_eq!(rows(&stand, json!({"datetime": at(26)}), None).await, time);
    let past = [(0, 4, 7, false, Skip, 3, None)];
    assert_eq!(rows(&stand, json!({"datetime": "2999-01-01T00:00:00Z"}), Some(&[0])).await, past);
    let long_ago = [(0, 4, 2, false, Replay, 2, Some(at(20)))];
    assert_eq!(rows(&stand, json!({"datetime": "1901-01-01T00:00:00Z"}), Some(&[0])).await, long_ago);
    assert_eq!(rows(&stand, json!({"duration": "P36500D"}), Some(&[0])).await, long_ago);
    assert_eq!(rows(&stand, json!({"duration": "PT1S"}), Some(&[0])).await, past);
    let back = [(0, 4, 3, false, Replay, 1, Some(at(30))), (1, 0, 0, true, Stays, 0, Some(at(15)))];
    assert_eq!(rows(&stand, json!({"shift_by": -1}), Some(&[0, 1])).await, back);
    let far = [(0, 4, 7, true, Skip, 3, None)];
    assert_eq!(rows(&stand, json!({"shift_by": i64::MAX}), Some(&[0])).await, far);
    let named = [(0, 4, 2, true, Replay, 2, Some(at(20))), (1, 0, 1, false, Skip, 1, Some(at(25)))];
    assert_eq!(rows(&stand, json!({"offsets": {"0": 1, "1": 1}}), None).await, named);
    assert_eq!(rows(&stand, json!({"offset": {"0": 1, "1": 1}}), Some(&[1])).await, named[1..]);
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_itself_in_the_documented_shape_and_its_tag_stays_until_the_group_moves() {
    let stand = Stand::build("shape", 1).await;
    stand.produce(0, [0, 10].map(at)).await;
    commit(&stand, 0, 1).await;
    let first = plan(&stand, json!("earliest"), None).await.unwrap();
    let expected = json!({"dry_run": true, "to": "earliest", "partitions": [{
        "partition": 0, "current": 1, "target": 0, "clamped": false, "effect": "replay", "records": 1,
        "first_record_time": at(0),
    }]});
    assert_eq!(serde_json::to_value(&first).unwrap(), expected);
    assert!(!first.skips());
    assert_eq!(first.etag(), plan(&stand, json!({"shift_by": -1}), None).await.unwrap().etag());
    commit(&stand, 0, 2).await;
    assert_ne!(first.etag(), plan(&stand, json!("earliest"), None).await.unwrap().etag());
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_the_topic_has_not_and_a_topic_that_is_not_there_are_no_plan() {
    let stand = Stand::build("refused", 2).await;
    let unknown = plan(&stand, json!("latest"), Some(&[0, 5])).await.unwrap_err();
    let topic = stand.broker.topic().to_owned();
    let expected = Refusal::UnknownPartitions { topic, partitions: BTreeSet::from([5]) };
    assert!(matches!(&unknown, PlanError::Refused(refusal) if *refusal == expected), "{unknown}");
    let absent = Stand::absent("absent");
    let error = plan(&absent, json!("latest"), None).await.unwrap_err();
    assert!(matches!(error, PlanError::Broker(BrokerError::NoTopic(_))), "{error}");
    stand.tear_down().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_while_four_are_answered_waits_for_a_turn_and_not_for_ever() {
    let broker = Arc::new(Broker::new(&config_with("turns", "127.0.0.1:1")).unwrap());
    let mut turns = Vec::new();
    for _ in 0..4 {
        turns.push(broker.turn().await.unwrap());
    }
    let refused = offsets::positions(&broker, BTreeMap::new()).await;
    assert!(matches!(refused, Err(BrokerError::Busy)), "{refused:?}");
    let refused = offsets::plan(&broker, &Target::Earliest, None, Utc::now()).await;
    assert!(matches!(refused, Err(PlanError::Broker(BrokerError::Busy))), "{refused:?}");
    turns.pop();
    assert!(broker.turn().await.is_ok());
}
