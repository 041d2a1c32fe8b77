//! A topic and a group of a test's own, with records at the times that it wants.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use ordervault_demo::kafka::{self, Cluster};
use ordervault_runtime::broker::{Broker, BrokerError, ByPartition};
use ordervault_runtime::config::{KafkaConfig, RuntimeConfig, Settings, Topics};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// The topic, which is also the group's name.
pub struct Stand {
    pub config: KafkaConfig,
    pub broker: Arc<Broker>,
}

/// A moment so many seconds after one that lies an hour back: recent, since the broker forgets what is old.
pub fn at(seconds: i64) -> DateTime<Utc> {
    static BEGIN: LazyLock<i64> = LazyLock::new(|| Utc::now().timestamp() - 3_600);
    DateTime::from_timestamp(*BEGIN + seconds, 0).unwrap()
}

/// Settings with a topic and a group of this name, on a broker at this address.
pub fn config_with(name: &str, address: &str) -> KafkaConfig {
    let mut variables: BTreeMap<String, String> = std::env::vars().collect();
    for (variable, value) in [("KAFKA_SOURCE_TOPIC", name), ("KAFKA_CONSUMER_GROUP", name), ("KAFKA_HOST", address)] {
        variables.insert(variable.to_owned(), value.to_owned());
    }
    let topics = Topics { group: "unused", source: "unused", destination: None };
    RuntimeConfig::read(&mut Settings::of(variables), topics).unwrap().kafka
}

impl Stand {
    pub async fn build(prefix: &str, partitions: i32) -> Self {
        let stand = Self::absent(prefix);
        kafka::create_topics(&cluster(&stand.config), &[stand.broker.topic()], partitions).await.unwrap();
        stand
    }

    /// One whose topic is not there.
    pub fn absent(prefix: &str) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let name = format!("{prefix}_{}_{}", std::process::id(), since_1970.as_micros());
        let [host, port] = ["KAFKA_HOST", "KAFKA_PORT"].map(|name| std::env::var(name).unwrap());
        let config = config_with(&name, &format!("{host}:{port}"));
        Self { broker: Arc::new(Broker::new(&config).unwrap()), config }
    }

    /// The answer to a question, which is to have one.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Broker) -> Result<T, BrokerError> + Send + 'static,
    ) -> T {
        self.broker.ask(question).await.unwrap()
    }

    /// The answers to a question about several partitions, each of which is to have one.
    pub async fn ask_each<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Broker) -> Result<ByPartition<T>, BrokerError> + Send + 'static,
    ) -> BTreeMap<i32, T> {
        self.ask(question).await.into_iter().map(|(partition, answer)| (partition, answer.unwrap())).collect()
    }

    /// Records without a key at these moments.
    pub async fn produce(&self, partition: i32, times: impl IntoIterator<Item = DateTime<Utc>>) {
        self.send(&self.config.client().create().unwrap(), partition, times).await;
    }

    /// A producer in a transaction that has begun.
    pub async fn transaction(&self) -> FutureProducer {
        let mut config = self.config.client();
        let producer: FutureProducer = config.set("transactional.id", &self.config.group).create().unwrap();
        tokio::task::spawn_blocking(move || {
            producer.init_transactions(PATIENCE).unwrap();
            producer.begin_transaction().unwrap();
            producer
        })
        .await
        .unwrap()
    }

    /// Records by a producer that is there already.
    pub async fn send(
        &self,
        producer: &FutureProducer,
        partition: i32,
        times: impl IntoIterator<Item = DateTime<Utc>>,
    ) {
        for time in times {
            let record = FutureRecord::<[u8], [u8]>::to(&self.config.source_topic).payload(b"x").partition(partition);
            producer.send(record.timestamp(time.timestamp_millis()), PATIENCE).await.unwrap();
        }
    }

    /// Takes a transaction's records back, and waits until these partitions can be read up to these offsets: the
    /// broker acknowledges before its marks lie in every partition.
    pub async fn take_back(&self, producer: &FutureProducer, ends: &[(i32, i64)]) {
        producer.abort_transaction(PATIENCE).unwrap();
        let partitions: Vec<i32> = ends.iter().map(|(partition, _)| *partition).collect();
        let begun = Instant::now();
        loop {
            let asked = partitions.clone();
            let marks = self.ask_each(move |broker| broker.watermarks(&asked)).await;
            if ends.iter().all(|(partition, end)| marks[partition].high == *end) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{marks:?} instead of ends {ends:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes the broker forget the records below an offset.
    pub async fn delete_below(&self, partition: i32, offset: i64) {
        let admin: AdminClient<DefaultClientContext> = self.config.client().create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.config.source_topic, partition, Offset::Offset(offset)).unwrap();
        let done = admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
        done.elements()[0].error().unwrap();
    }

    /// A member of the group, once it has partitions.
    pub async fn member(&self) -> BaseConsumer {
        let (client, topic) = (self.outsider(), self.config.source_topic.clone());
        tokio::task::spawn_blocking(move || {
            client.subscribe(&[&topic]).unwrap();
            let begun = Instant::now();
            while client.assignment().unwrap().count() == 0 {
                drop(client.poll(Duration::from_millis(50)));
                assert!(begun.elapsed() < PATIENCE, "no partitions for the member");
            }
            client
        })
        .await
        .unwrap()
    }

    /// How many members the broker knows of.
    pub async fn members(&self) -> usize {
        let (client, group) = (self.outsider(), self.config.group.clone());
        tokio::task::spawn_blocking(move || {
            let list = client.fetch_group_list(Some(&group), PATIENCE).unwrap();
            list.groups().iter().map(|group| group.members().len()).sum()
        })
        .await
        .unwrap()
    }

    fn outsider(&self) -> BaseConsumer {
        let mut config: ClientConfig = self.config.client();
        config.set("group.id", &self.config.group).set("enable.auto.commit", "false").create().unwrap()
    }

    pub async fn tear_down(self) {
        kafka::delete_topics(&cluster(&self.config), &[&self.config.source_topic]).await.unwrap();
    }
}

fn cluster(config: &KafkaConfig) -> Cluster {
    Cluster { brokers: config.brokers.clone() }
}
