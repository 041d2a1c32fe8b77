//! An operator's pause holds for every replica of a layer, whatever becomes of them, until it is over.

use std::time::Duration;

use chrono::Utc;
use ordervault_demo::orders::{Mix, Trickle};
use ordervault_demo::recount::{NameCheck, Recount};
use ordervault_demo::stage::{OPERATOR, Service, Stream, until};
use serde_json::{Value, json};

use crate::beginnings::{orders, replica, with_dictionary};

const LAYER: &str = "stg";
const PATIENCE: Duration = Duration::from_mins(2);
/// Longer than it takes a member to learn of a change that it is not told of.
const A_WHILE: Duration = Duration::from_secs(6);

fn live(report: &Value) -> impl Iterator<Item = &Value> {
    report["members"].as_array().unwrap().iter().filter(|member| member["state"] != "gone")
}

/// The younger of a layer's two members, once there are two and each has a partition.
async fn second_member(service: &Service) -> Value {
    until("two members at work", PATIENCE, async || {
        let report = service.consumer().await?;
        let at_work: Vec<&Value> =
            live(&report).filter(|member| member["state"] == "running" && member["partitions"] != json!([])).collect();
        Ok((at_work.len() == 2).then(|| at_work[1]["id"].clone()))
    })
    .await
    .unwrap()
}

fn outcome_of<'a>(operation: &'a Value, member: &Value) -> Option<&'a Value> {
    let mut results = operation["results"].as_array().unwrap().iter();
    results.find(|result| result["member"] == *member).map(|result| &result["outcome"])
}

/// What a report says of the layer, without that which changes all the time.
fn said(report: &Value) -> Value {
    let members = report["members"].as_array().unwrap().iter();
    let members: Vec<Value> =
        members.map(|member| json!([member["id"], member["state"], member["partitions"]])).collect();
    json!([report["desired_state"], report["actual_state"], report["reasons"], members])
}

/// Waits until so many live members have shared the partitions and rest, and the `dead` are known to be gone.
async fn at_rest(service: &Service, members: usize, dead: usize, partitions: i64) -> Value {
    until("members at rest", PATIENCE, async || {
        let report = service.consumer().await?;
        let mut held: Vec<i64> = live(&report)
            .flat_map(|member| member["partitions"].as_array().unwrap())
            .map(|id| id.as_i64().unwrap())
            .collect();
        held.sort_unstable();
        let all = report["members"].as_array().unwrap().len();
        let as_meant = live(&report).count() == members
            && all == members + dead
            && live(&report).all(|member| member["state"] == "paused" && member["partitions"] != json!([]))
            && held == (0..partitions).collect::<Vec<_>>();
        Ok(as_meant.then_some(report))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_every_replica_and_holds_for_those_that_come_later() {
    let (mut stage, dictionary) = with_dictionary("pauses", 3).await;
    let trickle = Trickle::new(&dictionary, fastrand::u64(..), 1, Mix::calm());
    let stream = Stream::begin(&stage, LAYER, trickle, 200.0).unwrap();
    let mut first = vec![replica(&stage, LAYER, &[]).await, replica(&stage, LAYER, &[]).await];
    until("work", PATIENCE, async || {
        Ok(stage.footprint(LAYER).await.is_ok_and(|footprint| footprint.applied.len() == 3).then_some(()))
    })
    .await
    .unwrap();

    let paused = first[0].pause(&json!({"reason": "menu migration"})).await.unwrap();
    assert_eq!(
        (&paused["kind"], &paused["state"], &paused["actor"]),
        (&json!("pause"), &json!("done"), &json!(OPERATOR))
    );
    assert_eq!(paused["progress"], json!({"members_total": 2, "members_done": 2}));
    let outcomes = paused["results"].as_array().unwrap();
    assert!(outcomes.iter().all(|result| result["outcome"] == "done"), "{paused}");
    // Every member has said that it is done, and is not heard of again.
    let before = stage.footprint(LAYER).await.unwrap();
    for replica in &mut first {
        replica.kill().await.unwrap();
    }
    let mut replicas = vec![replica(&stage, LAYER, &[]).await, replica(&stage, LAYER, &[]).await];
    at_rest(&replicas[0], 2, 2, 3).await;
    replicas.push(replica(&stage, LAYER, &[]).await);
    at_rest(&replicas[2], 3, 2, 3).await;
    stage.let_pass(LAYER, A_WHILE, PATIENCE).await.unwrap();

    let report = said(&at_rest(&replicas[0], 3, 2, 3).await);
    assert_eq!((&report[0], &report[1]), (&json!("paused"), &json!("paused")));
    assert_eq!((&report[2][0]["kind"], &report[2][0]["reason"]), (&json!("operator"), &json!("menu migration")));
    assert_eq!(report[2][0]["actor"], json!(OPERATOR));
    for replica in &replicas {
        assert_eq!(said(&replica.consumer().await.unwrap()), report);
        assert_eq!(replica.get("/livez").await.unwrap().0, 200);
        let (status, ready) = replica.get("/readyz").await.unwrap();
        assert!(status == 200 && ready.contains("menu migration"), "{status} {ready}");
    }
    assert_eq!(stage.footprint(LAYER).await.unwrap(), before, "a paused layer has worked");
    assert!(stage.lag(LAYER).await.unwrap() > 0, "no records came in meanwhile");

    let resumed = replicas[1].resume().await.unwrap();
    assert_eq!(
        (&resumed["state"], &resumed["progress"]),
        (&json!("done"), &json!({"members_total": 3, "members_done": 3}))
    );
    let records = stream.end().await.unwrap();
    stage.drained(LAYER, PATIENCE).await.unwrap();
    let topic = stage.source_topic(LAYER);
    let recount = Recount::of_topic(&stage.cluster, &topic, &mut stage.redis, &NameCheck::Present).await.unwrap();
    assert_eq!(recount.summary().records, records);
    let report = recount.compare_stg(&stage.pool).await.unwrap();
    assert!(report.is_equal(), "{report}");
    drop(replicas);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_records_and_replays_rest_while_the_layer_is_paused() {
    let (mut stage, mut dictionary) = with_dictionary("rest", 1).await;
    let users = dictionary.users().len();
    (0..users).for_each(|user| dictionary.withhold_user(user));
    dictionary.write(&mut stage.redis).await.unwrap();
    stage.produce(LAYER, orders(&dictionary, 1, 50)).await.unwrap();
    let service = replica(&stage, LAYER, &[]).await;
    stage.drained(LAYER, PATIENCE).await.unwrap();
    service.pause(&json!({"reason": "menu migration"})).await.unwrap();
    let before = stage.footprint(LAYER).await.unwrap();
    assert!(before.letters.len() >= 50 && before.letters.values().all(|letter| letter.0 == "waiting"), "{before:?}");

    dictionary.reveal_all(Utc::now().naive_utc());
    dictionary.write(&mut stage.redis).await.unwrap();
    let (status, replay) = service
        .post("/api/v1/dead-letters/replays", &json!({"dry_run": false, "max_per_second": 1_000}))
        .await
        .unwrap();
    assert_eq!((status.as_u16(), &replay["progress"]["matched"]), (202, &json!(before.letters.len())));
    until("the replay to be taken up", PATIENCE, async || {
        Ok((service.operation(&replay["id"]).await?["state"] != "accepted").then_some(()))
    })
    .await
    .unwrap();
    until("every record to be due", PATIENCE, async || {
        let due: Vec<_> = before.letters.values().filter_map(|letter| letter.2).collect();
        Ok(due.into_iter().all(|due| due < Utc::now()).then_some(()))
    })
    .await
    .unwrap();
    stage.let_pass(LAYER, A_WHILE, PATIENCE).await.unwrap();
    assert_eq!(stage.footprint(LAYER).await.unwrap(), before, "a paused layer has worked");
    let held = service.operation(&replay["id"]).await.unwrap();
    assert_eq!((&held["state"], &held["progress"]["done"]), (&json!("running"), &json!(0)), "{held}");

    service.resume().await.unwrap();
    until("the waiting records", PATIENCE, async || {
        let letters = stage.footprint(LAYER).await?.letters;
        Ok(letters.values().all(|letter| letter.0 == "resolved").then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(service.finished(&replay, PATIENCE).await.unwrap()["state"], "done");
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_pause_in_vain_is_told_who_is_missing() {
    let (stage, _) = with_dictionary("missing", 2).await;
    let (quick, frozen) = (replica(&stage, LAYER, &[]).await, replica(&stage, LAYER, &[]).await);
    let frozen_id = second_member(&quick).await;
    frozen.freeze().unwrap();
    let path = "/api/v1/consumer/pause?wait=1s";
    let (status, paused) = quick.post(path, &json!({"reason": "menu migration"})).await.unwrap();
    // On a very slow machine it is known to be gone by now; that it has paused nobody can say.
    let outcome = outcome_of(&paused, &frozen_id).map_or("gone", |outcome| outcome.as_str().unwrap());
    assert!(outcome == "pending" || outcome == "gone", "{paused}");
    if outcome == "pending" {
        assert_eq!((status.as_u16(), &paused["state"], &paused["finished_at"]), (202, &json!("running"), &Value::Null));
        assert_eq!(paused["progress"]["members_total"], 2);
    }
    frozen.thaw().unwrap();
    let paused = quick.finished(&paused, PATIENCE).await.unwrap();
    assert_eq!(paused["state"], "done");
    at_rest(&quick, 2, 0, 2).await;
    drop((quick, frozen));
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_member_is_shown_as_gone_and_nobody_waits_for_it() {
    let (stage, _) = with_dictionary("dead", 2).await;
    let survivor = replica(&stage, LAYER, &[]).await;
    let mut fallen = replica(&stage, LAYER, &[]).await;
    let fallen_id = second_member(&survivor).await;
    fallen.kill().await.unwrap();
    let paused = survivor.pause(&json!({"reason": "menu migration"})).await.unwrap();
    assert_eq!(paused["state"], "done");
    // On a slow machine it may have been known to be gone before anybody could wait for it.
    assert!(outcome_of(&paused, &fallen_id).is_none_or(|outcome| outcome == "gone"), "{paused}");
    assert_eq!(paused["progress"]["members_done"], 1);
    let report = survivor.consumer().await.unwrap();
    let gone: Vec<&Value> =
        report["members"].as_array().unwrap().iter().filter(|member| member["state"] == "gone").collect();
    assert_eq!((gone.len(), &gone[0]["id"]), (1, &fallen_id), "{report}");
    assert_eq!(report["actual_state"], "paused");
    at_rest(&survivor, 1, 1, 2).await;
    drop(survivor);
    stage.tear_down().await.unwrap();
}
