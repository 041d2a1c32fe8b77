//! The counters against a count of the test's own: duplicates, cancellations, versions that come late, a takeover.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ordervault_cdm::Cdm;
use ordervault_demo::kafka::{self, Cluster};
use ordervault_demo::orders::Produced;
use ordervault_runtime::config::Settings;
use ordervault_runtime::program::Program as _;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnectOptions, PgPool, PgSslMode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const VECTORS: &str = include_str!("../../dds/tests/data/dds_vectors.jsonl");
const EXISTING: &str = include_str!("../../dds/tests/data/existing_warehouse.sql");

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests by ./dev test"))
}

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
    let unique = format!(
        "counters_{}_{}",
        std::process::id(),
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()
    );
    let options = PgConnectOptions::new()
        .host(&variable("PG_WAREHOUSE_HOST"))
        .port(variable("PG_WAREHOUSE_PORT").parse().unwrap())
        .username(&variable("PG_WAREHOUSE_USER"))
        .password(&variable("PG_WAREHOUSE_PASSWORD"))
        .ssl_mode(PgSslMode::Disable);
    let admin = PgPool::connect_with(options.clone().database("postgres")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("create database {unique}"))).execute(&admin).await.unwrap();
    let pool = PgPool::connect_with(options.database(&unique)).await.unwrap();
    // Counters that the replaced services left behind must not be added to.
    sqlx::raw_sql(EXISTING).execute(&pool).await.unwrap();
    let pool_options = pool.connect_options();
    drop(pool);
    let pool = PgPool::connect_with((*pool_options).clone()).await.unwrap();

    let cluster = Cluster { brokers: format!("{}:{}", variable("KAFKA_HOST"), variable("KAFKA_PORT")) };
    let topic = format!("reports-{unique}");
    kafka::create_topics(&cluster, &[&topic], 3).await.unwrap();
    let mut environment: BTreeMap<String, String> = std::env::vars().collect();
    for (name, value) in
        [("PG_WAREHOUSE_DBNAME", &unique), ("KAFKA_SOURCE_TOPIC", &topic), ("KAFKA_CONSUMER_GROUP", &unique)]
    {
        environment.insert(name.to_owned(), value.clone());
    }
    let config = Cdm::read(&mut Settings::of(environment)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shutdown = CancellationToken::new();
    let service = tokio::spawn(Cdm::run(config, listener, shutdown.clone()));

    let reports = reports();
    for round in 1..=2_usize {
        let produced = reports.iter().map(|report| Produced {
            key: None,
            partition: None,
            payload: serde_json::to_vec(report).unwrap(),
        });
        kafka::produce(&cluster, &topic, produced, |_| {}).await.unwrap();
        let expected = i64::try_from(round * reports.len()).unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let applied: Result<Option<i64>, _> =
                sqlx::query_scalar("select sum(next_offset)::bigint from ops.applied_offsets").fetch_one(&pool).await;
            if matches!(applied, Ok(Some(applied)) if applied >= expected) {
                break;
            }
            assert!(Instant::now() < deadline, "{applied:?} of {expected} applied in time");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(
            held(&pool, "user_id::text, product_id::text", "user_product_counters").await,
            counted(&reports, |order, line| (text(&order["user"]["id"]), text(&line["id"])))
        );
        assert_eq!(
            held(&pool, "user_id::text, category_id::text", "user_category_counters").await,
            counted(&reports, |order, line| (text(&order["user"]["id"]), text(&line["category"]["id"])))
        );
        assert_eq!(
            held(&pool, "restaurant_id::text, category_id::text", "restaurant_category_counters").await,
            counted(&reports, |order, line| (text(&order["restaurant"]["id"]), text(&line["category"]["id"])))
        );
    }
    let set_aside: i64 =
        sqlx::query_scalar("select count(*) from cdm.user_product_counters_legacy").fetch_one(&pool).await.unwrap();
    assert!(set_aside > 0);
    shutdown.cancel();
    service.await.unwrap().unwrap();
}
