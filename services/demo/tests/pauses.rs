//! A pause holds for every replica, beyond the end of all of them, until somebody resumes or its time is up.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan, Produced};
use ordervault_demo::stage::{OPERATOR, Service, Stage, until};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(2);

async fn scene(name: &str) -> (Stage, Vec<Produced>) {
    let mut stage = Stage::build(name, 3).await.unwrap();
    let dictionary = Dictionary::generate(11, 100, 10);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed: 11, first_order_id: 1, orders: 600, partitions: 3, mix: Mix::calm() };
    (stage, Backlog::new(&dictionary, plan).collect())
}

async fn replicas(stage: &Stage, count: usize) -> Vec<Service> {
    let replicas: Vec<Service> = (0..count).map(|_| stage.start("stg", &[]).unwrap()).collect();
    for replica in &replicas {
        replica.ready(PATIENCE).await.unwrap();
    }
    replicas
}

async fn caught_up(stage: &Stage) {
    until("the end of the topic", PATIENCE, async || Ok((stage.lag("stg").await? == 0).then_some(()))).await.unwrap();
}

/// Rows of the layer and how far it says that it is applied: what consuming would change.
async fn traces(stage: &Stage) -> (i64, i64) {
    sqlx::query_as(
        "select (select count(*) from stg.order_events), \
                (select coalesce(sum(next_offset), 0)::bigint from ops.applied_offsets)",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap()
}

/// Waits until a replica shows so many live members that hold every partition between them, all in this state.
async fn agrees(replica: &Service, live: usize, state: &str) -> Value {
    until("the members", PATIENCE, async || {
        let shown = replica.read("/api/v1/consumer").await?;
        let members: Vec<&Value> =
            shown["members"].as_array().unwrap().iter().filter(|member| member["state"] != "gone").collect();
        let held: BTreeSet<i64> = members
            .iter()
            .flat_map(|member| member["partitions"].as_array().unwrap())
            .map(|partition| partition.as_i64().unwrap())
            .collect();
        let as_wanted = members.len() == live && held.len() == 3 && shown["actual_state"] == state;
        Ok(as_wanted.then_some(shown))
    })
    .await
    .unwrap()
}

fn in_seconds(seconds: i64) -> DateTime<Utc> {
    Utc::now() + TimeDelta::seconds(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlives_every_replica_and_nothing_is_consumed_until_somebody_resumes() {
    let (stage, backlog) = scene("pause").await;
    let (first, second) = backlog.split_at(backlog.len() / 2);
    let mut old = replicas(&stage, 2).await;
    stage.produce("stg", first.to_vec()).await.unwrap();
    caught_up(&stage).await;
    agrees(&old[0], 2, "running").await;

    let (status, operation) =
        old[0].post("/api/v1/consumer/pause?wait=60s", &json!({"reason": "a test"})).await.unwrap();
    assert_eq!((status.as_u16(), &operation["state"]), (200, &json!("done")), "{operation}");
    assert_eq!(operation["progress"], json!({"members_total": 2, "members_done": 2}));
    let (_, again) = old[1].post("/api/v1/consumer/pause?wait=60s", &json!({"reason": "another"})).await.unwrap();
    assert_eq!(again["state"], "done", "{again}");
    let before = traces(&stage).await;
    for replica in &mut old {
        replica.kill().await.unwrap();
    }

    stage.produce("stg", second.to_vec()).await.unwrap();
    let mut new = replicas(&stage, 2).await;
    new.extend(replicas(&stage, 1).await);
    for replica in &new {
        let shown = agrees(replica, 3, "paused").await;
        assert_eq!(shown["desired_state"], "paused");
        assert_eq!(shown["reasons"].as_array().unwrap().len(), 1);
        let reason = &shown["reasons"][0];
        assert_eq!((&reason["kind"], &reason["reason"]), (&json!("operator"), &json!("another")));
        assert_eq!(reason["actor"], OPERATOR);
        assert_eq!(replica.get("/livez").await.unwrap().0.as_u16(), 200);
        let (status, ready) = replica.get("/readyz").await.unwrap();
        assert!(status.as_u16() == 200 && ready.contains("another"), "{ready}");
    }
    assert_eq!(traces(&stage).await, before);
    assert_eq!(stage.lag("stg").await.unwrap(), second.len() as u64);

    let (status, resumed) = new[2].post("/api/v1/consumer/resume?wait=60s", &json!({})).await.unwrap();
    assert_eq!((status.as_u16(), &resumed["state"]), (200, &json!("done")), "{resumed}");
    caught_up(&stage).await;
    agrees(&new[0], 3, "running").await;
    assert!(traces(&stage).await.0 > before.0);
    drop(new);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_ends_by_itself_when_its_time_is_up_also_while_nobody_is_there() {
    let (stage, backlog) = scene("until").await;
    let mut old = replicas(&stage, 1).await;
    let (_, past) = old[0]
        .post("/api/v1/consumer/pause?wait=60s", &json!({"reason": "over already", "until": in_seconds(-60)}))
        .await
        .unwrap();
    assert_eq!(past["state"], "done", "{past}");
    assert_eq!(old[0].read("/api/v1/consumer").await.unwrap()["desired_state"], "running");

    let ends = in_seconds(5);
    old[0].post("/api/v1/consumer/pause?wait=60s", &json!({"reason": "five seconds", "until": ends})).await.unwrap();
    old[0].kill().await.unwrap();
    stage.produce("stg", backlog).await.unwrap();
    until("the end of the pause", PATIENCE, async || Ok((Utc::now() > ends).then_some(()))).await.unwrap();
    let new = replicas(&stage, 1).await;
    caught_up(&stage).await;
    let operations = new[0].read("/api/v1/operations?kind=resume").await.unwrap();
    let own = operations["items"].as_array().unwrap().iter().filter(|operation| operation["actor"] == "ordervault");
    assert_eq!(own.count(), 2, "{operations}");
    drop(new);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_the_brokers_own_while_the_layer_is_paused_and_records_come_in() {
    let (stage, backlog) = scene("lag").await;
    let replicas = replicas(&stage, 2).await;
    agrees(&replicas[0], 2, "running").await;
    replicas[0].post("/api/v1/consumer/pause?wait=60s", &json!({"reason": "a test"})).await.unwrap();
    let mut produced = 0;
    for some in backlog.chunks(backlog.len() / 10) {
        stage.produce("stg", some.to_vec()).await.unwrap();
        produced += some.len() as u64;
        assert_eq!(stage.lag("stg").await.unwrap(), produced);
        for replica in &replicas {
            let shown = replica.read("/api/v1/consumer/offsets").await.unwrap();
            assert_eq!(shown["total_lag"], produced, "{shown}");
            for partition in shown["partitions"].as_array().unwrap() {
                let lag = partition["high"].as_i64().unwrap() - partition["committed"].as_i64().unwrap_or(0);
                assert_eq!(partition["lag"], lag, "{partition}");
                assert_eq!(partition["lag_seconds"].as_f64().unwrap() > 0.0, lag > 0, "{partition}");
            }
        }
    }
    // Partitions may change hands while it is looked, and belong to nobody for a moment.
    agrees(&replicas[0], 2, "paused").await;
    replicas[1].post("/api/v1/consumer/resume?wait=60s", &json!({})).await.unwrap();
    caught_up(&stage).await;
    assert_eq!(replicas[0].read("/api/v1/consumer/offsets").await.unwrap()["total_lag"], 0);
    drop(replicas);
    stage.tear_down().await.unwrap();
}
