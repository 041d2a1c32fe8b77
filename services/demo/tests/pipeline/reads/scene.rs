//! CDM alone on tables that a test fills by itself.

use std::time::Duration;

use ordervault_demo::stage::{Service, Stage};
use reqwest::{Client, Response};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _};

const START: Duration = Duration::from_mins(1);
/// Longer than the longest wait that the API grants.
pub const ANSWER_IN: Duration = Duration::from_secs(90);

/// The stage, the service, and a client of it.
pub struct Scene {
    pub stage: Stage,
    pub cdm: Service,
    pub client: Client,
}

impl Scene {
    pub async fn new(name: &str) -> Self {
        let stage = Stage::build(name, 2).await.unwrap();
        let cdm = stage.start("cdm", &[]).unwrap();
        cdm.ready(START).await.unwrap();
        Self { stage, cdm, client: Client::builder().timeout(ANSWER_IN).build().unwrap() }
    }

    /// Starts the service anew.
    pub async fn restart(&mut self) {
        self.cdm.stop(START).await.unwrap();
        self.cdm = self.stage.start("cdm", &[]).unwrap();
        self.cdm.ready(START).await.unwrap();
    }

    /// Runs SQL of the test's own.
    pub async fn sql(&self, sql: &str) {
        self.stage.pool.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.cdm.url)).send().await.unwrap()
    }

    /// An answer that is to be JSON with this status.
    pub async fn json(&self, path: &str, status: u16) -> Value {
        let answer = self.get(path).await;
        let (found, body) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert_eq!(found, status, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    pub async fn tear_down(mut self) {
        self.cdm.stop(START).await.unwrap();
        self.stage.tear_down().await.unwrap();
    }

    /// So many counters of users and dishes, a few hundred users with a few hundred dishes each, with names that differ in
    /// case, script and punctuation, and counts of which many are equal and some 0.
    pub async fn fill(&self, counters: i64) {
        self.sql(&format!(
            "insert into cdm.user_product_counters (user_id, product_id, product_name, order_cnt) \
             select md5('u' || n / 400)::uuid, md5('p' || n % 400)::uuid, \
                    (array['Пицца', 'пицца', 'pizza', 'Pizza, large', 'Суп \"дня\"', '=1+1', 'кофе 🍕'])[n % 7 + 1] \
                        || ' ' || n % 400, (random() * 30)::int * (n % 11 > 0)::int \
             from generate_series(0, {counters} - 1) n"
        ))
        .await;
        self.sql("analyze cdm.user_product_counters").await;
    }
}
