//! An audit beside a consumer that works: exact, and in nobody's way.

use std::collections::BTreeMap;
use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan, Produced};
use ordervault_demo::recount::NameCheck;
use ordervault_demo::stage::{LAYERS, Service, Stage, Stream, until};
use serde_json::json;
use sqlx::Executor as _;
use uuid::Uuid;

use super::scene::{PATIENCE, Scene, differing, reports, wrong};

const DRAIN: Duration = Duration::from_mins(10);
/// Records a second.
const RATE: f64 = 400.;

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_an_audit_is_at_work_is_none_of_its_affair() {
    let scene = Scene::set("audit_snapshot", 1, &[]).await;
    let mut held = scene.stage.pool.begin().await.unwrap();
    held.execute("lock table dds.l_order_user in access exclusive mode").await.unwrap();
    let audit = scene.audit_in_its_middle(&json!({})).await;
    // Orders that the vault does not have come past it.
    let unknown: Vec<_> = reports()
        .into_iter()
        .map(|mut report| {
            let id = json!(Uuid::new_v4());
            (report["object_id"], report["payload"]["id"]) = (id.clone(), id);
            report
        })
        .collect();
    scene.produce("cdm", &unknown).await;
    scene.stage.drained("cdm", PATIENCE).await.unwrap();
    held.rollback().await.unwrap();
    let audit = scene.cdm[0].finished(&audit, PATIENCE).await.unwrap();
    assert_eq!(differing(&audit), BTreeMap::new(), "{audit}");

    let later = scene.audit().await;
    let of_all = |sql| scene.count(sql);
    let unknown = i64::try_from(unknown.len()).unwrap();
    let dishes = "select sum(cardinality(product_ids))::bigint from cdm.order_ledger \
         where order_id not in (select h_order_pk from dds.h_order)";
    let expected = [
        ("dds.h_order", unknown),
        ("dds.s_order_status", unknown),
        ("dds.l_order_user", unknown),
        ("dds.l_order_product", of_all(dishes).await),
    ];
    assert_eq!(differing(&later), wrong(&expected), "{later}");
    scene.end().await;
}

async fn ledger(stage: &Stage) -> i64 {
    sqlx::query_scalar("select count(*) from cdm.order_ledger").fetch_one(&stage.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn audits_and_a_repair_are_exact_while_hostile_orders_stream_in() {
    let mut stage = Stage::build("audit_stream", 3).await.unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let dictionary = Dictionary::generate(seed, 200, 20);
    dictionary.write(&mut stage.redis).await.unwrap();
    let services: Vec<Service> = LAYERS.iter().map(|layer| stage.start(layer, &[]).unwrap()).collect();
    for service in &services {
        service.ready(PATIENCE).await.unwrap();
    }
    let cdm = &services[2];
    let plan = Plan { seed, first_order_id: 1, orders: 20_000, partitions: 3, mix: Mix::adversarial() };
    let orders: Vec<Produced> = Backlog::new(&dictionary, plan).collect();
    let stream = Stream::begin(&stage, "stg", orders.into_iter(), RATE).unwrap();
    until("the first orders", PATIENCE, async || Ok((ledger(&stage).await > 100).then_some(()))).await.unwrap();
    for _ in 0..10 {
        let before = ledger(&stage).await;
        let audit = cdm.audit(&json!({})).await.unwrap();
        assert_eq!((&audit["state"], &audit["progress"]["wrong"]), (&json!("done"), &json!(0)), "{audit}");
        until("further orders", PATIENCE, async || Ok((ledger(&stage).await > before).then_some(()))).await.unwrap();
    }
    let tampered = "update cdm.user_product_counters set order_cnt = order_cnt + 1 where id % 7 = 0; \
         delete from cdm.user_category_counters where id % 5 = 0; \
         delete from cdm.restaurant_category_counters where id % 3 = 0";
    sqlx::raw_sql(tampered).execute(&stage.pool).await.unwrap();
    let repair = cdm.audit(&json!({"repair": true, "reason": "a test"})).await.unwrap();
    assert_eq!(repair["state"], "done", "{repair}");
    let audit = cdm.audit(&json!({})).await.unwrap();
    assert_eq!(audit["progress"]["wrong"], 0, "{audit}");
    stream.end().await.unwrap();
    stage.settle(DRAIN).await.unwrap();
    for report in stage.recount(&NameCheck::Present).await.unwrap() {
        assert!(report.is_equal(), "{report}");
    }
    let audit = cdm.audit(&json!({})).await.unwrap();
    assert_eq!(differing(&audit), BTreeMap::new(), "{audit}");
    drop(services);
    stage.tear_down().await.unwrap();
}
