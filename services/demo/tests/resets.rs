//! Offsets of a running group are reset once, whatever falls or changes hands meanwhile.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::collections::BTreeMap;
use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::recount::NameCheck;
use ordervault_demo::stage::{LAYERS, Service, Stage, until};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_mins(2);
const DRAIN: Duration = Duration::from_mins(10);
const RESET: &str = "/api/v1/consumer/offsets/reset";
const ROUNDS: usize = 20;
/// Small, so that a reset finds batches in flight.
const SMALL_BATCHES: [(&str, &str); 1] = [("BATCH_MAX_RECORDS", "50")];

/// All layers with the backlog behind them, CDM with a second replica.
async fn scene(name: &str, orders: u64) -> (Stage, Vec<Service>) {
    let mut stage = Stage::build(name, 3).await.unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let dictionary = Dictionary::generate(seed, 100, 10);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed, first_order_id: 1, orders, partitions: 3, mix: Mix::adversarial() };
    stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
    let mut services: Vec<Service> = LAYERS.iter().map(|layer| stage.start(layer, &SMALL_BATCHES).unwrap()).collect();
    services.push(stage.start("cdm", &SMALL_BATCHES).unwrap());
    for service in &services {
        service.ready(PATIENCE).await.unwrap();
    }
    stage.settle(DRAIN).await.unwrap();
    (stage, services)
}

async fn equal(stage: &mut Stage) {
    stage.settle(DRAIN).await.unwrap();
    for report in stage.recount(&NameCheck::Present).await.unwrap() {
        assert!(report.is_equal(), "{report}");
    }
    let letters: i64 =
        sqlx::query_scalar("select count(*) from ops.dead_letters").fetch_one(&stage.pool).await.unwrap();
    assert_eq!(letters, 0, "dead letters of records that are good");
}

/// A column of an answer's partitions.
fn column(answer: &Value, name: &str) -> BTreeMap<i64, i64> {
    let partitions = answer["partitions"].as_array().unwrap().iter();
    partitions.map(|one| (one["partition"].as_i64().unwrap(), one[name].as_i64().unwrap_or(-1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_target_takes_the_group_where_the_plan_says_and_the_counters_stay_a_recount() {
    let (mut stage, services) = scene("targets", 1_000).await;
    let cdm = &services[3];
    let (_, paused) = cdm.post("/api/v1/consumer/pause?wait=60s", &json!({"reason": "a test"})).await.unwrap();
    assert_eq!(paused["state"], "done", "{paused}");
    let offsets = cdm.read("/api/v1/consumer/offsets").await.unwrap();
    let ends = column(&offsets, "high");
    let beginnings: BTreeMap<i64, i64> = ends.keys().map(|partition| (*partition, 0)).collect();
    let shifted = |by: i64| ends.iter().map(|(partition, end)| (*partition, (end + by).clamp(0, *end))).collect();
    let some: BTreeMap<i64, i64> = [(0, ends[&0] - 10), (1, ends[&1]), (2, ends[&2])].into();
    let cases: [(Value, BTreeMap<i64, i64>); 8] = [
        (json!({"to": "earliest"}), beginnings.clone()),
        (json!({"to": "latest", "skip_records": true}), ends.clone()),
        (json!({"to": {"datetime": "2020-01-01T00:00:00Z"}}), beginnings.clone()),
        (json!({"to": {"datetime": "2099-01-01T00:00:00Z"}, "skip_records": true}), ends.clone()),
        (json!({"to": {"duration": "P1D"}}), beginnings),
        (
            json!({"to": {"offsets": {"0": ends[&0], "1": ends[&1], "2": 99_999_999}}, "skip_records": true}),
            ends.clone(),
        ),
        (json!({"to": {"shift_by": -25}}), shifted(-25)),
        (json!({"to": {"offset": {"0": ends[&0] - 10, "1": ends[&1], "2": ends[&2]}}, "skip_records": true}), some),
    ];
    for (mut request, wanted) in cases {
        let (status, plan) = cdm.post(RESET, &request).await.unwrap();
        assert_eq!((status.as_u16(), &plan["dry_run"]), (200, &json!(true)), "{plan}");
        assert_eq!(column(&plan, "target"), wanted, "{request}");
        assert_eq!(column(&cdm.read("/api/v1/consumer/offsets").await.unwrap(), "committed"), column(&plan, "current"));
        request["dry_run"] = json!(false);
        let (status, operation) = cdm.post(&format!("{RESET}?wait=60s"), &request).await.unwrap();
        assert_eq!((status.as_u16(), &operation["state"]), (200, &json!("done")), "{operation}");
        let committed = column(&cdm.read("/api/v1/consumer/offsets").await.unwrap(), "committed");
        assert_eq!(committed, wanted, "{operation}");
    }
    let skip = json!({"to": "latest", "dry_run": false});
    let (status, refused) = cdm.post(RESET, &skip).await.unwrap();
    assert_eq!((status.as_u16(), &refused["code"]), (409, &json!("would_skip_records")), "{refused}");
    let (status, refused) = cdm.post(RESET, &json!({"to": "earliest", "partitions": [7]})).await.unwrap();
    assert_eq!((status.as_u16(), &refused["code"]), (404, &json!("unknown_partition")), "{refused}");

    cdm.post(&format!("{RESET}?wait=60s"), &json!({"to": "earliest", "dry_run": false})).await.unwrap();
    cdm.post("/api/v1/consumer/resume?wait=60s", &json!({})).await.unwrap();
    equal(&mut stage).await;
    drop(services);
    stage.tear_down().await.unwrap();
}

/// Waits until both live members hold partitions, so that a fall takes some of them away.
async fn shared(stage: &Stage) {
    until("two members with partitions", PATIENCE, async || {
        let holders: i64 = sqlx::query_scalar(
            "select count(*) from ops.members where layer = 'cdm' and heartbeat > now() - interval '5 seconds' \
             and cardinality(partitions) > 0",
        )
        .fetch_one(&stage.pool)
        .await?;
        Ok((holders == 2).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_once_and_right_though_members_fall_and_partitions_change_hands_in_its_middle() {
    let (mut stage, mut services) = scene("reset_kills", 1_500).await;
    for round in 0..ROUNDS {
        shared(&stage).await;
        let (status, operation) =
            services[3].post(RESET, &json!({"to": "earliest", "dry_run": false, "reason": "a test"})).await.unwrap();
        assert_eq!(status.as_u16(), 202, "{operation}");
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..60))).await;
        // Either replica falls, or a third comes and goes.
        let keeper = match round % 3 {
            0 => {
                services[3].kill().await.unwrap();
                services[3] = stage.start("cdm", &SMALL_BATCHES).unwrap();
                2
            }
            1 => {
                services[2].kill().await.unwrap();
                services[2] = stage.start("cdm", &SMALL_BATCHES).unwrap();
                3
            }
            _ => {
                let mut third = stage.start("cdm", &SMALL_BATCHES).unwrap();
                third.ready(PATIENCE).await.unwrap();
                third.stop(Duration::from_secs(15)).await.unwrap();
                3
            }
        };
        let ended = services[keeper].finished(&operation, PATIENCE).await.unwrap();
        assert_eq!(ended["state"], "done", "{ended}");
        let mut done: Vec<i64> = ended["results"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|result| result["outcome"] != "lost")
            .map(|result| result["partition"].as_i64().unwrap())
            .collect();
        done.sort_unstable();
        assert_eq!(done, [0, 1, 2], "{ended}");
        for service in &services {
            service.ready(PATIENCE).await.unwrap();
        }
    }
    let finished: i64 = sqlx::query_scalar(
        "select count(*) from ops.operations where kind = 'offset_reset' and state = 'done' and finished_at is not null",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    assert_eq!(finished, i64::try_from(ROUNDS).unwrap());
    equal(&mut stage).await;
    drop(services);
    stage.tear_down().await.unwrap();
}
