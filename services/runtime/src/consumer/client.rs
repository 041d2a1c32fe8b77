//! The consumer's client: its settings, and its events turned into messages for the loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::mpsc::UnboundedSender;

use crate::config::{KafkaConfig, Limits};
use crate::kafka_statistics::{self, KafkaStatistics};
use crate::metrics::Metrics;

/// The consumer with its context.
pub type Client = StreamConsumer<Events>;

/// What the client tells the loop, in the order in which it happened.
#[derive(Debug)]
pub enum Event {
    /// These partitions are ours; their records come once they are taken over.
    Assigned(Vec<i32>),
    /// These are to be handed back once what is in flight has come to its end.
    Revoked {
        /// The partitions.
        partitions: Vec<i32>,
        /// Whether somebody else has them already.
        lost: bool,
    },
    /// The client has met an error that concerns no record: what it is, and what the client says of it.
    Trouble(KafkaError, String),
}

/// Hands the client's events to the loop; never waits, so that the client's own thread goes on.
pub struct Events {
    queue: UnboundedSender<Event>,
    statistics: KafkaStatistics,
    closing: AtomicBool,
}

impl Events {
    /// From now on nobody takes partitions over or drains what is in flight: they come and go at once.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    fn tell(&self, event: Event) {
        // The loop is gone only when the service is at its end.
        let _ = self.queue.send(event);
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        tracing::debug!(?level, fac, message, "kafka client");
    }

    fn stats(&self, statistics: Statistics) {
        self.statistics.show(&statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.tell(Event::Trouble(error, reason.to_owned()));
    }
}

#[expect(clippy::redundant_closure_for_method_calls, reason = "the method's path is longer than the closure")]
impl ConsumerContext for Events {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        let done = match err {
            // At the end nobody is there to take partitions over, nor to drain them.
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS if self.closing.load(Ordering::SeqCst) => {
                consumer.incremental_assign(list)
            }
            _ if self.closing.load(Ordering::SeqCst) => consumer.incremental_unassign(list),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.tell(Event::Assigned(partitions));
                Ok(())
            }
            _ => {
                self.tell(Event::Revoked { partitions, lost: consumer.assignment_lost() });
                Ok(())
            }
        };
        if let Err(error) = done {
            self.tell(Event::Trouble(error, "the assignment could not be changed".to_owned()));
        }
    }
}

/// A consumer that has subscribed to the layer's topic.
pub fn subscribe(
    config: &KafkaConfig,
    limits: &Limits,
    events: UnboundedSender<Event>,
    metrics: &Arc<Metrics>,
) -> KafkaResult<Client> {
    let statistics = KafkaStatistics::new("consumer", Arc::clone(metrics));
    let client: Client = config
        .client()
        .set("group.id", &config.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky")
        // A killed member's partitions go to another within this time.
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "2000")
        // The client's queues, one a partition; what is beyond their bounds waits on the broker.
        .set("queued.min.messages", limits.buffer_records.to_string())
        .set("queued.max.messages.kbytes", (limits.buffer_bytes >> 10).max(1).to_string())
        // As soon as a batch is taken there is room for more.
        .set("fetch.queue.backoff.ms", "5")
        // An answer is held whole in memory, grows when it is decompressed, and comes on top of the bounds.
        .set("fetch.message.max.bytes", "262144")
        .set("fetch.max.bytes", "10485760")
        // A partition has to wait for the request that is under way, and that waits for records of the others: half a
        // second by default, in which a backlog would lie still.
        .set("fetch.wait.max.ms", "100")
        .set("statistics.interval.ms", kafka_statistics::EVERY_MS)
        .create_with_context(Events { queue: events, statistics, closing: AtomicBool::new(false) })?;
    client.subscribe(&[&config.source_topic])?;
    Ok(client)
}

/// One partition's offset, with a mark that the broker keeps beside it.
pub fn marked(topic: &str, partition: i32, offset: i64, mark: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(topic, partition);
    // Only a negative offset is refused, and a target is never that.
    let _ = element.set_offset(rdkafka::Offset::Offset(offset));
    element.set_metadata(mark);
    list
}

/// A list of partitions of one topic, each with an offset where there is one.
pub fn list_of(topic: &str, partitions: impl IntoIterator<Item = (i32, Option<i64>)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        let mut element = list.add_partition(topic, partition);
        if let Some(offset) = offset {
            // Only a negative offset is refused, and a record's offset is never that.
            let _ = element.set_offset(rdkafka::Offset::Offset(offset));
        }
    }
    list
}
