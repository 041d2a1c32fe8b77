//! Reading a topic whole.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::Cluster;
use crate::Error;

const METADATA_TIMEOUT: Duration = Duration::from_secs(30);
/// A partition that says nothing for so long, neither a record nor its end, will not do so later either.
const STALLED: Duration = Duration::from_mins(1);

/// A record as it lies on the topic.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The partition on which it lies.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its time in milliseconds since 1970, if it bears one.
    pub timestamp: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is the null that compaction calls a tombstone.
    pub payload: Option<&'a [u8]>,
}

/// Reads every record from the earliest to the end that the topic has now, and hands each to `each`. Partitions
/// interleave, offsets within one grow. Returns how many records there were.
///
/// This blocks its thread while it waits for the broker; from asynchronous code call it by `spawn_blocking`.
///
/// # Errors
///
/// When the topic is not there, the broker fails, or nothing arrives for a minute.
pub fn read_topic(cluster: &Cluster, topic: &str, mut each: impl FnMut(Record<'_>)) -> Result<u64, Error> {
    let mut config = cluster.client();
    // The client insists on a group's name, but one that assigns its partitions itself and commits nothing
    // leaves no trace in the cluster.
    config
        .set("group.id", "ordervault-recount")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        // A record that the broker no longer has must be an error here, not a reason to start elsewhere.
        .set("auto.offset.reset", "error")
        .set("queued.max.messages.kbytes", "16384");
    let consumer: BaseConsumer = config.create()?;
    let mut ends = assign_all(&consumer, topic)?;
    let mut records = 0;
    let mut progress = Instant::now();
    while !ends.is_empty() {
        let message = match consumer.poll(STALLED) {
            Some(Ok(message)) => message,
            // The end can lie behind the last record: markers of transactions have offsets too.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ends.remove(&partition);
                continue;
            }
            Some(Err(error)) if passes(&error) && progress.elapsed() < STALLED => continue,
            Some(Err(error)) => return Err(error.into()),
            None => return Err(Error::Stalled(format!("reading {topic}"), STALLED.as_secs())),
        };
        progress = Instant::now();
        let (partition, offset) = (message.partition(), message.offset());
        let Some(end) = ends.get(&partition).copied() else { continue };
        if offset < end {
            records += 1;
            each(Record {
                partition,
                offset,
                timestamp: message.timestamp().to_millis(),
                key: message.key(),
                payload: message.payload(),
            });
        }
        if offset + 1 >= end {
            ends.remove(&partition);
        }
    }
    Ok(records)
}

/// Assigns every partition that holds records, from its first one on, and returns their ends.
fn assign_all(consumer: &BaseConsumer, topic: &str) -> Result<HashMap<i32, i64>, Error> {
    let metadata = consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT)?;
    let partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .flat_map(rdkafka::metadata::MetadataTopic::partitions)
        .map(rdkafka::metadata::MetadataPartition::id)
        .collect();
    if partitions.is_empty() {
        return Err(Error::TopicNotUsable(topic.to_owned()));
    }
    let mut assignment = TopicPartitionList::new();
    let mut ends = HashMap::new();
    for partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition, METADATA_TIMEOUT)?;
        if low < high {
            assignment.add_partition_offset(topic, partition, Offset::Offset(low))?;
            ends.insert(partition, high);
        }
    }
    consumer.assign(&assignment)?;
    Ok(ends)
}

/// Whether the client mends this by itself and only reports it: it goes on connecting to a broker that is away.
fn passes(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut};
    let code = error.rdkafka_error_code();
    matches!(code, Some(AllBrokersDown | BrokerTransportFailure | OperationTimedOut))
}
