//! Orders as hostile as the generator makes them, through all three services, against the independent recount.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::recount::NameCheck;
use ordervault_demo::stage::{LAYERS, Service, Stage, until};
use serde_json::Value;
use sqlx::AssertSqlSafe;

const START: Duration = Duration::from_mins(1);
const DRAIN: Duration = Duration::from_mins(10);

fn plan(seed: u64, first_order_id: i64, orders: u64) -> Plan {
    Plan { seed, first_order_id, orders, partitions: 3, mix: Mix::adversarial() }
}

async fn start_all(stage: &Stage) -> Vec<Service> {
    let services: Vec<Service> = LAYERS.iter().map(|layer| stage.start(layer, &[]).unwrap()).collect();
    for service in &services {
        service.ready(START).await.unwrap();
    }
    services
}

/// Every layer's tables equal the recount, and the audit of the last one finds nothing, which shares no code with it.
async fn assert_equal(stage: &mut Stage, services: &[Service], names: &NameCheck) {
    for report in stage.recount(names).await.unwrap() {
        assert!(report.is_equal(), "{report}");
    }
    assert_eq!(services[2].findings().await.unwrap(), [Value::Null; 0]);
    // How fresh a layer is counts from when an order entered the first topic, and not from when it came to its own.
    let newest = "select layer, max(record_time) from ops.applied_offsets group by layer";
    let newest: Vec<(String, DateTime<Utc>)> = sqlx::query_as(newest).fetch_all(&stage.pool).await.unwrap();
    let newest: BTreeMap<String, DateTime<Utc>> = newest.into_iter().collect();
    assert!(newest["cdm"] <= newest["stg"] && newest["dds"] <= newest["stg"], "{newest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_equal_the_recount_after_hostile_orders_late_users_and_renamings() {
    let mut stage = Stage::build("adversarial", 3).await.unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut dictionary = Dictionary::generate(seed, 400, 30);
    (0..8).for_each(|user| dictionary.withhold_user(user));
    dictionary.withhold_restaurant(0);
    dictionary.withhold_dish(1, 0);
    dictionary.write(&mut stage.redis).await.unwrap();
    stage.produce("stg", Backlog::new(&dictionary, plan(seed, 1, 10_000))).await.unwrap();
    let services = start_all(&stage).await;
    until("the first half", DRAIN, async || Ok((stage.lag("stg").await? == 0).then_some(()))).await.unwrap();
    let waiting: i64 = sqlx::query_scalar("select count(*) from ops.dead_letters where status = 'waiting'")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert!(waiting > 0, "nothing waited for the dictionary");

    let later = NaiveDate::from_ymd_opt(2024, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap();
    dictionary.reveal_all(later);
    dictionary.rename_user(10, "Another Name", later);
    dictionary.rename_restaurant(2, "Another Restaurant", later);
    dictionary.rename_dish(3, 0, "Another Dish", later);
    dictionary.write(&mut stage.redis).await.unwrap();
    stage.produce("stg", Backlog::new(&dictionary, plan(!seed, 1_000_000, 10_000))).await.unwrap();
    stage.settle(DRAIN).await.unwrap();
    assert_equal(&mut stage, &services, &NameCheck::PresentOrFormer(dictionary.former_names().clone())).await;

    let unresolved: i64 = sqlx::query_scalar("select count(*) from ops.dead_letters where status <> 'resolved'")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(unresolved, 0, "dead letters of records that are good");
    drop(services);
    stage.tear_down().await.unwrap();
}

/// What every table of the three layers holds, as one digest each.
async fn digests(stage: &Stage) -> BTreeMap<String, String> {
    let tables: Vec<(String, String)> = sqlx::query_as(
        "select schemaname::text, tablename::text from pg_tables \
         where schemaname in ('stg', 'dds', 'cdm') and tablename <> 'schema_migrations'",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    let mut digests = BTreeMap::new();
    for (schema, table) in tables {
        let sql =
            format!("select md5(coalesce(string_agg(t::text, chr(10) order by t::text), '')) from {schema}.{table} t");
        let digest = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&stage.pool).await.unwrap();
        digests.insert(format!("{schema}.{table}"), digest);
    }
    digests
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_every_topic_into_filled_tables_changes_nothing() {
    let mut stage = Stage::build("replay", 3).await.unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let dictionary = Dictionary::generate(seed, 100, 10);
    dictionary.write(&mut stage.redis).await.unwrap();
    // Where the time of sending is missing that of the record stands in, and duplicates differ in it: of equal versions
    // the one processed later wins, and across partitions that may be the other one the next time.
    let plan = Plan { mix: Mix { without_sent_dttm: 0.0, ..Mix::adversarial() }, ..plan(seed, 1, 4_000) };
    stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
    let services = start_all(&stage).await;
    stage.settle(DRAIN).await.unwrap();
    drop(services);
    let before = digests(&stage).await;
    assert_eq!(before.len(), 1 + 14 + 7, "tables of the layers: {:?}", before.keys());

    // Groups without offsets begin at the earliest record; DDS and CDM also get everything once more from before them.
    stage.pass = 2;
    let services = start_all(&stage).await;
    stage.settle(DRAIN).await.unwrap();
    assert_eq!(digests(&stage).await, before);
    assert_equal(&mut stage, &services, &NameCheck::Present).await;
    drop(services);
    stage.tear_down().await.unwrap();
}
