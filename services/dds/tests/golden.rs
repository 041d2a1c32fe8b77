//! Every golden vector, through the running service: rows of all tables and the onward message.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ordervault_demo::kafka;
use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Service, Stage, until};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Row as _};

const VECTORS: &str = include_str!("data/dds_vectors.jsonl");
const EXISTING: &str = include_str!("data/existing_warehouse.sql");
const PATIENCE: Duration = Duration::from_mins(1);

/// The service on a warehouse that holds `existing`, once it has taken the messages and has nothing more to do.
async fn drained(name: &str, existing: &str, messages: Vec<Vec<u8>>) -> (Stage, Service) {
    let stage = Stage::build(name, 3).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(existing.to_owned())).execute(&stage.pool).await.unwrap();
    let messages = messages.into_iter().map(|payload| Produced { key: None, partition: None, payload });
    stage.produce("dds", messages).await.unwrap();
    let service = stage.start("dds", &[]).unwrap();
    until("DDS", PATIENCE, async || Ok((stage.lag("dds").await? == 0).then_some(()))).await.unwrap();
    (stage, service)
}

/// What DDS has sent onward.
async fn onward(stage: &Stage) -> Vec<Value> {
    let (cluster, topic) = (stage.cluster.clone(), stage.source_topic("cdm"));
    let read = move || {
        let mut messages = Vec::new();
        kafka::read_topic(&cluster, &topic, |record| {
            messages.push(serde_json::from_slice(record.payload.unwrap()).unwrap());
        })
        .unwrap();
        messages
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

/// A table's rows as JSON texts, without the columns that a vector does not bear.
async fn rows(stage: &Stage, table: &str) -> BTreeSet<String> {
    let sql = format!("select to_jsonb(t) - 'load_dt' - 'load_src' - 'effective_dt' as row from dds.{table} t");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&stage.pool).await.unwrap();
    rows.iter().map(|row| comparable(&row.get::<Value, _>("row"))).collect()
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
    let (stage, service) = drained("golden", "", messages(&vectors)).await;
    for (table, wanted) in expected(&vectors) {
        assert_eq!(rows(&stage, &table).await, wanted, "{table}");
    }
    let ours_alone = |mut message: Value| {
        message.as_object_mut().unwrap().remove("sent_dttm");
        message["payload"].as_object_mut().unwrap().remove("update_ts");
        message.to_string()
    };
    let mut sent: Vec<String> = onward(&stage).await.into_iter().map(ours_alone).collect();
    let mut wanted: Vec<String> = vectors.iter().map(|vector| vector["dds_message"].to_string()).collect();
    sent.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(sent, wanted);
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_vault_is_taken_over_and_its_orders_sent_again_change_no_key() {
    let vectors = vectors();
    let (stage, service) = drained("takeover", EXISTING, messages(&vectors)).await;
    for (table, wanted) in expected(&vectors) {
        assert_eq!(rows(&stage, &table).await, wanted, "{table}");
    }
    let unfilled: i64 = sqlx::query_scalar("select count(*) from dds.s_order_status where effective_dt < '1971-01-01'")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert_eq!(unfilled, 0);
    drop(service);
    stage.tear_down().await.unwrap();
}
