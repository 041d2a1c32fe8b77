//! A stage for the three services: a database and topics of its own, and the services as processes on them.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, TopicPartitionList};
use redis::aio::MultiplexedConnection;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};
use tokio::process::{Child, Command};

use crate::Error;
use crate::kafka::{self, Cluster};

/// The layers in the order of the pipeline.
pub const LAYERS: [&str; 3] = ["stg", "dds", "cdm"];

const PATIENCE: Duration = Duration::from_secs(10);

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
    name: String,
    environment: BTreeMap<String, String>,
}

/// A running service.
pub struct Service {
    /// The layer.
    pub layer: &'static str,
    /// Where it serves HTTP.
    pub url: String,
    /// The process.
    pub process: Child,
}

fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(|_| io::Error::other(format!("{name} is not set: start it by ./dev demo")))
}

impl Stage {
    /// Makes the database and the topics; the servers' addresses come from the environment.
    pub async fn build(prefix: &str, partitions: i32) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("{prefix}_{}_{}", std::process::id(), since_1970.as_millis());
        let options = PgConnectOptions::new()
            .host(&variable("PG_WAREHOUSE_HOST")?)
            .port(variable("PG_WAREHOUSE_PORT")?.parse()?)
            .username(&variable("PG_WAREHOUSE_USER")?)
            .password(&variable("PG_WAREHOUSE_PASSWORD")?)
            .ssl_mode(sqlx::postgres::PgSslMode::Disable);
        let mut admin = options.clone().database("postgres").connect().await?;
        // The name is made of the stage's own prefix and two numbers.
        admin.execute(AssertSqlSafe(format!("create database {name}"))).await?;
        let pool = PgPool::connect_with(options.database(&name)).await?;

        let cluster = Cluster { brokers: format!("{}:{}", variable("KAFKA_HOST")?, variable("KAFKA_PORT")?) };
        let password = variable("REDIS_PASSWORD")?;
        let address = format!("redis://:{password}@{}:{}", variable("REDIS_HOST")?, variable("REDIS_PORT")?);
        let redis = redis::Client::open(address)?.get_multiplexed_async_connection().await?;
        let stage = Self { cluster, pool, redis, partitions, name, environment: std::env::vars().collect() };
        let topics = LAYERS.map(|layer| stage.source_topic(layer));
        kafka::create_topics(&stage.cluster, &topics.each_ref().map(String::as_str), partitions).await?;
        Ok(stage)
    }

    /// The topic that a layer reads.
    #[must_use]
    pub fn source_topic(&self, layer: &str) -> String {
        format!("{layer}-in-{}", self.name)
    }

    /// Starts a replica of a layer, from the directory of this program, with settings on top of the stage's.
    pub fn start(&self, layer: &'static str, settings: &[(&str, &str)]) -> io::Result<Service> {
        let program: PathBuf = std::env::current_exe()?.with_file_name(format!("ordervault-{layer}"));
        // The port is free now, and nobody else is told of it.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let next = LAYERS.iter().skip_while(|other| **other != layer).nth(1);
        let mut command = Command::new(&program);
        command
            .envs(&self.environment)
            .env("PG_WAREHOUSE_DBNAME", &self.name)
            .env("KAFKA_CONSUMER_GROUP", format!("{layer}-{}", self.name))
            .env("KAFKA_SOURCE_TOPIC", self.source_topic(layer))
            .env("HTTP_ADDR", format!("127.0.0.1:{port}"))
            .env("LOG_FORMAT", "text")
            .env("RUST_LOG", "warn")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(next) = next {
            command.env("KAFKA_DESTINATION_TOPIC", self.source_topic(next));
        }
        let process = command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{} does not start: {error}", program.display())))?;
        Ok(Service { layer, url: format!("http://127.0.0.1:{port}"), process })
    }

    /// How many records of a layer's topic its group has not committed, asked from the broker.
    pub async fn lag(&self, layer: &str) -> Result<u64, Error> {
        let (brokers, topic) = (self.cluster.brokers.clone(), self.source_topic(layer));
        let (group, partitions) = (format!("{layer}-{}", self.name), self.partitions);
        let asked = tokio::task::spawn_blocking(move || -> Result<u64, rdkafka::error::KafkaError> {
            let client: BaseConsumer =
                ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create()?;
            let mut list = TopicPartitionList::new();
            list.add_partition_range(&topic, 0, partitions - 1);
            let mut lag = 0;
            for element in client.committed_offsets(list, PATIENCE)?.elements() {
                let (low, high) = client.fetch_watermarks(&topic, element.partition(), PATIENCE)?;
                let next = element.offset().to_raw().filter(|next| *next >= 0).unwrap_or(low);
                lag += u64::try_from(high - next).unwrap_or_default();
            }
            Ok(lag)
        });
        Ok(asked.await??)
    }

    /// Whether everything that was produced has come to its end in every layer: no lag, and nothing waits.
    pub async fn is_settled(&self) -> Result<bool, Error> {
        // In the pipeline's order: what a layer has committed lies on the next one's topic before that is asked.
        for layer in LAYERS {
            if self.lag(layer).await? > 0 {
                return Ok(false);
            }
        }
        let waiting: i64 = sqlx::query_scalar("select count(*) from ops.dead_letters where status = 'waiting'")
            .fetch_one(&self.pool)
            .await?;
        Ok(waiting == 0)
    }
}
