//! A commit from outside the group.

use std::sync::mpsc::channel;
use std::thread;

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::{BrokerError, Deadline, outsider};
use crate::config::KafkaConfig;

/// Commits by a client that lives for this alone: one that was refused thinks that it has lost its membership, and
/// one whose commit was not answered must not send it at some later time.
pub fn commit(config: &KafkaConfig, what: (i32, i64, &str), deadline: Deadline) -> Result<(), BrokerError> {
    let list = commit_of(&config.source_topic, what)?;
    let client: BaseConsumer = outsider(config)
        // For so long the client keeps back a commit for which it has no coordinator, and waits for an answer.
        .set("session.timeout.ms", "3000")
        .set("heartbeat.interval.ms", "1000")
        .set("socket.timeout.ms", "3000")
        .create()?;
    let (tell, answer) = channel();
    // The client answers an asynchronous commit to nobody, and a synchronous one when it pleases: on a thread of its
    // own, which goes on for some seconds at the most when nobody waits any more.
    let thread = thread::Builder::new().name("commit".to_owned()).spawn(move || {
        let committed = deadline.wait_for_coordinator(|_| client.commit(&list, CommitMode::Sync));
        let _ = tell.send(committed);
    });
    thread.map_err(|error| BrokerError::Fallen(error.to_string()))?;
    let Ok(answer) = answer.recv_timeout(deadline.left()) else { return Err(BrokerError::TimedOut) };
    answer.map_err(|error| match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownMemberId) => BrokerError::GroupHasMembers(config.group.clone()),
        _ => BrokerError::Unanswered(error),
    })
}

/// A list of one partition with what is to be committed for it.
fn commit_of(topic: &str, (partition, offset, metadata): (i32, i64, &str)) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(topic, partition);
    element.set_offset(Offset::Offset(offset))?;
    element.set_metadata(metadata);
    Ok(list)
}
