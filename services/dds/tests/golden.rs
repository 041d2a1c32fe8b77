//! Every golden vector, through the running service: rows of all tables and the onward message.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ordervault_dds::Dds;
use ordervault_demo::kafka::{self, Cluster};
use ordervault_demo::orders::Produced;
use ordervault_runtime::config::Settings;
use ordervault_runtime::program::Program as _;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, Row as _};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const VECTORS: &str = include_str!("data/dds_vectors.jsonl");
const EXISTING: &str = include_str!("data/existing_warehouse.sql");

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests by ./dev test"))
}

/// A database and topics of the test's own, and the service on them.
struct Stand {
    pool: PgPool,
    cluster: Cluster,
    source: String,
    destination: String,
    shutdown: CancellationToken,
    service: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Stand {
    async fn new(name: &str, existing: &str) -> Self {
        let unique = format!("{name}_{}_{}", std::process::id(), chrono::Utc::now().timestamp_micros());
        let options = PgConnectOptions::new()
            .host(&variable("PG_WAREHOUSE_HOST"))
            .port(variable("PG_WAREHOUSE_PORT").parse().unwrap())
            .username(&variable("PG_WAREHOUSE_USER"))
            .password(&variable("PG_WAREHOUSE_PASSWORD"))
            .ssl_mode(sqlx::postgres::PgSslMode::Disable);
        let admin = PgPool::connect_with(options.clone().database("postgres")).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("create database {unique}"))).execute(&admin).await.unwrap();
        let pool = PgPool::connect_with(options.database(&unique)).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(existing.to_owned())).execute(&pool).await.unwrap();

        let cluster = Cluster { brokers: format!("{}:{}", variable("KAFKA_HOST"), variable("KAFKA_PORT")) };
        let (source, destination) = (format!("stg-{unique}"), format!("dds-{unique}"));
        kafka::create_topics(&cluster, &[&source, &destination], 3).await.unwrap();
        let mut environment: BTreeMap<String, String> = std::env::vars().collect();
        for (name, value) in [
            ("PG_WAREHOUSE_DBNAME", &unique),
            ("KAFKA_SOURCE_TOPIC", &source),
            ("KAFKA_DESTINATION_TOPIC", &destination),
            ("KAFKA_CONSUMER_GROUP", &unique),
        ] {
            environment.insert(name.to_owned(), value.clone());
        }
        let config = Dds::read(&mut Settings::of(environment)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shutdown = CancellationToken::new();
        let service = tokio::spawn(Dds::run(config, listener, shutdown.clone()));
        Self { pool, cluster, source, destination, shutdown, service }
    }

    async fn produce(&self, payloads: Vec<Vec<u8>>) {
        let messages = payloads.into_iter().map(|payload| Produced { key: None, partition: None, payload });
        kafka::produce(&self.cluster, &self.source, messages, |_| {}).await.unwrap();
    }

    /// The onward messages, once there are at least `count`.
    async fn onward(&self, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let (cluster, topic) = (self.cluster.clone(), self.destination.clone());
            let read = move || {
                let mut messages = Vec::new();
                kafka::read_topic(&cluster, &topic, |record| {
                    messages.push(serde_json::from_slice(record.payload.unwrap()).unwrap());
                })
                .unwrap();
                messages
            };
            let messages = tokio::task::spawn_blocking(read).await.unwrap();
            if messages.len() >= count {
                return messages;
            }
            assert!(Instant::now() < deadline, "{} of {count} onward messages in time", messages.len());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.service.await.unwrap().unwrap();
    }

    /// A table's rows as JSON texts, without the columns that a vector does not bear.
    async fn rows(&self, table: &str) -> BTreeSet<String> {
        let sql = format!("select to_jsonb(t) - 'load_dt' - 'load_src' - 'effective_dt' as row from dds.{table} t");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.pool).await.unwrap();
        rows.iter().map(|row| comparable(&row.get::<Value, _>("row"))).collect()
    }
}

/// Numbers as the column holds them: five digits after the point.
fn comparable(row: &Value) -> String {
    let mut row = row.as_object().unwrap().clone();
    for amount in ["cost", "payment"] {
        if let Some(held) = row.get_mut(amount) {
            *held = Value::String(format!("{:.5}", held.as_f64().unwrap()));
        }
    }
    Value::Object(row.into_iter().collect()).to_string()
}

fn vectors() -> Vec<Value> {
    VECTORS.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn messages(vectors: &[Value]) -> Vec<Vec<u8>> {
    vectors.iter().map(|vector| vector["stg_message"].as_str().unwrap().as_bytes().to_vec()).collect()
}

fn expected(vectors: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for vector in vectors {
        for (table, rows) in vector["rows"].as_object().unwrap() {
            tables.entry(table.clone()).or_default().extend(rows.as_array().unwrap().iter().map(comparable));
        }
    }
    tables
}

#[tokio::test(flavor = "multi_thread")]
async fn every_golden_vector_gives_its_rows_and_its_onward_message() {
    let vectors = vectors();
    let stand = Stand::new("golden", "").await;
    stand.produce(messages(&vectors)).await;
    let onward = stand.onward(vectors.len()).await;
    for (table, rows) in expected(&vectors) {
        assert_eq!(stand.rows(&table).await, rows, "{table}");
    }
    let ours_alone = |mut message: Value| {
        message.as_object_mut().unwrap().remove("sent_dttm");
        message["payload"].as_object_mut().unwrap().remove("update_ts");
        message.to_string()
    };
    let wanted: BTreeSet<String> = vectors.iter().map(|vector| vector["dds_message"].to_string()).collect();
    assert_eq!(onward.into_iter().map(ours_alone).collect::<BTreeSet<_>>(), wanted);
    stand.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_vault_is_taken_over_and_its_orders_sent_again_change_no_key() {
    let vectors = vectors();
    let stand = Stand::new("takeover", EXISTING).await;
    let tables = expected(&vectors);
    let mut before = BTreeMap::new();
    for table in tables.keys() {
        before.insert(table.clone(), stand.rows(table).await);
    }
    stand.produce(messages(&vectors)).await;
    stand.onward(vectors.len()).await;
    for (table, rows) in tables {
        let after = stand.rows(&table).await;
        assert!(before[&table].is_subset(&after), "{table} has lost rows");
        assert_eq!(after, rows, "{table}");
    }
    let unfilled: i64 = sqlx::query_scalar("select count(*) from dds.s_order_status where effective_dt < '1971-01-01'")
        .fetch_one(&stand.pool)
        .await
        .unwrap();
    assert_eq!(unfilled, 0);
    stand.stop().await;
}
