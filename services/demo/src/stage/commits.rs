//! Every offset that a layer's group has ever committed, read from the topic in which the broker keeps them: nothing that
//! happened between two questions is missed.

use super::Stage;
use crate::Error;
use crate::kafka::{Record, read_topic};

/// Where the broker keeps what groups commit, while it is young enough not to have been compacted.
const TOPIC: &str = "__consumer_offsets";

/// A commit that the broker has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The partition.
    pub partition: i32,
    /// The offset of the next record.
    pub offset: i64,
    /// What was committed with it.
    pub mark: String,
}

impl Stage {
    /// What the layer's group has committed for its topic, in the order in which the broker took it.
    pub async fn commits(&self, layer: &str) -> Result<Vec<Commit>, Error> {
        let (cluster, group, topic) = (self.cluster.clone(), self.group(layer), self.source_topic(layer));
        let read = tokio::task::spawn_blocking(move || {
            let mut commits = Vec::new();
            read_topic(&cluster, TOPIC, |record| commits.extend(commit(record, &group, &topic)))?;
            Ok(commits)
        });
        read.await?
    }
}

/// The record as a commit of the group for the topic, where it is one.
fn commit(record: Record<'_>, group: &str, topic: &str) -> Option<Commit> {
    let (mut key, mut value) = (Bytes(record.key?), Bytes(record.payload?));
    // Other kinds of keys tell of the group's members.
    let is_ours = key.number::<2>()? <= 1 && key.text()? == group && key.text()? == topic;
    let partition = i32::try_from(key.number::<4>()?).ok().filter(|_| is_ours)?;
    let version = value.number::<2>()?;
    let offset = value.number::<8>()?;
    if version >= 3 {
        // The leader's epoch.
        value.number::<4>()?;
    }
    let mark = if version >= 4 { value.compact_text() } else { value.text() };
    Some(Commit { partition, offset, mark: mark?.to_owned() })
}

/// What is left of a record to be read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// A signed number of so many bytes, the most significant first.
    fn number<const LENGTH: usize>(&mut self) -> Option<i64> {
        let (number, rest) = self.0.split_first_chunk::<LENGTH>()?;
        self.0 = rest;
        let negative = number[0] >> 7 == 1;
        Some(number.iter().fold(if negative { -1 } else { 0 }, |value, byte| value << 8 | i64::from(*byte)))
    }

    /// A text behind its length.
    fn text(&mut self) -> Option<&'a str> {
        let length = self.number::<2>()?;
        self.text_of(length)
    }

    /// A text behind its length and one, of fewer than 127 bytes.
    fn compact_text(&mut self) -> Option<&'a str> {
        let length = self.number::<1>()? - 1;
        self.text_of(length)
    }

    fn text_of(&mut self, length: i64) -> Option<&'a str> {
        let (text, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}
