//! The first record at or after an offset, of many partitions at once.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;

use super::{BrokerError, Deadline, end, outsider};
use crate::config::KafkaConfig;
use crate::consumer::list_of;
use crate::record;

/// What a partition has at or after an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// A record that entered Kafka then; `None` where it bears no time.
    Record(Option<DateTime<Utc>>),
    /// No record before its end. The offsets up to there are those of transactions' marks and of what was taken back.
    Nothing,
}

impl First {
    /// When the record entered Kafka, as far as there is one and it bears a time.
    #[must_use]
    pub fn time(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Record(time) => time,
            Self::Nothing => None,
        }
    }
}

/// Reads one record of each partition, or its end: what lies between may be gone, or be the mark of a transaction.
pub fn read(
    config: &KafkaConfig,
    offsets: &BTreeMap<i32, i64>,
    deadline: Deadline,
) -> Result<BTreeMap<i32, First>, BrokerError> {
    let client: BaseConsumer = outsider(config)
        .set("enable.partition.eof", "true")
        // Where the offset is below the partition's begin, the first record is the one meant.
        .set("auto.offset.reset", "earliest")
        // One record is wanted: of a partition the broker sends little more than the batch in which it lies.
        .set("queued.min.messages", "1")
        .set("fetch.message.max.bytes", "65536")
        // Where that batch holds nothing that may be read, the next one is asked for at once.
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.wait.max.ms", "50")
        .create()?;
    client.assign(&list_of(&config.source_topic, offsets.iter().map(|(id, offset)| (*id, Some(*offset)))))?;
    let mut open = offsets.clone();
    let mut firsts = BTreeMap::new();
    while !open.is_empty() && deadline.left() > Duration::ZERO {
        match client.poll(deadline.left()) {
            Some(Ok(message)) => {
                let Some(asked) = open.remove(&message.partition()) else { continue };
                // Beyond the partition's end the client begins anew, far before what was asked for.
                if message.offset() >= asked {
                    firsts.insert(message.partition(), First::Record(record::entered(&message)));
                }
                // The others have the connection to themselves; without it they only have less of it.
                let _ = client.pause(&list_of(&config.source_topic, [(message.partition(), None)]));
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                if open.remove(&partition).is_some() {
                    firsts.insert(partition, First::Nothing);
                }
            }
            // The client mends what it can by itself, until the time is over.
            Some(Err(_)) | None => {}
        }
    }
    end(client);
    Ok(firsts)
}
