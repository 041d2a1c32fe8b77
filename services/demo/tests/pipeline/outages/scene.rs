//! Services on servers that a test may stop, and orders that come in portions.

use std::collections::BTreeMap;
use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::stage::{LAYERS, Service, Stage, until};

pub const START: Duration = Duration::from_mins(1);
pub const NOTICE: Duration = Duration::from_mins(1);
pub const DRAIN: Duration = Duration::from_mins(5);
/// Small, so that there are many transactions to be cut.
pub const SMALL_BATCHES: [(&str, &str); 1] = [("BATCH_MAX_RECORDS", "100")];

/// A stage with its services, and orders that come in portions.
pub struct Scene {
    pub stage: Stage,
    pub services: Vec<Service>,
    dictionary: Dictionary,
    seed: u64,
    portions: i64,
}

impl Scene {
    pub async fn set(environment: BTreeMap<String, String>, name: &str) -> Self {
        let mut stage = Stage::build_on(environment, name, 3).await.unwrap();
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let dictionary = Dictionary::generate(seed, 100, 10);
        dictionary.write(&mut stage.redis).await.unwrap();
        Self { stage, services: Vec::new(), dictionary, seed, portions: 0 }
    }

    pub async fn start(&mut self) {
        self.services = LAYERS.iter().map(|layer| self.stage.start(layer, &SMALL_BATCHES).unwrap()).collect();
        for service in &self.services {
            service.ready(START).await.unwrap();
        }
    }

    pub async fn produce(&mut self, orders: u64) {
        self.portions += 1;
        let (seed, first_order_id) = (self.seed ^ self.portions.unsigned_abs(), self.portions * 1_000_000);
        let plan = Plan { seed, first_order_id, orders, partitions: 3, mix: Mix::adversarial() };
        self.stage.produce("stg", Backlog::new(&self.dictionary, plan)).await.unwrap();
    }

    /// Waits until the layer says in `/readyz` that this dependency is away; it has to be alive all the while.
    pub async fn named(&self, layer: &str, culprit: &str) {
        let service = self.services.iter().find(|service| service.layer == layer).unwrap();
        until(&format!("{layer} to name {culprit}"), NOTICE, async || {
            assert_eq!(service.get("/livez").await.unwrap().0, 200, "{layer}");
            let (status, body) = service.get("/readyz").await.unwrap();
            let report: serde_json::Value = serde_json::from_str(&body).unwrap();
            let failing = report["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false);
            let named: Vec<&str> = failing.map(|check| check["name"].as_str().unwrap()).collect();
            Ok((status == 503 && named == [culprit]).then_some(()))
        })
        .await
        .unwrap();
    }

    pub async fn recovered(&self) {
        for service in &self.services {
            service.ready(START).await.unwrap();
        }
    }

    /// Everything drains, and the tables equal the recount.
    pub async fn end(self) {
        self.stage.settle(DRAIN).await.unwrap();
        for service in &self.services {
            assert_eq!(service.get("/livez").await.unwrap().0, 200, "{}", service.layer);
        }
        assert_eq!(self.stage.faults(&self.services[2]).await.unwrap(), [""; 0]);
        drop(self.services);
        self.stage.tear_down().await.unwrap();
    }
}
