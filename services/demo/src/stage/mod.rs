//! A stage for the services: a database and topics of its own, and the services as processes on them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

mod ports;
mod programs;
mod service;
mod operator;
mod offsets;
mod commits;
mod footprint;
mod stream;
mod faults;

pub use commits::Commit;
pub use footprint::Footprint;
pub use offsets::{Standing, standings};
pub use programs::this_release;
pub use service::Service;
pub use stream::Stream;

use crate::Error;
use crate::kafka::{self, Cluster};
use crate::orders::Produced;
use crate::recount::{NameCheck, Recount, Report};

/// The layers in the order of the pipeline.
pub const LAYERS: [&str; 3] = ["stg", "dds", "cdm"];

/// The token with which a stage's services may be operated, and the name under which that is recorded.
pub const OPS_TOKEN: &str = "let-me-operate";
/// Whose token that is.
pub const OPERATOR: &str = "operator";

const POLL_EVERY: Duration = Duration::from_millis(100);

/// The addresses of the servers, and the names of what is private to one stage.
pub struct Stage {
    /// The broker.
    pub cluster: Cluster,
    /// The warehouse.
    pub pool: PgPool,
    /// The dictionary.
    pub redis: MultiplexedConnection,
    /// How many partitions each topic has.
    pub partitions: i32,
    /// The name that database, topics and groups share.
    pub name: String,
    /// Which groups the layers join: those of another pass have no offsets, and read everything again.
    pub pass: u32,
    servers: BTreeMap<String, String>,
}

impl Stage {
    /// Makes a database and a topic for each layer, on the servers that the environment names.
    pub async fn build(prefix: &str, partitions: i32) -> Result<Self, Error> {
        Self::build_on(std::env::vars().collect(), prefix, partitions).await
    }

    /// The same on servers whose addresses are given under the names of the environment.
    pub async fn build_on(servers: BTreeMap<String, String>, prefix: &str, partitions: i32) -> Result<Self, Error> {
        let variable = |name: &str| servers.get(name).cloned().ok_or_else(|| Error::NotSet(name.to_owned()));
        let port = |name: &str| variable(name)?.parse::<u16>().map_err(|_| Error::NotSet(name.to_owned()));
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("{prefix}_{}_{}", std::process::id(), since_1970.as_micros());
        let options = PgConnectOptions::new()
            .host(&variable("PG_WAREHOUSE_HOST")?)
            .port(port("PG_WAREHOUSE_PORT")?)
            .username(&variable("PG_WAREHOUSE_USER")?)
            .password(&variable("PG_WAREHOUSE_PASSWORD")?)
            .ssl_mode(sqlx::postgres::PgSslMode::Disable);
        let mut admin = options.clone().database("postgres").connect().await?;
        // The name is made of the stage's own prefix and two numbers.
        admin.execute(AssertSqlSafe(format!("create database {name}"))).await?;
        let pool = PgPool::connect_with(options.database(&name)).await?;

        let cluster = Cluster { brokers: format!("{}:{}", variable("KAFKA_HOST")?, port("KAFKA_PORT")?) };
        let password = variable("REDIS_PASSWORD")?;
        let address = format!("redis://:{password}@{}:{}", variable("REDIS_HOST")?, port("REDIS_PORT")?);
        let redis = redis::Client::open(address)?.get_multiplexed_async_connection().await?;
        let stage = Self { cluster, pool, redis, partitions, name, pass: 1, servers };
        let topics = LAYERS.map(|layer| stage.source_topic(layer));
        kafka::create_topics(&stage.cluster, &topics.each_ref().map(String::as_str), partitions).await?;
        Ok(stage)
    }

    /// The topic that a layer reads.
    #[must_use]
    pub fn source_topic(&self, layer: &str) -> String {
        format!("{layer}-in-{}", self.name)
    }

    /// The consumer group of a layer.
    #[must_use]
    pub fn group(&self, layer: &str) -> String {
        format!("{layer}-{}-{}", self.name, self.pass)
    }

    /// Writes messages onto the topic that a layer reads, until all are acknowledged.
    pub async fn produce(&self, layer: &str, messages: impl IntoIterator<Item = Produced>) -> Result<u64, Error> {
        kafka::produce(&self.cluster, &self.source_topic(layer), messages, |_| {}).await
    }

    /// Counts anew from the source topic and the dictionary, and compares the tables of every layer.
    pub async fn recount(&self, names: &NameCheck) -> Result<Vec<Report>, Error> {
        self.compared(&self.counted(names).await?).await
    }

    /// The same, and compares what CDM serves over REST as well.
    pub async fn recount_with_reads(&self, names: &NameCheck, cdm: &Service) -> Result<Vec<Report>, Error> {
        let recount = self.counted(names).await?;
        let mut reports = self.compared(&recount).await?;
        reports.push(recount.compare_reads(&cdm.url, None).await?);
        Ok(reports)
    }

    async fn counted(&self, names: &NameCheck) -> Result<Recount, Error> {
        let topic = self.source_topic(LAYERS[0]);
        Recount::of_topic(&self.cluster, &topic, &mut self.redis.clone(), names).await
    }

    async fn compared(&self, recount: &Recount) -> Result<Vec<Report>, Error> {
        Ok(vec![
            recount.compare_stg(&self.pool).await?,
            recount.compare_dds(&self.pool).await?,
            recount.compare_cdm(&self.pool).await?,
        ])
    }

    /// What a layer's process is told: the servers, and the names of this stage.
    #[must_use]
    pub fn environment(&self, layer: &str) -> BTreeMap<String, String> {
        let mut environment = self.servers.clone();
        let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
        set("PG_WAREHOUSE_DBNAME", self.name.clone());
        set("KAFKA_CONSUMER_GROUP", self.group(layer));
        set("KAFKA_SOURCE_TOPIC", self.source_topic(layer));
        set("LOG_FORMAT", "text".to_owned());
        set("API_OPS_TOKENS", format!("{OPERATOR}:{OPS_TOKEN}"));
        set("RUST_LOG", "warn".to_owned());
        if let Some(next) = LAYERS.iter().skip_while(|other| **other != layer).nth(1) {
            set("KAFKA_DESTINATION_TOPIC", self.source_topic(next));
        }
        environment
    }

    /// Whether everything that was produced has come to its end in every layer: no lag, and nothing waits.
    pub async fn is_settled(&self) -> Result<bool, Error> {
        // In the pipeline's order: what a layer has committed lies on the next one's topic before that is asked.
        for layer in LAYERS {
            if self.lag(layer).await? > 0 {
                return Ok(false);
            }
        }
        nothing_waits(&self.pool).await
    }

    /// Waits until [`Stage::is_settled`], for at most `patience`.
    pub async fn settle(&self, patience: Duration) -> Result<(), Error> {
        // Until the services have made their tables the question itself fails.
        until("the pipeline", patience, async || Ok(self.is_settled().await.unwrap_or(false).then_some(()))).await
    }

    /// Removes what was made; the services have to be stopped before.
    pub async fn tear_down(self) -> Result<(), Error> {
        let topics = LAYERS.map(|layer| self.source_topic(layer));
        kafka::delete_topics(&self.cluster, &topics.each_ref().map(String::as_str)).await?;
        let mut admin = (*self.pool.connect_options()).clone().database("postgres").connect().await?;
        self.pool.close().await;
        admin.execute(AssertSqlSafe(format!("drop database {} with (force)", self.name))).await?;
        Ok(())
    }
}

/// Whether no dead letter waits for the dictionary.
pub async fn nothing_waits(pool: &PgPool) -> Result<bool, Error> {
    let waiting: i64 =
        sqlx::query_scalar("select count(*) from ops.dead_letters where status = 'waiting'").fetch_one(pool).await?;
    Ok(waiting == 0)
}

/// Asks again and again until there is an answer, for at most `patience`.
pub async fn until<T>(
    what: &str,
    patience: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if begun.elapsed() > patience {
            return Err(Error::Stalled(what.to_owned(), patience.as_secs()));
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}
