//! What is asked of the broker about the layer's topic and group, beside the consumer loop.
//!
//! The client here never joins the group: its answers are right also while the layer is paused, and for partitions
//! that no member owns.
//!
//! No client is trusted for ever. A broker that is just coming or going may say for a moment that there are no brokers at
//! all. The client then forgets those it knew and is to begin again with the addresses it was given; but where the two
//! happen in an unlucky order (librdkafka's issue 5301) it does not, has nobody left to ask, says nothing and stays so.
//! Only its silence tells. The client here is therefore replaced where it has had no answer for long, the publisher's
//! where its messages time out, and the consumer's where it gets no answer and this one does.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use tokio::sync::{Semaphore, SemaphorePermit};

mod asking;
mod deadline;
mod empty_group;
mod first_records;
mod leaders;

use asking::Asking;
use deadline::Deadline;
pub use first_records::First;

use crate::config::KafkaConfig;
use crate::consumer::list_of;

/// So many of those who ask are answered at once.
const AT_ONCE: usize = 4;
/// For how long the others wait for their turn.
const TURN_WITHIN: Duration = Duration::from_secs(12);

/// Why a question has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BrokerError {
    /// The topic is not there, or has no partitions yet.
    #[error("the topic {0} is not there")]
    NoTopic(String),
    /// The partition has no leader at this moment, or the topic has no such partition.
    #[error("partition {0} has no leader")]
    NoLeader(i32),
    /// A commit from outside the group is refused while the group has members: only they may commit.
    #[error("the group {0} has members, and takes offsets from nobody else")]
    GroupHasMembers(String),
    /// The broker, or the client on its behalf, said no or nothing.
    #[error("{0}")]
    Unanswered(#[from] KafkaError),
    /// No answer came within 3 s.
    #[error("no answer within 3 s")]
    TimedOut,
    /// Too many were asking at the same time.
    #[error("too many ask at the same time")]
    Busy,
    /// The thread that asked has fallen, or was ended with the program.
    #[error("the question came to no end: {0}")]
    Fallen(String),
}

/// An offset that the group has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset of the next record.
    pub offset: i64,
    /// What was committed with it; empty where nothing was, or where it is no text.
    pub metadata: String,
}

/// Where a partition begins and ends for the layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// The offset of the first record that the broker still has.
    pub low: i64,
    /// One past the last record that may be read: an open transaction is not past its begin.
    pub high: i64,
}

/// What each of several partitions has for an answer, or why it has none.
pub type ByPartition<T> = BTreeMap<i32, Result<T, BrokerError>>;

/// A client for questions about the group and its source topic. Every question blocks for 3 s at the most;
/// [`Broker::ask`] asks from asynchronous code.
pub struct Broker {
    config: KafkaConfig,
    asking: Asking,
    turns: Semaphore,
}

impl Broker {
    /// A client of its own; no connection is waited for.
    pub fn new(config: &KafkaConfig) -> Result<Self, BrokerError> {
        Ok(Self { asking: Asking::new(config)?, config: config.clone(), turns: Semaphore::new(AT_ONCE) })
    }

    /// The topic that the questions are about.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.config.source_topic
    }

    /// The group that they are about.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.config.group
    }

    /// Waits for the turn of somebody who has several questions, some of which take a client of their own: few are
    /// answered at once, and the others wait, but not for ever. It lasts until it is dropped.
    pub async fn turn(&self) -> Result<SemaphorePermit<'_>, BrokerError> {
        match tokio::time::timeout(TURN_WITHIN, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // They are never closed.
            Ok(Err(_)) | Err(_) => Err(BrokerError::Busy),
        }
    }

    /// Asks on a thread that may block.
    pub async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Self) -> Result<T, BrokerError> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let broker = Arc::clone(self);
        let asked = tokio::task::spawn_blocking(move || question(&broker)).await;
        asked.unwrap_or_else(|fallen| Err(BrokerError::Fallen(fallen.to_string())))
    }

    /// The partitions of the source topic.
    pub fn partitions(&self) -> Result<Vec<i32>, BrokerError> {
        self.partitions_of(self.topic())
    }

    /// The partitions of a topic.
    pub fn partitions_of(&self, topic: &str) -> Result<Vec<i32>, BrokerError> {
        let metadata = self.asking.ask(|client| client.fetch_metadata(Some(topic), Deadline::begun().left()))?;
        let found = metadata.topics().first().filter(|found| found.error().is_none() && !found.partitions().is_empty());
        let found = found.ok_or_else(|| BrokerError::NoTopic(topic.to_owned()))?;
        let mut partitions: Vec<i32> =
            found.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect();
        partitions.sort_unstable();
        Ok(partitions)
    }

    /// What the group has committed, for those of the partitions that have a commit.
    pub fn committed(&self, partitions: &[i32]) -> Result<ByPartition<Committed>, BrokerError> {
        let deadline = Deadline::begun();
        let list = list_of(self.topic(), partitions.iter().map(|id| (*id, None)));
        let ask =
            |client: &BaseConsumer| deadline.wait_for_coordinator(|left| client.committed_offsets(list.clone(), left));
        let list = self.asking.ask(ask)?;
        let mut committed = BTreeMap::new();
        for element in list.elements() {
            let answer = match (element.error(), element.offset()) {
                (Err(error), _) => Err(error.into()),
                (Ok(()), Offset::Offset(offset)) => Ok(Committed { offset, metadata: metadata_of(&element) }),
                (Ok(()), _) => continue,
            };
            committed.insert(element.partition(), answer);
        }
        Ok(committed)
    }

    /// Where the partitions begin and end, asked from their leaders at this moment. A commit that was known before is
    /// never beyond the end, but where the broker has lost records.
    pub fn watermarks(&self, partitions: &[i32]) -> Result<ByPartition<Watermarks>, BrokerError> {
        let deadline = Deadline::begun();
        self.ask_leaders(partitions, deadline, |led| {
            let mut lows = self.list_offsets(led, Offset::Beginning, deadline)?;
            let highs = self.list_offsets(led, Offset::End, deadline)?;
            let mut watermarks = |id: i32, high: Result<i64, BrokerError>| {
                let high = high?;
                let low = lows.remove(&id).transpose()?.unwrap_or(high);
                Ok(Watermarks { low, high: high.max(low) })
            };
            Ok(highs.into_iter().map(|(id, high)| (id, watermarks(id, high))).collect())
        })
    }

    /// The first offset at or after a time, for those of the partitions that have one.
    pub fn first_offsets_at(&self, partitions: &[i32], time: DateTime<Utc>) -> Result<ByPartition<i64>, BrokerError> {
        // Kafka counts in milliseconds, and what is less than one lies before the next. Below 0 are no times: the
        // protocol gives those numbers meanings of their own, the end of the partition among them.
        let begun = i64::from(!time.timestamp_subsec_nanos().is_multiple_of(1_000_000));
        let millis = time.timestamp_millis().saturating_add(begun).max(0);
        let deadline = Deadline::begun();
        self.ask_leaders(partitions, deadline, |led| self.list_offsets(led, Offset::Offset(millis), deadline))
    }

    /// The first record at or after an offset, for those of the partitions of which that could be had in time.
    pub fn first_records(&self, offsets: &BTreeMap<i32, i64>) -> Result<BTreeMap<i32, First>, BrokerError> {
        if offsets.is_empty() {
            return Ok(BTreeMap::new());
        }
        first_records::read(&self.config, offsets, Deadline::begun())
    }

    /// Commits without being a member, which the broker takes only while the group has none: else
    /// [`BrokerError::GroupHasMembers`]. After [`BrokerError::TimedOut`] it may still be taken, within some seconds.
    pub fn commit_for_empty_group(&self, partition: i32, offset: i64, metadata: &str) -> Result<(), BrokerError> {
        empty_group::commit(&self.config, (partition, offset, metadata), Deadline::begun())
    }
}

/// The settings of a client that belongs to no group, whatever it asks about one.
fn outsider(config: &KafkaConfig) -> rdkafka::ClientConfig {
    let mut client = config.client();
    client.set("group.id", &config.group).set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    client
}

/// Other programs may commit for the group too, and the binding panics on metadata that is no text.
pub(crate) fn metadata_of(element: &TopicPartitionListElem<'_>) -> String {
    catch_unwind(AssertUnwindSafe(|| element.metadata().to_owned())).unwrap_or_default()
}

/// Ends a short-lived client aside: its end may wait for the broker, and whoever asked does not.
fn end<C: Send + 'static>(client: C) {
    // Where no thread can be had, the client ends here.
    drop(std::thread::Builder::new().name("kafka client's end".to_owned()).spawn(move || drop(client)));
}
