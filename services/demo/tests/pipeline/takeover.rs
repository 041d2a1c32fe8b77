//! A warehouse that the replaced services filled, taken over by ours, and its orders sent once more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Stage, until};
use serde_json::Value;
use sqlx::AssertSqlSafe;

const VECTORS: &str = include_str!("../../../dds/tests/data/dds_vectors.jsonl");
const EXISTING: &str = include_str!("../../../dds/tests/data/existing_warehouse.sql");
const PATIENCE: Duration = Duration::from_mins(1);

/// Every table of the vault.
const VAULT: [&str; 14] = [
    "h_user",
    "h_product",
    "h_category",
    "h_restaurant",
    "h_order",
    "l_order_product",
    "l_order_user",
    "l_product_category",
    "l_product_restaurant",
    "s_user_names",
    "s_restaurant_names",
    "s_product_names",
    "s_order_cost",
    "s_order_status",
];

/// Each mart of a user's with the count that the vault gives for it: orders whose current status is not CANCELLED.
const USER_MARTS: [(&str, &str); 2] = [
    (
        "select user_id::text, product_id::text, order_cnt::bigint from cdm.user_product_counters where order_cnt > 0",
        "select u.h_user_pk::text, p.h_product_pk::text, count(distinct p.h_order_pk) from dds.l_order_product p \
         join dds.l_order_user u using (h_order_pk) join dds.s_order_status_current s using (h_order_pk) \
         where s.status <> 'CANCELLED' group by 1, 2",
    ),
    (
        "select user_id::text, category_id::text, order_cnt::bigint from cdm.user_category_counters where order_cnt > 0",
        "select u.h_user_pk::text, c.h_category_pk::text, count(distinct p.h_order_pk) from dds.l_order_product p \
         join dds.l_order_user u using (h_order_pk) join dds.s_order_status_current s using (h_order_pk) \
         join dds.l_product_category c using (h_product_pk) where s.status <> 'CANCELLED' group by 1, 2",
    ),
];

/// A table's rows with all that they held before they were taken over.
async fn rows(stage: &Stage, table: &str) -> BTreeSet<String> {
    let sql = format!("select (to_jsonb(t) - 'effective_dt')::text from dds.{table} t");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&stage.pool).await.unwrap().into_iter().collect()
}

async fn counts(stage: &Stage, sql: &'static str) -> BTreeSet<(String, String, i64)> {
    sqlx::query_as(sql).fetch_all(&stage.pool).await.unwrap().into_iter().collect()
}

/// The vault does not say at which restaurant an order was placed, so this is counted from the onward messages.
async fn counted_by_restaurant(stage: &Stage, vectors: &[Value]) -> BTreeSet<(String, String, i64)> {
    let cancelled = "select h_order_pk::text from dds.s_order_status_current where status = 'CANCELLED'";
    let cancelled: Vec<String> = sqlx::query_scalar(cancelled).fetch_all(&stage.pool).await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut distinct = BTreeSet::new();
    for order in vectors.iter().map(|vector| &vector["dds_message"]["payload"]) {
        for product in order["products"].as_array().unwrap() {
            distinct.insert((text(&order["id"]), text(&order["restaurant"]["id"]), text(&product["category"]["id"])));
        }
    }
    let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
    for (order, restaurant, category) in distinct {
        if !cancelled.contains(&order) {
            *counts.entry((restaurant, category)).or_default() += 1;
        }
    }
    counts.into_iter().map(|((restaurant, category), count)| (restaurant, category, count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warehouse_taken_over_keeps_its_keys_and_its_orders_sent_again_give_right_counters() {
    let stage = Stage::build("takeover", 3).await.unwrap();
    sqlx::raw_sql(EXISTING).execute(&stage.pool).await.unwrap();
    let mut before = BTreeMap::new();
    for table in VAULT {
        before.insert(table, rows(&stage, table).await);
    }
    assert!(before.values().all(|rows| !rows.is_empty()), "the dump fills every table");
    let services = [stage.start("dds", &[]).unwrap(), stage.start("cdm", &[]).unwrap()];
    let vectors: Vec<Value> = VECTORS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages = vectors.iter().map(|vector| vector["stg_message"].as_str().unwrap().as_bytes().to_vec());
    stage.produce("dds", messages.map(|payload| Produced { key: None, partition: None, payload })).await.unwrap();
    for layer in ["dds", "cdm"] {
        until(layer, PATIENCE, async || Ok((stage.lag(layer).await? == 0).then_some(()))).await.unwrap();
    }
    for table in VAULT {
        let after = rows(&stage, table).await;
        assert!(before[table].is_subset(&after), "{table} has lost or changed rows");
    }
    for (mart, vault) in USER_MARTS {
        let held = counts(&stage, mart).await;
        assert!(!held.is_empty());
        assert_eq!(held, counts(&stage, vault).await, "{mart}");
    }
    let held = counts(
        &stage,
        "select restaurant_id::text, category_id::text, order_cnt::bigint from cdm.restaurant_category_counters \
         where order_cnt > 0",
    );
    assert_eq!(held.await, counted_by_restaurant(&stage, &vectors).await);
    let mut set_aside = 0;
    for mart in ["user_product_counters", "user_category_counters", "restaurant_category_counters"] {
        let legacy: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from cdm.{mart}_legacy")))
            .fetch_one(&stage.pool)
            .await
            .unwrap();
        set_aside += legacy;
    }
    assert!(set_aside > 0, "the counters that were found are set aside");
    drop(services);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_nobody_can_read_are_taken_over_by_their_time_of_sending() {
    let stage = Stage::build("takeover_stg", 1).await.unwrap();
    let table = "create schema stg; create table stg.order_events (id serial primary key, object_id int not null unique, \
                     object_type varchar not null, sent_dttm timestamp not null, payload json not null); \
                 create view stg.report as select sent_dttm from stg.order_events";
    sqlx::raw_sql(table).execute(&stage.pool).await.unwrap();
    for (id, payload) in [
        (1, r#"{"update_ts": "2023-02-30 10:00:00"}"#),
        (2, r#"{"update_ts": "2023-03-01 10:00:00", "name": "\u0000"}"#),
        (3, r#"{"update_ts": "2023-03-01 10:00:00"}"#),
    ] {
        sqlx::query("insert into stg.order_events (object_id, object_type, sent_dttm, payload) values ($1, 'order', '2023-01-01', $2::json)")
            .bind(id)
            .bind(payload)
            .execute(&stage.pool)
            .await
            .unwrap();
    }
    let migrated = stage.command("stg", &[]).unwrap().arg("migrate").output().await.unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let versions: Vec<String> = sqlx::query_scalar("select version::text from stg.order_events order by object_id")
        .fetch_all(&stage.pool)
        .await
        .unwrap();
    assert_eq!(versions, ["2023-01-01 00:00:00", "2023-01-01 00:00:00", "2023-03-01 10:00:00"]);
    let narrow: i64 = sqlx::query_scalar(
        "select count(*) from information_schema.columns where table_schema = 'stg' and data_type = 'integer'",
    )
    .fetch_one(&stage.pool)
    .await
    .unwrap();
    assert_eq!(narrow, 0);
    stage.tear_down().await.unwrap();
}
