//! Ten thousand dead letters sent through the road again: at a rate, up to a cap, cancelled in the middle, to the end.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan, Produced};
use ordervault_demo::recount::NameCheck;
use ordervault_demo::stage::{LAYERS, Service, Stage, until};
use serde_json::{Value, json};

const ORDERS: u64 = 10_000;
const PATIENCE: Duration = Duration::from_mins(5);
const REPLAYS: &str = "/api/v1/dead-letters/replays";
const FRESH_DICTIONARY: [(&str, &str); 1] = [("DICTIONARY_TTL_SECONDS", "0")];

async fn count(stage: &Stage, status: &str) -> i64 {
    sqlx::query_scalar("select count(*) from ops.dead_letters where status = $1")
        .bind(status)
        .fetch_one(&stage.pool)
        .await
        .unwrap()
}

fn done(operation: &Value) -> i64 {
    operation["progress"]["done"].as_i64().unwrap()
}

fn seconds(operation: &Value) -> f64 {
    let time = |name: &str| operation[name].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    (time("finished_at") - time("created_at")).as_seconds_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_replayed_at_their_rate_none_lost_and_none_twice() {
    let mut stage = Stage::build("letters", 3).await.unwrap();
    let dictionary = Dictionary::generate(5, 200, 20);
    let plan = Plan { seed: 5, first_order_id: 1, orders: ORDERS, partitions: 3, mix: Mix::calm() };
    let backlog: Vec<Produced> = Backlog::new(&dictionary, plan).collect();
    let records = i64::try_from(backlog.len()).unwrap();
    stage.produce("stg", backlog).await.unwrap();
    let mut services: Vec<Service> =
        LAYERS.iter().map(|layer| stage.start(layer, &FRESH_DICTIONARY).unwrap()).collect();
    for service in &services {
        service.ready(PATIENCE).await.unwrap();
    }
    // Without a dictionary every order waits.
    until("the dead letters", PATIENCE, async || Ok((count(&stage, "waiting").await == records).then_some(())))
        .await
        .unwrap();
    // Nobody is to try them again by himself: that is what is tested.
    services[0].kill().await.unwrap();
    sqlx::query("update ops.dead_letters set status = 'open', next_attempt_at = null")
        .execute(&stage.pool)
        .await
        .unwrap();
    dictionary.write(&mut stage.redis).await.unwrap();
    services[0] = stage.start("stg", &FRESH_DICTIONARY).unwrap();
    services[0].ready(PATIENCE).await.unwrap();
    let stg = &services[0];

    let mut seen = BTreeSet::new();
    let mut path = "/api/v1/dead-letters?limit=1000".to_owned();
    loop {
        let page = stg.read(&path).await.unwrap();
        seen.extend(page["items"].as_array().unwrap().iter().map(|letter| letter["id"].to_string()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/dead-letters?limit=1000&cursor={cursor}");
    }
    assert_eq!(i64::try_from(seen.len()).unwrap(), records);
    let (_, counted) = stg.post(REPLAYS, &json!({"filter": {"status": "open"}})).await.unwrap();
    assert_eq!(counted, json!({"dry_run": true, "count": records}));
    assert_eq!(count(&stage, "open").await, records);

    let mut request = json!({"dry_run": false, "max_per_second": 500, "reason": "a test"});
    let (_, operation) = stg.post(REPLAYS, &request).await.unwrap();
    let path = format!("/api/v1/operations/{}", operation["id"].as_str().unwrap());
    until("the middle of the replay", PATIENCE, async || Ok((done(&stg.read(&path).await?) > 2_000).then_some(())))
        .await
        .unwrap();
    let (status, cancelled) = stg.post(&format!("{path}/cancel?wait=60s"), &json!({})).await.unwrap();
    assert_eq!((status.as_u16(), &cancelled["state"]), (200, &json!("cancelled")), "{cancelled}");
    assert_eq!(count(&stage, "resolved").await, done(&cancelled));
    assert!(done(&cancelled) < records);

    request["limit"] = json!(2_500);
    let (_, operation) = stg.post(REPLAYS, &request).await.unwrap();
    let capped = stg.finished(&operation, PATIENCE).await.unwrap();
    assert_eq!((&capped["state"], done(&capped)), (&json!("done"), 2_500), "{capped}");
    assert_eq!(count(&stage, "resolved").await, done(&cancelled) + 2_500);
    // A slow machine may be slower than the rate, but nothing is faster than it.
    for operation in [&cancelled, &capped] {
        let records = u32::try_from(done(operation)).unwrap();
        let rate = f64::from(records) / seconds(operation);
        println!("{rate} a second");
        assert!(rate < 550.0, "{rate} a second: {operation}");
    }

    request = json!({"dry_run": false, "max_per_second": 10_000});
    let (_, operation) = stg.post(REPLAYS, &request).await.unwrap();
    let rest = stg.finished(&operation, PATIENCE).await.unwrap();
    assert_eq!(rest["progress"]["failed"], 0, "{rest}");
    assert_eq!((count(&stage, "open").await, count(&stage, "resolved").await), (0, records));
    stage.settle(PATIENCE).await.unwrap();
    for report in stage.recount(&NameCheck::Present).await.unwrap() {
        assert!(report.is_equal(), "{report}");
    }
    drop(services);
    stage.tear_down().await.unwrap();
}
