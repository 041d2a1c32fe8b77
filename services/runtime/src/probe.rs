//! Looks at the dependencies from time to time, so that readiness is known also when there is no work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use crate::broker::{Broker, BrokerError};
use crate::database::Database;
use crate::dead_letter;
use crate::fault::Dependency;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::processor::Processor;
use crate::road::Road;

const EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(3);
const WATCHER: &str = "probe";
const COUNT_WITHIN: Duration = Duration::from_mins(1);
/// Counting takes a twentieth of the time at the most.
const IDLE_SHARE: u32 = 20;

/// Looks at PostgreSQL for ever, and counts the pool's connections on the way.
pub async fn watch_postgres(database: Database, health: Arc<Health>, metrics: Arc<Metrics>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let check = Dependency::Postgres.name();
        match tokio::time::timeout(PATIENCE, look_at_postgres(&database, &metrics)).await {
            Ok(Ok(false)) => health.passes(check, WATCHER),
            Ok(Ok(true)) => {
                health.fails(check, WATCHER, "the server is read-only");
                database.reconnect();
            }
            Ok(Err(error)) => health.fails(check, WATCHER, &error.to_string()),
            Err(_) => {
                health.fails(check, WATCHER, "no answer within 3 s");
                database.reconnect();
            }
        }
    }
}

/// Answers whether the server is read-only.
async fn look_at_postgres(database: &Database, metrics: &Metrics) -> Result<bool, sqlx::Error> {
    let pool = database.pool();
    let idle = pool.num_idle();
    let all = usize::try_from(pool.size()).unwrap_or(usize::MAX);
    for (state, count) in [("idle", idle), ("in_use", all.saturating_sub(idle))] {
        metrics.pool_connections.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    let read_only: String = sqlx::query_scalar("show transaction_read_only").fetch_one(&pool).await?;
    Ok(read_only == "on")
}

/// Counts the dead letters for ever, for the metrics. Millions of them are no ill health, so a slow count is none.
pub async fn count_dead_letters(database: Database, layer: &'static str, metrics: Arc<Metrics>) {
    loop {
        let began = Instant::now();
        let pool = database.pool();
        if let Ok(Ok(counts)) = tokio::time::timeout(COUNT_WITHIN, dead_letter::count_by_status(&pool, layer)).await {
            for (status, count) in counts {
                metrics.dead_letters.with_label_values(&[&status]).set(count);
            }
        }
        tokio::time::sleep(EVERY.max(began.elapsed() * IDLE_SHARE)).await;
    }
}

/// Looks for ever at what the layer's enrichment needs, if anything.
pub async fn watch_enrichment<P: Processor>(road: Arc<Road<P>>) {
    while let Some(answer) = road.processor.ping().await {
        match answer {
            Ok(()) => road.health.passes(Dependency::Redis.name(), WATCHER),
            Err(outage) => road.health.fails(outage.dependency.name(), WATCHER, &outage.detail),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Looks at the broker for ever: whether it answers, whether the topics are there, how far the group is behind.
pub fn watch_kafka(broker: &Broker, destination_topic: Option<&str>, health: &Health, metrics: &Metrics) -> ! {
    loop {
        let check = Dependency::Kafka.name();
        match look_at_kafka(broker, destination_topic, metrics) {
            Ok(()) => health.passes(check, WATCHER),
            Err(reason) => health.fails(check, WATCHER, &reason.to_string()),
        }
        std::thread::sleep(EVERY);
    }
}

fn look_at_kafka(broker: &Broker, destination_topic: Option<&str>, metrics: &Metrics) -> Result<(), BrokerError> {
    let partitions = broker.partitions()?;
    if let Some(topic) = destination_topic {
        broker.partitions_of(topic)?;
    }
    let committed = broker.committed(&partitions)?;
    for (partition, watermarks) in broker.watermarks(&partitions)? {
        let next = committed.get(&partition).map_or(watermarks.low, |committed| committed.offset);
        let lag = (watermarks.high - next).max(0);
        metrics.lag_records.with_label_values(&[&partition.to_string()]).set(lag);
    }
    Ok(())
}
