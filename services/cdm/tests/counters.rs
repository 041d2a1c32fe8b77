//! The counters against a count of the test's own: duplicates, cancellations, versions that come late, a takeover.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Stage, until};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

const VECTORS: &str = include_str!("../../dds/tests/data/dds_vectors.jsonl");
const EXISTING: &str = include_str!("../../dds/tests/data/existing_warehouse.sql");
const PATIENCE: Duration = Duration::from_mins(1);

/// Three versions of each golden order, the newest not the last to arrive: OPEN, then the vector's own status, then
/// every third order CANCELLED.
fn reports() -> Vec<Value> {
    let mut reports = Vec::new();
    for (place, line) in VECTORS.lines().enumerate() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let mut report = vector["dds_message"].clone();
        let own_status = report["payload"]["status"].clone();
        let last = if place % 3 == 0 { json!("CANCELLED") } else { own_status.clone() };
        for (version, status) in [(2, own_status), (3, last), (1, json!("OPEN"))] {
            report["payload"]["status"] = status;
            report["payload"]["update_ts"] = json!(format!("2030-01-0{version} 00:00:00"));
            reports.push(report.clone());
        }
    }
    reports
}

type Counts = BTreeSet<(String, String, i64)>;

/// Counts from the newest version of each order, by the two ids that `keys` picks from a report and its line.
fn counted(reports: &[Value], keys: impl Fn(&Value, &Value) -> (String, String)) -> Counts {
    let mut newest: BTreeMap<String, &Value> = BTreeMap::new();
    for report in reports {
        let held = newest.entry(report["payload"]["id"].to_string()).or_insert(report);
        if held["payload"]["update_ts"].as_str() <= report["payload"]["update_ts"].as_str() {
            *held = report;
        }
    }
    let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
    for report in newest.values().filter(|report| report["payload"]["status"] != "CANCELLED") {
        let lines = report["payload"]["products"].as_array().unwrap();
        let distinct: BTreeSet<_> = lines.iter().map(|line| keys(&report["payload"], line)).collect();
        for pair in distinct {
            *counts.entry(pair).or_default() += 1;
        }
    }
    counts.into_iter().map(|((one, other), count)| (one, other, count)).collect()
}

async fn held(pool: &PgPool, columns: &str, table: &str) -> Counts {
    let sql = format!("select {columns}, order_cnt from cdm.{table} where order_cnt > 0");
    sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap().into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_equal_a_recount_after_duplicates_cancellations_and_late_versions() {
    let stage = Stage::build("counters", 3).await.unwrap();
    // Counters that the replaced services left behind must not be added to.
    sqlx::raw_sql(EXISTING).execute(&stage.pool).await.unwrap();
    let service = stage.start("cdm", &[]).unwrap();
    let reports = reports();
    // The second round is the first once more.
    for _ in 1..=2 {
        let messages = reports.iter().map(|report| serde_json::to_vec(report).unwrap());
        let messages = messages.map(|payload| Produced { key: None, partition: None, payload });
        stage.produce("cdm", messages).await.unwrap();
        until("CDM", PATIENCE, async || Ok((stage.lag("cdm").await? == 0).then_some(()))).await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(
            held(&stage.pool, "user_id::text, product_id::text", "user_product_counters").await,
            counted(&reports, |order, line| (text(&order["user"]["id"]), text(&line["id"])))
        );
        assert_eq!(
            held(&stage.pool, "user_id::text, category_id::text", "user_category_counters").await,
            counted(&reports, |order, line| (text(&order["user"]["id"]), text(&line["category"]["id"])))
        );
        assert_eq!(
            held(&stage.pool, "restaurant_id::text, category_id::text", "restaurant_category_counters").await,
            counted(&reports, |order, line| (text(&order["restaurant"]["id"]), text(&line["category"]["id"])))
        );
    }
    let set_aside: i64 = sqlx::query_scalar("select count(*) from cdm.user_product_counters_legacy")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert!(set_aside > 0);
    drop(service);
    stage.tear_down().await.unwrap();
}
