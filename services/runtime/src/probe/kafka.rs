//! Kafka: whether it answers, whether the topics are there, and how far the group is behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::lag::Lags;
use super::topic::{Renewed, Topic};
use super::{EVERY, WATCHER};
use crate::broker::{Broker, BrokerError};
use crate::fault::Dependency;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::offsets::Standing;

/// Looks at the broker for ever, and tells of partitions that were made anew. On a thread of its own, since the client's
/// questions block; it ends with the process.
pub fn watch_kafka(
    broker: Arc<Broker>,
    destination_topic: Option<String>,
    tell: UnboundedSender<Renewed>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
) {
    std::thread::spawn(move || {
        let mut look = Look { lags: Lags::default(), topic: Topic::new(tell) };
        loop {
            let check = Dependency::Kafka.name();
            match look.at(&broker, destination_topic.as_deref(), &metrics) {
                Ok(()) => health.passes(check, WATCHER),
                Err(reason) => health.fails(check, WATCHER, &reason.to_string()),
            }
            std::thread::sleep(EVERY);
        }
    });
}

/// What is remembered from one look to the next.
struct Look {
    lags: Lags,
    topic: Topic,
}

impl Look {
    fn at(&mut self, broker: &Broker, destination_topic: Option<&str>, metrics: &Metrics) -> Result<(), BrokerError> {
        let partitions = broker.partitions()?;
        metrics.topic_partitions.set(i64::try_from(partitions.len()).unwrap_or(i64::MAX));
        if let Some(topic) = destination_topic {
            broker.partitions_of(topic)?;
        }
        let mut silent = Ok(());
        let mut standings = BTreeMap::new();
        for (partition, standing) in Standing::ask(broker, &partitions, None)? {
            match standing {
                Ok(standing) => {
                    show_retention(partition, standing, metrics);
                    standings.insert(partition, standing);
                }
                // What is known of it stays what it last was, and the others go on.
                Err(error) => silent = silent.and(Err(error)),
            }
        }
        self.topic.compare(&standings);
        self.lags.show(broker, &standings, metrics)?;
        silent
    }
}

fn show_retention(partition: i32, standing: Standing, metrics: &Metrics) {
    let label = &[&*partition.to_string()];
    metrics.log_start_offset.with_label_values(label).set(standing.low);
    match standing.committed {
        Some(committed) => metrics.retention_margin_records.with_label_values(label).set(committed - standing.low),
        None => drop(metrics.retention_margin_records.remove_label_values(label)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::Utc;
    use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

    use super::*;
    use crate::config::{KafkaConfig, RuntimeConfig, Settings, Topics};
    use crate::consumer::list_of;

    fn look() -> Look {
        Look { lags: Lags::default(), topic: Topic::new(tokio::sync::mpsc::unbounded_channel().0) }
    }

    fn config(cluster: &MockCluster<'_, DefaultProducerContext>) -> KafkaConfig {
        let (host, topics) = (cluster.bootstrap_servers(), Topics { group: "g", source: "orders", destination: None });
        let variables = [("KAFKA_HOST", &*host), ("PG_WAREHOUSE_HOST", "x"), ("PG_WAREHOUSE_DBNAME", "x")];
        let variables = variables.into_iter().chain([("PG_WAREHOUSE_USER", "x")]);
        let variables: BTreeMap<_, _> = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        RuntimeConfig::read(&mut Settings::of(variables), topics).unwrap().kafka
    }

    #[test]
    fn the_lag_of_a_partition_goes_on_where_another_has_no_leader_and_is_all_there_is_after_a_commit_beyond_the_end() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders", 2, 1).unwrap();
        let config = config(&cluster);
        let producer: BaseProducer = config.client().create().unwrap();
        let produce = |partition| {
            producer.send(BaseRecord::<(), [u8]>::to("orders").payload(b"x").partition(partition)).unwrap();
            producer.flush(Duration::from_secs(10)).unwrap();
        };
        produce(0);
        produce(1);
        let (broker, metrics) = (Broker::new(&config).unwrap(), Metrics::new("cdm"));
        let mut look = look();
        let lag = |partition: i32| metrics.lag_records.with_label_values(&[&partition.to_string()]).get();
        look.at(&broker, None, &metrics).unwrap();
        assert_eq!((lag(0), lag(1)), (1, 1));

        cluster.partition_leader("orders", 1, None).unwrap();
        produce(0);
        let said = look.at(&broker, None, &metrics).unwrap_err().to_string();
        assert_eq!(said, "partition 1 has no leader");
        assert_eq!((lag(0), lag(1)), (2, 1));

        let mut member = config.client();
        let member: BaseConsumer = member.set("group.id", "g").create().unwrap();
        member.commit(&list_of("orders", [(0, Some(99))]), CommitMode::Sync).unwrap();
        look.at(&broker, None, &metrics).unwrap_err();
        assert_eq!(lag(0), 2, "the layer goes on with the first record that is there");
    }
    #[test]
    fn the_age_of_lag_is_that_of_the_first_record_which_may_be_old_but_for_one_that_was_not_there_a_moment_ago() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders", 1, 1).unwrap();
        let config = config(&cluster);
        let producer: BaseProducer = config.client().create().unwrap();
        let produce_old = || {
            let hour_ago = (Utc::now().timestamp() - 3_600) * 1_000;
            let record = BaseRecord::<(), [u8]>::to("orders").payload(b"x").partition(0).timestamp(hour_ago);
            producer.send(record).unwrap();
            producer.flush(Duration::from_secs(10)).unwrap();
        };
        let (broker, metrics) = (Broker::new(&config).unwrap(), Metrics::new("cdm"));
        let age = || metrics.lag_seconds.with_label_values(&["0"]).get();
        produce_old();
        look().at(&broker, None, &metrics).unwrap();
        assert!(age() >= 3_600.0, "{}", age());

        let member: BaseConsumer = config.client().set("group.id", "g").create().unwrap();
        member.commit(&list_of("orders", [(0, Some(1))]), CommitMode::Sync).unwrap();
        let mut look = look();
        look.at(&broker, None, &metrics).unwrap();
        assert!(age() < 1e-9, "{}", age());
        produce_old();
        look.at(&broker, None, &metrics).unwrap();
        assert_eq!(metrics.lag_records.with_label_values(&["0"]).get(), 1);
        assert!(age() < 1e-9, "{}", age());
    }
}
