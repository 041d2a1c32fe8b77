//! Some orders in vault, ledger and counters, and what is asked of an audit.

use std::collections::BTreeMap;
use std::time::Duration;

use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Service, Stage, until};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

pub const PATIENCE: Duration = Duration::from_mins(1);
/// The tables that an audit looks at.
pub const TABLES: [&str; 9] = [
    "cdm.user_product_counters",
    "cdm.user_category_counters",
    "cdm.restaurant_category_counters",
    "cdm.order_ledger",
    "dds.h_order",
    "dds.s_order_status",
    "dds.l_order_user",
    "dds.l_order_product",
    "dds.l_product_category",
];
const VECTORS: &str = include_str!("../../../../dds/tests/data/dds_vectors.jsonl");
/// Whether an audit waits for a lock.
pub const AUDIT_WAITS: &str = "select exists (select from pg_stat_activity where datname = current_database() \
     and application_name = 'ordervault-cdm-audit' and wait_event_type = 'Lock')";

/// DDS and replicas of CDM that are through with the golden orders.
pub struct Scene {
    pub stage: Stage,
    pub dds: Service,
    pub cdm: Vec<Service>,
}

/// The golden orders as DDS reads them, and one of a dish and a category that no other has.
pub fn orders() -> Vec<Value> {
    let vectors = VECTORS.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let read = |vector: Value| serde_json::from_str(vector["stg_message"].as_str().unwrap()).unwrap();
    let mut orders: Vec<Value> = vectors.map(read).collect();
    let mut other = orders[0].clone();
    (other["object_id"], other["payload"]["id"]) = (json!(1_000), json!(1_000));
    let dish = json!({"id": "only", "price": 1, "quantity": 1, "name": "Its only dish", "category": "Of its own"});
    other["payload"]["products"] = json!([dish]);
    orders.push(other);
    orders
}

/// The golden orders as CDM reads them.
pub fn reports() -> Vec<Value> {
    VECTORS.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["dds_message"].clone()).collect()
}

impl Scene {
    /// The replicas of CDM are started one after the other, so that the members' ids stand in the same order.
    pub async fn set(name: &str, replicas: usize, settings: &[(&str, &str)]) -> Self {
        let stage = Stage::build(name, 3).await.unwrap();
        let dds = stage.start("dds", &[]).unwrap();
        dds.ready(PATIENCE).await.unwrap();
        let mut cdm = Vec::new();
        for _ in 0..replicas {
            cdm.push(stage.start("cdm", settings).unwrap());
            cdm[cdm.len() - 1].ready(PATIENCE).await.unwrap();
        }
        let scene = Self { stage, dds, cdm };
        scene.produce("dds", &orders()).await;
        scene.drained().await;
        scene.age().await;
        scene
    }

    pub async fn produce(&self, layer: &str, messages: &[Value]) {
        let messages = messages.iter().map(|message| serde_json::to_vec(message).unwrap());
        let messages = messages.map(|payload| Produced { key: None, partition: None, payload });
        self.stage.produce(layer, messages).await.unwrap();
    }

    /// Waits until both layers have done all that lies on their topics.
    pub async fn drained(&self) {
        for layer in ["dds", "cdm"] {
            self.stage.drained(layer, PATIENCE).await.unwrap();
        }
    }

    /// Nothing is new any more: neither what the vault has, nor that DDS is at work.
    pub async fn age(&self) {
        self.run(
            "update dds.h_order set load_dt = load_dt - interval '1 hour'; \
             update dds.s_order_status set load_dt = load_dt - interval '1 hour'; \
             update ops.members set started_at = started_at - interval '1 hour'",
        )
        .await;
    }

    pub async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.stage.pool).await.unwrap();
    }

    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.stage.pool).await.unwrap()
    }

    /// Waits until a question to the database is answered with true.
    pub async fn true_of(&self, what: &str, sql: &'static str) {
        until(what, PATIENCE, async || {
            let answer: bool = sqlx::query_scalar(sql).fetch_one(&self.stage.pool).await?;
            Ok(answer.then_some(()))
        })
        .await
        .unwrap();
    }

    /// An audit that only looks, done by whichever replica.
    pub async fn audit(&self) -> Value {
        let audit = self.cdm[0].audit(&json!({})).await.unwrap();
        assert_eq!(audit["state"], "done", "{audit}");
        audit
    }

    /// Orders an audit, and waits until it waits for a lock.
    pub async fn audit_in_its_middle(&self, request: &Value) -> Value {
        let (status, audit) = self.cdm[0].post("/api/v1/audit", request).await.unwrap();
        assert_eq!((status.as_u16(), &audit["kind"]), (202, &json!("audit")), "{audit}");
        self.true_of("the middle of the audit", AUDIT_WAITS).await;
        audit
    }

    pub async fn end(self) {
        drop((self.dds, self.cdm));
        self.stage.tear_down().await.unwrap();
    }
}

/// What an audit found in a table.
pub fn found<'a>(audit: &'a Value, table: &str, outcome: &str) -> &'a Value {
    let results = audit["results"].as_array().unwrap();
    let result = results.iter().find(|result| result["table"] == table && result["outcome"] == outcome);
    &result.unwrap_or_else(|| panic!("{table} is not {outcome}: {audit}"))["detail"]
}

/// How many rows an audit found to be wrong, and how many only behind, by table, of those that have such rows.
pub fn differing(audit: &Value) -> BTreeMap<String, (i64, i64)> {
    let mut differing = BTreeMap::new();
    let mut looked_at = Vec::new();
    for result in audit["results"].as_array().unwrap() {
        let (table, detail) = (result["table"].as_str().unwrap(), &result["detail"]);
        looked_at.push(table);
        let (wrong, behind) = (detail["wrong"].as_i64().unwrap(), detail["behind"].as_i64().unwrap());
        assert_eq!(result["outcome"] == "equal", (wrong, behind) == (0, 0), "{audit}");
        if (wrong, behind) != (0, 0) {
            differing.insert(table.to_owned(), (wrong, behind));
        }
    }
    assert_eq!(looked_at, TABLES, "{audit}");
    differing
}

/// So many wrong rows in these tables, and none that are behind.
pub fn wrong(tables: &[(&str, i64)]) -> BTreeMap<String, (i64, i64)> {
    tables.iter().map(|(table, rows)| ((*table).to_owned(), (*rows, 0))).collect()
}
