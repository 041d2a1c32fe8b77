//! What is shown of one order or counter is from one state of the tables, though they change all the while.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ordervault_demo::stage::Stage;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tokio::task::JoinHandle;

use super::scene::{PATIENCE, key};

/// Transactions that follow each other, as those of batches do.
struct Changes {
    over: Arc<AtomicBool>,
    made: JoinHandle<()>,
}

impl Changes {
    fn begin(stage: &Stage, transaction: &'static str) -> Self {
        let (over, pool) = (Arc::new(AtomicBool::new(false)), stage.pool.clone());
        let asked = Arc::clone(&over);
        let made = tokio::spawn(async move {
            while !asked.load(Ordering::Relaxed) {
                sqlx::raw_sql(transaction).execute(&pool).await.unwrap();
            }
        });
        Self { over, made }
    }

    async fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        self.made.await.unwrap();
    }
}

fn rows(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shown_as_the_vault_was_at_one_moment() {
    let stage = Stage::build("vault_moment", 1).await.unwrap();
    let service = stage.start("dds", &[]).unwrap();
    service.ready(PATIENCE).await.unwrap();
    let hub = format!("insert into dds.h_order values ('{}', 7, now(), now(), 's')", key("7"));
    sqlx::raw_sql(AssertSqlSafe(hub)).execute(&stage.pool).await.unwrap();
    let versions = "begin; \
         insert into dds.s_order_status select gen_random_uuid(), h_order_pk, 'S', now(), 's', now() from dds.h_order; \
         insert into dds.s_order_cost select gen_random_uuid(), h_order_pk, 1, 1, now(), 's', now() from dds.h_order; \
         commit";
    let changes = Changes::begin(&stage, versions);
    let mut met = BTreeSet::new();
    for _ in 0..100 {
        let shown = service.read("/api/v1/orders/7").await.unwrap();
        assert_eq!(rows(&shown["statuses"]), rows(&shown["costs"]));
        met.insert(rows(&shown["statuses"]));
    }
    assert!(met.len() > 2, "nothing has changed meanwhile");
    changes.end().await;
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_with_its_orders_and_an_order_with_its_counters_are_shown_as_they_were_at_one_moment() {
    let stage = Stage::build("counted_moment", 1).await.unwrap();
    let service = stage.start("cdm", &[]).unwrap();
    service.ready(PATIENCE).await.unwrap();
    let [order, user, product, restaurant] = ["7", "u", "p", "r"].map(key);
    let one = format!(
        "insert into cdm.order_ledger \
             values ('{order}', '2023-01-01', 'CLOSED', '{user}', '{restaurant}', '{{{product}}}', '{{}}'); \
         insert into cdm.user_product_counters (user_id, product_id, product_name, order_cnt) \
             values ('{user}', '{product}', 'P', 1)"
    );
    sqlx::raw_sql(AssertSqlSafe(one)).execute(&stage.pool).await.unwrap();
    let turns = "begin; \
         update cdm.order_ledger set status = case status when 'CLOSED' then 'CANCELLED' else 'CLOSED' end; \
         update cdm.user_product_counters set order_cnt = 1 - order_cnt; commit";
    let changes = Changes::begin(&stage, turns);
    let mut met = BTreeSet::new();
    for _ in 0..300 {
        let page = service.read("/api/v1/user-product-counters/u/p/orders").await.unwrap();
        assert_eq!(page["order_cnt"], rows(&page["items"]), "{page}");
        let shown = service.read("/api/v1/orders/7/contribution").await.unwrap();
        let counters = shown["counters"]["user_products"].as_array().unwrap();
        assert!(counters.iter().all(|counter| counter["order_cnt"] == 1), "{shown}");
        assert_eq!(shown["counted"], !counters.is_empty(), "{shown}");
        met.extend([rows(&page["items"]), counters.len()]);
    }
    assert_eq!(met.len(), 2, "nothing has changed meanwhile");
    changes.end().await;
    drop(service);
    stage.tear_down().await.unwrap();
}
