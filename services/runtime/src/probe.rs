//! Looks at the dependencies from time to time, so that readiness is known also when there is no work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use tokio::time::MissedTickBehavior;

use crate::broker::{Broker, BrokerError};
use crate::control::operations::{self, Filter, Kind, Operation, State};
use crate::database::Database;
use crate::dead_letter;
use crate::fault::Dependency;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::offsets::Standing;
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

/// Shows for ever what the newest finished audit found, whichever member has done it and however long ago.
pub async fn show_audits(database: Database, layer: &'static str, metrics: Arc<Metrics>) {
    let newest = Filter { kind: Some(Kind::Audit), state: Some(State::Done), before: None };
    loop {
        let pool = database.pool();
        if let Ok(Ok(found)) = tokio::time::timeout(PATIENCE, operations::list(&pool, layer, newest, 1)).await {
            for audit in &found {
                show(audit, &metrics);
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn show(audit: &Operation, metrics: &Metrics) {
    for result in &audit.results {
        let (Some(table), Some(detail)) = (&result.table, &result.detail) else { continue };
        for (gauge, rows) in [(&metrics.audit_wrong_rows, "wrong"), (&metrics.audit_behind_rows, "behind")] {
            match detail[rows].as_i64() {
                // What was repaired comes after what was found.
                Some(rows) => gauge.with_label_values(&[table]).set(rows),
                // Of a table that could not be looked at nothing is known any more; where it was never known, all is well.
                None => {
                    let _ = gauge.remove_label_values(&[table]);
                }
            }
        }
    }
    if let Some(finished) = audit.finished_at {
        let finished = (finished - DateTime::UNIX_EPOCH).as_seconds_f64();
        metrics.audit_last_success_timestamp_seconds.with_label_values::<&str>(&[]).set(finished);
    }
    if let Some(seconds) = audit.progress["seconds"].as_f64() {
        metrics.audit_seconds.with_label_values::<&str>(&[]).set(seconds);
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
    let mut silent = Ok(());
    for (partition, standing) in Standing::ask(broker, &partitions, None)? {
        match standing {
            Ok(standing) => metrics.lag_records.with_label_values(&[&partition.to_string()]).set(standing.lag()),
            // Its lag stays what it was last known to be, and the others' go on.
            Err(error) => silent = silent.and(Err(error)),
        }
    }
    silent
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    use super::*;
    use crate::config::{RuntimeConfig, Settings, Topics};
    use crate::consumer::list_of;

    #[test]
    fn the_lag_of_a_partition_goes_on_where_another_has_no_leader_and_is_all_there_is_after_a_commit_beyond_the_end() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders", 2, 1).unwrap();
        let (host, topics) = (cluster.bootstrap_servers(), Topics { group: "g", source: "orders", destination: None });
        let variables = [("KAFKA_HOST", &*host), ("PG_WAREHOUSE_HOST", "x"), ("PG_WAREHOUSE_DBNAME", "x")];
        let variables = variables.into_iter().chain([("PG_WAREHOUSE_USER", "x")]);
        let variables: BTreeMap<_, _> = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let config = RuntimeConfig::read(&mut Settings::of(variables), topics).unwrap().kafka;
        let producer: BaseProducer = config.client().create().unwrap();
        let produce = |partition| {
            producer.send(BaseRecord::<(), [u8]>::to("orders").payload(b"x").partition(partition)).unwrap();
            producer.flush(Duration::from_secs(10)).unwrap();
        };
        produce(0);
        produce(1);
        let (broker, metrics) = (Broker::new(&config).unwrap(), Metrics::new("cdm"));
        let lag = |partition: i32| metrics.lag_records.with_label_values(&[&partition.to_string()]).get();
        look_at_kafka(&broker, None, &metrics).unwrap();
        assert_eq!((lag(0), lag(1)), (1, 1));

        cluster.partition_leader("orders", 1, None).unwrap();
        produce(0);
        let said = look_at_kafka(&broker, None, &metrics).unwrap_err().to_string();
        assert_eq!(said, "partition 1 has no leader");
        assert_eq!((lag(0), lag(1)), (2, 1));

        let mut member = config.client();
        let member: BaseConsumer = member.set("group.id", "g").create().unwrap();
        member.commit(&list_of("orders", [(0, Some(99))]), CommitMode::Sync).unwrap();
        look_at_kafka(&broker, None, &metrics).unwrap_err();
        assert_eq!(lag(0), 2, "the layer goes on with the first record that is there");
    }
}
