//! Each question to the broker.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use ordervault_runtime::broker::{Broker, BrokerError, Committed, First, Watermarks};

use crate::stand::{Stand, at, config_with};

/// A question whose answer lies on the broker takes far less than it may.
const SOON: Duration = Duration::from_millis(900);

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_has_its_partitions_and_one_that_is_not_there_is_named() {
    let stand = Stand::build("partitions", 3).await;
    assert_eq!(stand.ask(Broker::partitions).await, [0, 1, 2]);
    let error = stand.broker.ask(|broker| broker.partitions_of("no-such-topic")).await.unwrap_err();
    assert!(matches!(&error, BrokerError::NoTopic(topic) if topic == "no-such-topic"), "{error}");
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ends_of_a_partition_are_those_that_the_broker_has_now() {
    let stand = Stand::build("ends", 3).await;
    let ends = async || stand.ask_each(|broker| broker.watermarks(&[0, 1, 2])).await;
    let empty = Watermarks { low: 0, high: 0 };
    assert_eq!(ends().await, BTreeMap::from([(0, empty), (1, empty), (2, empty)]));
    stand.produce(0, (0..5).map(at)).await;
    stand.produce(2, (0..4).map(at)).await;
    stand.delete_below(0, 2).await;
    stand.delete_below(2, 4).await;
    let now = [(0, Watermarks { low: 2, high: 5 }), (1, empty), (2, Watermarks { low: 4, high: 4 })];
    assert_eq!(ends().await, BTreeMap::from(now));
    assert!(stand.ask_each(|broker| broker.watermarks(&[])).await.is_empty());
    let unknown = stand.ask(|broker| broker.watermarks(&[0, 7])).await;
    assert!(matches!(unknown[&0], Ok(Watermarks { low: 2, high: 5 })), "{unknown:?}");
    assert!(matches!(unknown[&7], Err(BrokerError::NoLeader(7))), "{unknown:?}");
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_leads_to_the_first_record_at_or_after_it() {
    let stand = Stand::build("times", 2).await;
    stand.produce(0, [0, 10, 20].map(at)).await;
    stand.produce(1, [15].map(at)).await;
    let first = async |time: DateTime<Utc>| {
        let found = stand.ask_each(move |broker| broker.first_offsets_at(&[0, 1], time)).await;
        (found.get(&0).copied(), found.get(&1).copied())
    };
    assert_eq!(first(at(10)).await, (Some(1), Some(0)));
    assert_eq!(first(at(10) + TimeDelta::microseconds(1)).await, (Some(2), Some(0)));
    assert_eq!(first(at(16)).await, (Some(2), None));
    assert_eq!(first(at(21)).await, (None, None));
    // As numbers of the protocol these mean the end and the begin of a partition.
    assert_eq!(first(DateTime::from_timestamp_millis(-1).unwrap()).await, (Some(0), Some(0)));
    assert_eq!(first(DateTime::from_timestamp_millis(-2).unwrap()).await, (Some(0), Some(0)));
    assert_eq!(first(DateTime::<Utc>::MIN_UTC).await, (Some(0), Some(0)));
    assert_eq!(first(DateTime::<Utc>::MAX_UTC).await, (None, None));
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_record_is_had_of_many_partitions_at_once_and_none_at_the_end() {
    let stand = Stand::build("first_records", 4).await;
    stand.produce(0, [0, 10, 20].map(at)).await;
    stand.produce(1, [30, 40].map(at)).await;
    stand.produce(2, [50].map(at)).await;
    stand.delete_below(1, 1).await;
    let asked = BTreeMap::from([(0, 1), (1, 0), (2, 1), (3, 0)]);
    let firsts = stand.ask(move |broker| broker.first_records(&asked)).await;
    let record = |time| First::Record(Some(time));
    let expected = BTreeMap::from([(0, record(at(10))), (1, record(at(40))), (2, First::Nothing), (3, First::Nothing)]);
    assert_eq!(firsts, expected, "2 is at its end, 3 is empty");
    let beyond = stand.ask(|broker| broker.first_records(&BTreeMap::from([(0, 99)]))).await;
    assert_eq!(beyond, BTreeMap::new(), "the records before are not meant");
    assert_eq!(stand.members().await, 0);
    assert!(stand.ask_each(|broker| broker.committed(&[0, 1, 2, 3])).await.is_empty());
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_taken_back_and_the_marks_of_transactions_are_passed_over_and_hang_nothing() {
    let stand = Stand::build("transactions", 2).await;
    stand.produce(0, [at(0)]).await;
    let producer = stand.transaction().await;
    stand.send(&producer, 0, [10, 11].map(at)).await;
    stand.send(&producer, 1, [10].map(at)).await;
    let open = stand.ask_each(|broker| broker.watermarks(&[0, 1])).await;
    assert_eq!(open[&0], Watermarks { low: 0, high: 1 }, "what an open transaction holds may not be read yet");
    stand.take_back(&producer, &[(0, 4), (1, 2)]).await;
    stand.produce(0, [at(20)]).await;

    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        let firsts = stand.ask(|broker| broker.first_records(&BTreeMap::from([(0, 1), (1, 0)]))).await;
        let expected = BTreeMap::from([(0, First::Record(Some(at(20)))), (1, First::Nothing)]);
        assert_eq!(firsts, expected, "1 holds nothing but what was taken back");
        fastest = fastest.min(begun.elapsed());
    }
    assert!(fastest < SOON, "{fastest:?}");
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_members_takes_a_commit_with_its_metadata() {
    let stand = Stand::build("empty_group", 3).await;
    assert!(stand.ask_each(|broker| broker.committed(&[0, 1, 2])).await.is_empty());
    stand.ask(|broker| broker.commit_for_empty_group(1, 42, "reset 7")).await;
    stand.ask(|broker| broker.commit_for_empty_group(2, 0, "")).await;
    let committed = stand.ask_each(|broker| broker.committed(&[0, 1, 2])).await;
    let expected = [(1, 42, "reset 7"), (2, 0, "")];
    let expected =
        expected.map(|(partition, offset, metadata)| (partition, Committed { offset, metadata: metadata.to_owned() }));
    assert_eq!(committed, BTreeMap::from(expected));
    assert_eq!(stand.members().await, 0);
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_a_member_refuses_a_commit_from_outside_until_the_member_has_left() {
    let stand = Stand::build("live_group", 1).await;
    let member = stand.member().await;
    let refused = stand.broker.ask(|broker| broker.commit_for_empty_group(0, 42, "")).await.unwrap_err();
    assert!(matches!(&refused, BrokerError::GroupHasMembers(group) if group == stand.broker.group()), "{refused}");
    assert_eq!(stand.members().await, 1, "who was refused does not join");
    assert!(stand.ask_each(|broker| broker.committed(&[0])).await.is_empty());
    tokio::task::spawn_blocking(move || drop(member)).await.unwrap();
    stand.ask(|broker| broker.commit_for_empty_group(0, 42, "")).await;
    assert_eq!(stand.ask_each(|broker| broker.committed(&[0])).await[&0].offset, 42);
    stand.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_accepts_connections_and_says_nothing_is_given_up_after_three_seconds() {
    // The connections wait in the listener's queue, for ever.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config_with("silent", &silent.local_addr().unwrap().to_string());
    let broker = Arc::new(Broker::new(&config).unwrap());
    let answers = async |question: fn(&Broker) -> Result<(), BrokerError>| {
        let begun = Instant::now();
        let answer = broker.ask(question).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        answer.unwrap_err()
    };
    tokio::join!(
        answers(|broker| broker.partitions().map(drop)),
        answers(|broker| broker.committed(&[0]).map(drop)),
        answers(|broker| broker.watermarks(&[0]).map(drop)),
        answers(|broker| broker.first_offsets_at(&[0], at(0)).map(drop)),
        async {
            let error = answers(|broker| broker.commit_for_empty_group(0, 1, "")).await;
            assert!(matches!(error, BrokerError::TimedOut), "{error}");
        },
        async {
            let firsts = broker.ask(|broker| broker.first_records(&BTreeMap::from([(0, 0)]))).await;
            assert_eq!(firsts.unwrap(), BTreeMap::new());
        },
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_falls_is_an_error_and_no_more() {
    let broker = Arc::new(Broker::new(&config_with("fallen", "127.0.0.1:1")).unwrap());
    let fallen = broker.ask(|_| -> Result<(), BrokerError> { panic!("as the test wants it") }).await;
    assert!(matches!(fallen, Err(BrokerError::Fallen(_))), "{fallen:?}");
}
