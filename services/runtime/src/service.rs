//! One service: the consumer loop beside the HTTP server, from start to the end of the last batch.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use crate::actual_state;
use crate::backoff::Backoff;
use crate::breaker::Breaker;
use crate::broker::{Broker, BrokerError};
use crate::companions;
use crate::config::{PostgresConfig, RuntimeConfig};
use crate::consumer::{self, Consumer};
use crate::control::heartbeat::{self, Identity};
use crate::control::operations::Kind;
use crate::control::steering::Steering;
use crate::control::{janitor, ownerless, watchman};
use crate::database::Database;
use crate::fault::Dependency;
use crate::health::Health;
use crate::http;
use crate::jobs::letters::Letters;
use crate::jobs::task::{self, Task};
use crate::jobs::{self, Source, daily};
use crate::metrics::Metrics;
use crate::migrations;
use crate::probe;
use crate::processor::Processor;
use crate::publisher::Publisher;
use crate::road::{Flights, Road};
use crate::traces::Traces;
use crate::waiting;

const STARTUP: &str = "startup";

/// Migrations that take longer than this are said to.
const SOON: Duration = Duration::from_secs(5);

/// Connections beside those of the batches: probe, count of dead letters, waiting records, notifications, heartbeat, a reset,
/// and two for a job of each kind. The API has its own.
const SPARE_CONNECTIONS: u32 = 10;

/// A layer, ready to be run.
pub struct Service<P> {
    /// The layer's name: its schema, its label, its place in `ops`.
    pub layer: &'static str,
    /// What it was told.
    pub config: RuntimeConfig,
    /// How its schema comes to be.
    pub migrations: &'static Migrator,
    /// Who else may read its schema, as SQL.
    pub grants: Option<&'static str>,
    /// What removes from its schema what nobody needs any more, as SQL.
    pub tidying: Option<&'static str>,
    /// What it makes of a batch.
    pub processor: P,
    /// What it serves beside what every layer serves.
    pub api: OpenApiRouter<http::State>,
    /// Jobs that only it has; each kind is worked on by itself.
    pub sources: Vec<Arc<dyn Source>>,
    /// The same of those that are no stream of records. Each has a connection of its own while it works.
    pub tasks: Vec<Arc<dyn Task>>,
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
        let batches = u32::try_from(self.config.limits.batches_at_once).unwrap_or(u32::MAX);
        let connections = batches.saturating_add(SPARE_CONNECTIONS);
        let database = Database::new(&self.config.postgres, self.layer, connections, self.config.api.read_connections);
        let broker = Broker::new(&self.config.kafka).map(Arc::new);
        let state = http::State {
            layer: self.layer,
            group: Arc::from(self.config.kafka.group.as_str()),
            topic: Arc::from(self.config.kafka.source_topic.as_str()),
            health: Arc::clone(&self.health),
            metrics: Arc::clone(&metrics),
            database: database.for_requests(),
            reads: database.for_analysts(),
            broker: broker.as_ref().ok().cloned(),
        };
        let routes = http::router(state, &self.config.api, self.api.clone());
        let server = tokio::spawn(http::serve(listener, routes, shutdown.clone()));

        let worked = self.work(database, broker, metrics, shutdown.clone()).await;

        // A client that keeps its connection open must not keep the service from its end.
        let _ = tokio::time::timeout(Duration::from_secs(1), server).await;
        worked
    }

    async fn work(
        self,
        database: Database,
        broker: Result<Arc<Broker>, BrokerError>,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) -> io::Result<()> {
        let Self { layer, config, migrations, grants, tidying, processor, health, sources, tasks, .. } = self;
        let learned = async {
            migrate(&config.postgres, layer, migrations, &health).await;
            if let Some(grants) = grants
                && let Err(error) = migrations::grant(&config.postgres, layer, grants).await
            {
                tracing::info!(%error, "rights that others need could not be given; the command `migrate` prints how");
            }
            Steering::learn(layer, database.clone(), Arc::clone(&health), Arc::clone(&metrics)).await
        };
        let (steering, doors) = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            learned = learned => learned,
            // The loop does not turn yet, but waiting for a lock or for the server is no stall.
            () = keep_turning(&health) => return Ok(()),
        };
        let broker = match broker {
            Ok(broker) => broker,
            Err(error) => return not_started(&health, &error, &shutdown).await,
        };
        let publisher =
            config.kafka.destination_topic.as_deref().map(|topic| Publisher::new(&config.kafka, topic, &metrics));
        let publisher = match publisher.transpose() {
            Ok(publisher) => publisher,
            Err(error) => return not_started(&health, &error, &shutdown).await,
        };
        let traces = Traces::new(&config.traces, &config.kafka, layer);
        let breaker = Arc::new(Breaker::new(config.control.breaker));
        let road = Arc::new(Road {
            layer,
            processor,
            database: database.clone(),
            publisher,
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
            breaker: Arc::clone(&breaker),
            flights: Flights::default(),
            traces,
        });
        let member = Identity::new();
        let (tell, actual) = actual_state::door();
        let (tell_renewed, renewed) = unbounded_channel();
        let consumer_doors = consumer::Doors {
            member: member.id,
            desired: doors.desired.clone(),
            pending: doors.pending.clone(),
            actual: tell,
            renewed,
        };
        let beside = Arc::clone(&broker);
        let consumer = match Consumer::join(&config.kafka, config.limits, Arc::clone(&road), consumer_doors, beside) {
            Ok(consumer) => consumer,
            Err(error) => return not_started(&health, &error, &shutdown).await,
        };

        let mut sources = sources;
        sources.push(Arc::new(Letters));
        let mut running = JoinSet::new();
        running.spawn(steering.run());
        running.spawn(heartbeat::beat(layer, member.clone(), database.clone(), actual, Arc::clone(&health)));
        running.spawn(ownerless::look_after(layer, member.id, database.clone(), Arc::clone(&broker), doors.pending));
        running.spawn(watchman::watch(layer, breaker, database.clone(), doors.desired.clone()));
        running.spawn(janitor::tidy(layer, database.clone(), config.control.operations_keep_days, tidying));
        for source in sources {
            let (desired, changes) = (doors.desired.clone(), doors.changes.clone());
            running.spawn(jobs::work(Arc::clone(&road), source, member.id, desired, changes));
        }
        for task in tasks {
            let (kind, changes) = (task.kind(), doors.changes.clone());
            if let Some(at) = task.daily_at() {
                running.spawn(daily::keep_ordering(layer, kind, at, database.clone()));
            }
            if kind == Kind::Audit {
                metrics.audit_daily.with_label_values::<&str>(&[]).set(task.daily_at().is_some().into());
                running.spawn(probe::show_audits(database.clone(), layer, Arc::clone(&metrics)));
            }
            running.spawn(task::work(Arc::clone(&road), task, Arc::clone(&broker), member.id, changes));
        }
        running.spawn(waiting::retry_waiting(Arc::clone(&road), doors.desired));
        running.spawn(probe::watch_postgres(database.clone(), layer, Arc::clone(&health), Arc::clone(&metrics)));
        running.spawn(probe::count_dead_letters(database.clone(), layer, Arc::clone(&metrics)));
        running.spawn(probe::watch_enrichment(Arc::clone(&road)));
        probe::watch_kafka(broker, config.kafka.destination_topic, tell_renewed, health, metrics);
        let stop = shutdown.child_token();
        let mut consuming = std::pin::pin!(consumer.run(stop.clone()));
        let fallen = tokio::select! {
            () = &mut consuming => None,
            fallen = companions::one_has_fallen(&mut running) => {
                tracing::error!(%fallen, "a task has fallen, which is a defect: the service ends, to be started anew");
                stop.cancel();
                consuming.await;
                Some(fallen)
            }
        };
        running.shutdown().await;
        heartbeat::leave(&member, layer, &database).await;
        // The producer's end blocks; the process does not wait for it.
        let following = Arc::clone(&road);
        let _ = tokio::task::spawn_blocking(move || following.traces.end()).await;
        drop(tokio::task::spawn_blocking(move || drop(road)));
        fallen.map_or(Ok(()), |fallen| Err(io::Error::other(fallen)))
    }
}

/// Migrates, however long the server makes it wait.
async fn migrate(config: &PostgresConfig, layer: &'static str, migrations: &Migrator, health: &Health) {
    const WATCHER: &str = "migrations";
    let postgres = Dependency::Postgres.name();
    let mut backoff = Backoff::for_outages();
    loop {
        let mut attempt = std::pin::pin!(migrations::migrate(config, layer, migrations));
        let soon = tokio::time::timeout(SOON, &mut attempt).await;
        let done = if let Ok(done) = soon {
            done
        } else {
            health.fails(STARTUP, WATCHER, "the migrations take long, or wait for another's lock");
            attempt.await
        };
        let Err(error) = done else { break };
        // A migration that fails has met a server that answers.
        if !matches!(error, sqlx::Error::Migrate(_)) {
            health.fails(postgres, WATCHER, &error.to_string());
        }
        health.fails(STARTUP, WATCHER, &error.to_string());
        tokio::time::sleep(backoff.pause()).await;
    }
    health.passes(postgres, WATCHER);
    health.passes(STARTUP, WATCHER);
}

async fn keep_turning(health: &Health) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        health.turned();
    }
}

/// A client that cannot even be made will not be made by a second attempt, but the probes have to say why.
async fn not_started(
    health: &Health,
    error: &(dyn std::error::Error + Sync),
    shutdown: &CancellationToken,
) -> io::Result<()> {
    health.fails(Dependency::Kafka.name(), "client", &error.to_string());
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = keep_turning(health) => {}
    }
    Ok(())
}
