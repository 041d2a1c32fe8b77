//! The lag that the API tells is the broker's own, also while the layer is paused and where nobody holds a partition.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::kafka;
use ordervault_demo::orders::{Mix, Produced, Trickle};
use ordervault_demo::stage::{Service, Stage, Standing, Stream, until};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use serde_json::{Value, json};

use crate::beginnings::{orders, replica, with_dictionary};

const LAYER: &str = "stg";
const PARTITIONS: i32 = 3;
const PATIENCE: Duration = Duration::from_mins(2);
/// How often it is asked while records come in.
const TIMES: usize = 10;
/// Kafka's times are whole milliseconds, and so are the API's.
const ROUNDED: TimeDelta = TimeDelta::milliseconds(2);

/// What the API says, between two times that the broker was asked itself.
struct Sandwich {
    before: Vec<Standing>,
    said: Value,
    after: Vec<Standing>,
    asked: (DateTime<Utc>, DateTime<Utc>),
}

async fn ask(stage: &Stage, service: &Service) -> Sandwich {
    let before = stage.standings(LAYER).await.unwrap();
    let begun = Utc::now();
    let said = service.offsets().await.unwrap();
    let ended = Utc::now();
    Sandwich { before, said, after: stage.standings(LAYER).await.unwrap(), asked: (begun, ended) }
}

impl Sandwich {
    fn partitions(&self) -> &Vec<Value> {
        self.said["partitions"].as_array().unwrap()
    }

    /// Everything but the times.
    fn holds(&self) {
        assert_eq!(self.partitions().len(), self.before.len(), "{}", self.said);
        let mut total = 0;
        for ((before, after), said) in self.before.iter().zip(&self.after).zip(self.partitions()) {
            let number = |name: &str| said[name].as_i64().unwrap();
            assert_eq!(number("partition"), i64::from(before.partition));
            assert_eq!((number("low"), said["committed"].as_i64()), (before.low, before.committed), "{}", self.said);
            assert!((before.high..=after.high).contains(&number("high")), "{before:?} {after:?} {said}");
            assert_eq!(number("lag"), number("high") - before.committed.unwrap_or(before.low), "{said}");
            assert!((before.lag()..=after.lag()).contains(&number("lag")), "{before:?} {after:?} {said}");
            total += number("lag");
        }
        assert_eq!(self.said["total_lag"], total);
    }

    /// The age of the first record that is not processed, by when that record was produced.
    fn times_hold(&self, produced: &BTreeMap<(i32, i64), DateTime<Utc>>) {
        for (standing, said) in self.before.iter().zip(self.partitions()) {
            let seconds = said["lag_seconds"].as_f64().unwrap();
            if said["lag"] == 0 {
                assert!(seconds.abs() < f64::EPSILON, "{said}");
                continue;
            }
            let first = produced[&(standing.partition, standing.committed.unwrap_or(standing.low))];
            let least = (self.asked.0 - first - ROUNDED).as_seconds_f64();
            let most = (self.asked.1 - first + ROUNDED).as_seconds_f64();
            assert!((least..=most).contains(&seconds), "{least} to {most}: {said}");
        }
    }
}

/// When each record of the layer's topic entered Kafka.
async fn times(stage: &Stage) -> BTreeMap<(i32, i64), DateTime<Utc>> {
    let (cluster, topic) = (stage.cluster.clone(), stage.source_topic(LAYER));
    let read = tokio::task::spawn_blocking(move || {
        let mut times = BTreeMap::new();
        kafka::read_topic(&cluster, &topic, |record| {
            let time = record.timestamp.and_then(DateTime::from_timestamp_millis).unwrap();
            times.insert((record.partition, record.offset), time);
        })
        .unwrap();
        times
    });
    read.await.unwrap()
}

fn stream(stage: &Stage, dictionary: &Dictionary) -> Stream {
    let trickle = Trickle::new(dictionary, fastrand::u64(..), 1, Mix::calm());
    Stream::begin(stage, LAYER, trickle, 300.0).unwrap()
}

/// Waits until every partition of the broker's has a commit: from then on all of them are worked.
async fn at_work(stage: &Stage) {
    until("work on every partition", PATIENCE, async || {
        let standings = stage.standings(LAYER).await?;
        Ok(standings.iter().all(|standing| standing.committed.is_some()).then_some(()))
    })
    .await
    .unwrap();
}

/// Asks again and again while every partition's lag grows.
async fn asked_while_it_grows(stage: &Stage, service: &Service) -> Vec<Sandwich> {
    let mut asked: Vec<Sandwich> = Vec::new();
    for _ in 0..TIMES {
        let sandwich = ask(stage, service).await;
        sandwich.holds();
        until("records on every partition", PATIENCE, async || {
            let standings = stage.standings(LAYER).await?;
            Ok(standings.iter().zip(&sandwich.after).all(|(now, then)| now.high > then.high).then_some(()))
        })
        .await
        .unwrap();
        asked.push(sandwich);
    }
    let lags: Vec<i64> = asked.iter().map(|one| one.said["total_lag"].as_i64().unwrap()).collect();
    assert!(lags.is_sorted_by(|one, next| one < next), "the lag froze: {lags:?}");
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_of_a_paused_layer_is_the_brokers_while_records_come_in_and_0_after_the_resume() {
    let (stage, dictionary) = with_dictionary("lag_paused", PARTITIONS).await;
    let stream = stream(&stage, &dictionary);
    let service = replica(&stage, LAYER, &[]).await;
    at_work(&stage).await;
    service.pause(&json!({"reason": "menu migration"})).await.unwrap();
    let member = service.consumer().await.unwrap()["members"][0]["id"].clone();
    let asked = asked_while_it_grows(&stage, &service).await;
    let produced = times(&stage).await;
    for sandwich in &asked {
        sandwich.times_hold(&produced);
        for partition in sandwich.partitions() {
            assert_eq!(partition["member"], member, "{partition}");
            assert_eq!(partition["position"], partition["committed"], "{partition}");
        }
    }
    service.resume().await.unwrap();
    stream.end().await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    let sandwich = ask(&stage, &service).await;
    sandwich.holds();
    sandwich.times_hold(&BTreeMap::new());
    assert_eq!(sandwich.said["total_lag"], 0);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lag_of_partitions_that_nobody_holds_is_the_brokers_as_well() {
    let (stage, dictionary) = with_dictionary("lag_ownerless", PARTITIONS).await;
    let stream = stream(&stage, &dictionary);
    let mut service = replica(&stage, LAYER, &[]).await;
    at_work(&stage).await;
    service.kill().await.unwrap();
    // A replica joins its group once it knows what is desired of its layer. It cannot ask while this is locked, but serves.
    let mut held = stage.pool.begin().await.unwrap();
    sqlx::query("lock table ops.pauses in access exclusive mode").execute(&mut *held).await.unwrap();
    let service = stage.start(LAYER, &[]).unwrap();
    until("partitions that nobody holds", PATIENCE, async || {
        // Before it listens nobody answers at all, and the dead member is taken for alive for a while.
        let Ok(said) = service.offsets().await else { return Ok(None) };
        let partitions = said["partitions"].as_array().unwrap();
        Ok(partitions.iter().all(|partition| partition["member"] == Value::Null).then_some(()))
    })
    .await
    .unwrap();
    let asked = asked_while_it_grows(&stage, &service).await;
    let produced = times(&stage).await;
    for sandwich in &asked {
        sandwich.times_hold(&produced);
        for partition in sandwich.partitions() {
            assert_eq!((&partition["member"], &partition["position"]), (&Value::Null, &Value::Null), "{partition}");
        }
    }
    held.rollback().await.unwrap();
    stream.end().await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    until("the partitions' new member", PATIENCE, async || {
        let said = service.offsets().await?;
        let mut partitions = said["partitions"].as_array().unwrap().iter();
        Ok((said["total_lag"] == 0 && partitions.all(|partition| partition["member"].is_string())).then_some(()))
    })
    .await
    .unwrap();
    drop(service);
    stage.tear_down().await.unwrap();
}

/// A gauge of the partition.
fn gauge(metrics: &str, name: &str) -> Option<f64> {
    let name = format!("ordervault_{name}{{partition=\"0\",layer=\"{LAYER}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name))?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mark_of_a_producers_transaction_is_no_lag_once_its_records_are_done() {
    let (stage, dictionary) = with_dictionary("lag_marks", 1).await;
    let service = replica(&stage, LAYER, &[]).await;
    let records: Vec<Produced> = orders(&dictionary, 1, 20);
    let end = i64::try_from(records.len()).unwrap();
    let (mut config, topic) = (stage.cluster.client(), stage.source_topic(LAYER));
    let producer: FutureProducer = config.set("transactional.id", &stage.name).create().unwrap();
    tokio::task::spawn_blocking(move || {
        producer.init_transactions(PATIENCE).unwrap();
        producer.begin_transaction().unwrap();
        for record in &records {
            producer
                .send_result(FutureRecord::<[u8], Vec<u8>>::to(&topic).payload(&record.payload).partition(0))
                .unwrap();
        }
        producer.commit_transaction(PATIENCE).unwrap();
    })
    .await
    .unwrap();
    until("all but the mark to be done", PATIENCE, async || {
        let standing = &stage.standings(LAYER).await?[0];
        Ok((standing.committed == Some(end) && standing.high == end + 1).then_some(()))
    })
    .await
    .unwrap();
    let said = service.offsets().await.unwrap();
    assert_eq!((&said["total_lag"], &said["partitions"][0]["lag_seconds"]), (&json!(0), &json!(0.0)), "{said}");
    // All of it can be read, and nothing was forgotten yet: the margin is the commit.
    let committed = format!("{end}").parse().ok();
    until("metrics without lag", PATIENCE, async || {
        let (_, metrics) = service.get("/metrics").await?;
        let shown = ["retention_margin_records", "lag_records", "lag_seconds"].map(|name| gauge(&metrics, name));
        Ok((shown == [committed, Some(0.0), Some(0.0)]).then_some(()))
    })
    .await
    .unwrap();
    drop(service);
    stage.tear_down().await.unwrap();
}
