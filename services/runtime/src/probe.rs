//! Looks at the dependencies from time to time, so that readiness is known also when there is no work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::time::MissedTickBehavior;

use crate::config::KafkaConfig;
use crate::database::Database;
use crate::dead_letter;
use crate::fault::Dependency;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::processor::Processor;
use crate::road::Road;

const EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(3);
const COORDINATOR_AGAIN: Duration = Duration::from_millis(200);
const WATCHER: &str = "probe";

/// Looks at PostgreSQL for ever, and counts the dead letters and the pool's connections on the way.
pub async fn watch_postgres(database: Database, layer: &'static str, health: Arc<Health>, metrics: Arc<Metrics>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let check = Dependency::Postgres.name();
        match tokio::time::timeout(PATIENCE, look_at_postgres(&database, layer, &metrics)).await {
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
async fn look_at_postgres(database: &Database, layer: &str, metrics: &Metrics) -> Result<bool, sqlx::Error> {
    let pool = database.pool();
    let idle = pool.num_idle();
    let all = usize::try_from(pool.size()).unwrap_or(usize::MAX);
    for (state, count) in [("idle", idle), ("in_use", all.saturating_sub(idle))] {
        metrics.pool_connections.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    let read_only: String = sqlx::query_scalar("show transaction_read_only").fetch_one(&pool).await?;
    for (status, count) in dead_letter::count_by_status(&pool, layer).await? {
        metrics.dead_letters.with_label_values(&[&status]).set(count);
    }
    Ok(read_only == "on")
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
pub fn watch_kafka(config: &KafkaConfig, health: &Health, metrics: &Metrics) -> Result<(), KafkaError> {
    let client: BaseConsumer = config.client().set("group.id", &config.group).create()?;
    loop {
        let check = Dependency::Kafka.name();
        match look_at_kafka(&client, config, metrics) {
            Ok(()) => health.passes(check, WATCHER),
            Err(reason) => health.fails(check, WATCHER, &reason),
        }
        // What the client has to say is said by the consumer's own; unheard it would pile up.
        drop(client.poll(Duration::ZERO));
        std::thread::sleep(EVERY);
    }
}

/// The group's offsets. A coordinator that is only just being found is waited for: a new broker, or another broker's
/// turn, is no sign of ill health.
fn committed(client: &BaseConsumer, list: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
    use RDKafkaErrorCode as C;
    let begun = Instant::now();
    loop {
        let answer = client.committed_offsets(list.clone(), PATIENCE);
        let code = answer.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        let passes =
            matches!(code, Some(C::NotCoordinator | C::CoordinatorNotAvailable | C::CoordinatorLoadInProgress));
        if !passes || begun.elapsed() > PATIENCE {
            return answer;
        }
        std::thread::sleep(COORDINATOR_AGAIN);
    }
}

fn look_at_kafka(client: &BaseConsumer, config: &KafkaConfig, metrics: &Metrics) -> Result<(), String> {
    let mut partitions = Vec::new();
    for topic in std::iter::once(&config.source_topic).chain(&config.destination_topic) {
        let metadata = client.fetch_metadata(Some(topic), PATIENCE).map_err(|error| error.to_string())?;
        let found = metadata.topics().first().filter(|found| found.error().is_none() && !found.partitions().is_empty());
        let Some(found) = found else { return Err(format!("the topic {topic} is not there")) };
        if topic == &config.source_topic {
            partitions = found.partitions().iter().map(|partition| (partition.id(), None)).collect();
        }
    }
    let list = crate::consumer::list_of(&config.source_topic, partitions);
    let committed = committed(client, &list).map_err(|error| error.to_string())?;
    for element in committed.elements() {
        let watermarks = client.fetch_watermarks(&config.source_topic, element.partition(), PATIENCE);
        let (low, high) = watermarks.map_err(|error| error.to_string())?;
        let next = element.offset().to_raw().filter(|offset| *offset >= 0).unwrap_or(low);
        metrics.lag_records.with_label_values(&[&element.partition().to_string()]).set((high - next).max(0));
    }
    Ok(())
}
