//! Services on servers that a test may stop, and orders that come in portions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::recount::NameCheck;
use ordervault_demo::stage::{LAYERS, Service, Stage, until};
use serde_json::Value;

pub const START: Duration = Duration::from_mins(1);
pub const NOTICE: Duration = Duration::from_mins(1);
pub const DRAIN: Duration = Duration::from_mins(5);
/// Small, so that there are many transactions to be cut.
pub const SMALL_BATCHES: [(&str, &str); 1] = [("BATCH_MAX_RECORDS", "100")];

/// Servers of a test's own, which it may stop without a thought for the others.
pub struct Servers {
    directory: PathBuf,
    name: &'static str,
}

impl Servers {
    /// Starts one of postgres, redis and kafka; `settings` are for its first start.
    pub fn start_own(name: &'static str, settings: &[(&str, String)]) -> Self {
        let unique = format!("ordervault-{name}-{}-{}", std::process::id(), fastrand::u32(..));
        let servers = Self { directory: std::env::temp_dir().join(unique), name };
        servers.run("start", settings);
        servers
    }

    fn run(&self, verb: &str, settings: &[(&str, String)]) {
        let tool = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tools/servers");
        let mut command = Command::new(tool);
        command.arg(verb).arg(&self.directory).arg(self.name).envs(settings.iter().map(|(name, value)| (name, value)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The tool returns when it is done, and until then this thread does nothing else.
    pub fn verb(&self, verb: &'static str) {
        tokio::task::block_in_place(|| self.run(verb, &[]));
    }

    /// The environment with this server in the place of the shared one.
    pub fn environment(&self, prefix: &str) -> BTreeMap<String, String> {
        let mut environment: BTreeMap<String, String> = std::env::vars().collect();
        let own = std::fs::read_to_string(self.directory.join("env")).unwrap();
        let own = own.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| name.starts_with(prefix));
        environment.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        environment
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.run("kill", &[]);
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

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
    pub async fn end(mut self) {
        self.stage.settle(DRAIN).await.unwrap();
        for service in &self.services {
            assert_eq!(service.get("/livez").await.unwrap().0, 200, "{}", service.layer);
        }
        for report in self.stage.recount(&NameCheck::Present).await.unwrap() {
            assert!(report.is_equal(), "{report}");
        }
        assert_eq!(self.services[2].findings().await.unwrap(), [Value::Null; 0]);
        let dead_letters: i64 =
            sqlx::query_scalar("select count(*) from ops.dead_letters").fetch_one(&self.stage.pool).await.unwrap();
        assert_eq!(dead_letters, 0, "dead letters of records that are good");
        drop(self.services);
        self.stage.tear_down().await.unwrap();
    }
}
