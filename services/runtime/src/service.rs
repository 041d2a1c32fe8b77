//! One service: the consumer loop beside the HTTP server, from start to the end of the last batch.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::backoff::Backoff;
use crate::config::{PostgresConfig, RuntimeConfig};
use crate::consumer::Consumer;
use crate::database::{self, Database};
use crate::desired_state::{self, DesiredStateReader};
use crate::fault::Dependency;
use crate::health::Health;
use crate::http;
use crate::metrics::Metrics;
use crate::probe;
use crate::processor::Processor;
use crate::publisher::Publisher;
use crate::road::Road;
use crate::waiting;

const STARTUP: &str = "startup";

/// Connections beside those of the batches: probe, waiting records, requests, one to spare.
const SPARE_CONNECTIONS: u32 = 4;

/// A layer, ready to be run.
pub struct Service<P> {
    /// The layer's name: its schema, its label, its place in `ops`.
    pub layer: &'static str,
    /// What it was told.
    pub config: RuntimeConfig,
    /// How its schema comes to be.
    pub migrations: &'static Migrator,
    /// What it makes of a batch.
    pub processor: P,
    /// What it serves beside the probes.
    pub api: OpenApiRouter<http::State>,
    /// What it knows of itself; made early, so that the processor can report to it as well.
    pub health: Arc<Health>,
}

/// The checks that every layer has, and those that only it has.
#[must_use]
pub fn checks(own: &[&'static str]) -> Vec<&'static str> {
    [STARTUP, Dependency::Kafka.name(), Dependency::Postgres.name()].iter().chain(own).copied().collect()
}

impl<P: Processor> Service<P> {
    /// Runs until `shutdown`, whatever the dependencies do: they may come later and go at any time.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
        let metrics = Arc::new(Metrics::new(self.layer));
        let (_told, desired) = desired_state::door();
        let batches = u32::try_from(self.config.limits.batches_at_once).unwrap_or(u32::MAX);
        let connections = batches.saturating_add(SPARE_CONNECTIONS);
        let database = Database::new(&self.config.postgres, self.layer, connections);
        let state = http::State {
            layer: self.layer,
            health: Arc::clone(&self.health),
            metrics: Arc::clone(&metrics),
            database: database.clone(),
        };
        let routes = http::router(state, &self.config.api, self.api.clone());
        let server = axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>());
        let server = server.with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let server = tokio::spawn(server.into_future());

        let work = self.work(metrics, database, desired, shutdown.clone());
        work.await;

        // A client that keeps its connection open must not keep the service from its end.
        match tokio::time::timeout(Duration::from_secs(1), server).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }

    async fn work(
        self,
        metrics: Arc<Metrics>,
        database: Database,
        desired: DesiredStateReader,
        shutdown: CancellationToken,
    ) {
        let Self { layer, config, migrations, processor, health, .. } = self;
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = migrate(&config.postgres, layer, migrations, &health) => {}
            // The loop does not turn yet, but waiting for a lock or for the server is no stall.
            () = keep_turning(&health) => {}
        }

        let publisher = config.kafka.destination_topic.as_deref().map(|topic| Publisher::new(&config.kafka, topic));
        let publisher = match publisher.transpose() {
            Ok(publisher) => publisher,
            Err(error) => return not_started(&health, &error, &shutdown).await,
        };
        let road = Arc::new(Road {
            layer,
            processor,
            database: database.clone(),
            publisher,
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
        });
        let consumer = match Consumer::join(&config.kafka, config.limits, Arc::clone(&road), desired.clone()) {
            Ok(consumer) => consumer,
            Err(error) => return not_started(&health, &error, &shutdown).await,
        };

        let mut watchers = JoinSet::new();
        watchers.spawn(probe::watch_postgres(database, layer, Arc::clone(&health), Arc::clone(&metrics)));
        watchers.spawn(probe::watch_enrichment(Arc::clone(&road)));
        watchers.spawn(waiting::retry_waiting(Arc::clone(&road), desired));
        let (kafka, health_of_kafka) = (config.kafka.clone(), Arc::clone(&health));
        // A thread of its own, since the client's questions block; it ends with the process.
        std::thread::spawn(move || {
            if let Err(error) = probe::watch_kafka(&kafka, &health_of_kafka, &metrics) {
                health_of_kafka.fails(Dependency::Kafka.name(), "probe", &error.to_string());
            }
        });
        consumer.run(shutdown).await;
        watchers.shutdown().await;
        // The producer's end blocks; the process does not wait for it.
        drop(tokio::task::spawn_blocking(move || drop(road)));
    }
}

/// Migrates, however long the server makes it wait.
async fn migrate(config: &PostgresConfig, layer: &'static str, migrations: &Migrator, health: &Health) {
    let mut backoff = Backoff::for_outages();
    while let Err(error) = database::migrate(config, layer, migrations).await {
        health.fails(STARTUP, "migrations", &error.to_string());
        tokio::time::sleep(backoff.pause()).await;
    }
    health.passes(STARTUP, "migrations");
}

async fn keep_turning(health: &Health) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        health.turned();
    }
}

/// A client that cannot even be made will not be made by a second attempt, but the probes have to say why.
async fn not_started(health: &Health, error: &rdkafka::error::KafkaError, shutdown: &CancellationToken) {
    health.fails(Dependency::Kafka.name(), "client", &error.to_string());
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = keep_turning(health) => {}
    }
}
