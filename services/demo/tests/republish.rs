//! Stored orders sent onward again rebuild the layers behind STG, also when the sender falls in the middle.

use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::recount::NameCheck;
use ordervault_demo::stage::{LAYERS, Service, Stage, until};
use serde_json::json;

const ORDERS: u64 = 3_000;
const PATIENCE: Duration = Duration::from_mins(5);
const REPUBLISH: &str = "/api/v1/order-events/republish";

#[tokio::test(flavor = "multi_thread")]
async fn emptied_counters_are_rebuilt_from_stored_orders_though_the_sender_falls() {
    let mut stage = Stage::build("republish", 3).await.unwrap();
    let dictionary = Dictionary::generate(9, 200, 20);
    dictionary.write(&mut stage.redis).await.unwrap();
    let plan = Plan { seed: 9, first_order_id: 1, orders: ORDERS, partitions: 3, mix: Mix::adversarial() };
    stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
    let mut services: Vec<Service> = LAYERS.iter().map(|layer| stage.start(layer, &[]).unwrap()).collect();
    for service in &services {
        service.ready(PATIENCE).await.unwrap();
    }
    stage.settle(PATIENCE).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables \
         where schemaname in ('dds', 'cdm') and tablename <> 'schema_migrations'",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    let truncate = format!("truncate {}", tables.join(", "));
    sqlx::query(sqlx::AssertSqlSafe(truncate)).execute(&stage.pool).await.unwrap();

    let half = json!({"ids": {"to": ORDERS / 2}, "max_per_second": 500, "dry_run": false, "reason": "a test"});
    let (_, counted) = services[0].post(REPUBLISH, &json!({"ids": {"to": ORDERS / 2}})).await.unwrap();
    assert_eq!(counted, json!({"dry_run": true, "count": ORDERS / 2}));
    let (_, operation) = services[0].post(REPUBLISH, &half).await.unwrap();
    let path = format!("/api/v1/operations/{}", operation["id"].as_str().unwrap());
    let done = async |service: &Service| service.read(&path).await.ok()?["progress"]["done"].as_u64();
    until("the middle", PATIENCE, async || Ok(done(&services[0]).await.filter(|done| *done > 300))).await.unwrap();
    services[0].kill().await.unwrap();
    services[0] = stage.start("stg", &[]).unwrap();
    services[0].ready(PATIENCE).await.unwrap();
    let first = services[0].finished(&operation, PATIENCE).await.unwrap();
    assert_eq!(first["state"], "done", "{first}");
    assert_eq!(first["progress"]["done"], ORDERS / 2, "it went on where it was: {first}");
    let rest = json!({"ids": {"from": ORDERS / 2 + 1}, "max_per_second": 5000, "dry_run": false, "reason": "a test"});
    let (_, operation) = services[0].post(&format!("{REPUBLISH}?wait=60s"), &rest).await.unwrap();
    assert_eq!(operation["state"], "done", "{operation}");

    stage.settle(PATIENCE).await.unwrap();
    let orders: i64 = sqlx::query_scalar("select count(*) from dds.h_order").fetch_one(&stage.pool).await.unwrap();
    assert_eq!(orders, i64::try_from(ORDERS).unwrap());
    // The vault's history is what only Kafka had; what is current, and so every counter, is whole.
    let counters = stage.recount(&NameCheck::Present).await.unwrap().pop().unwrap();
    assert!(counters.is_equal(), "{counters}");
    drop(services);
    stage.tear_down().await.unwrap();
}
