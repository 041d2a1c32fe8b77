//! One assigned partition: what waits for its batch, what is in flight, how far it may be committed.

use std::collections::VecDeque;

use tokio::task::AbortHandle;

use crate::record::Record;

/// A partition that this member holds.
#[derive(Debug, Default)]
pub struct Partition {
    waiting: VecDeque<Record>,
    waiting_bytes: usize,
    /// The batch that is being worked, if any: one at a time, so that what is done is always a contiguous prefix.
    pub in_flight: Option<InFlight>,
    /// The next offset, below which everything is done; `None` until the first batch is.
    pub frontier: Option<i64>,
    /// The frontier that Kafka was last told.
    pub committed: Option<i64>,
    /// Whether the client has been asked to fetch nothing more.
    pub fetch_paused: bool,
    /// Whether it is to be handed back as soon as nothing is in flight.
    pub revoked: bool,
}

/// A batch that is being worked.
#[derive(Debug)]
pub struct InFlight {
    /// Which batch it is: the end of another, of an assignment before this one, must not count as its end.
    pub batch: u64,
    /// Ends the work at once.
    pub abort: AbortHandle,
    /// Bytes that it holds.
    pub bytes: usize,
    /// Records that it holds.
    pub records: usize,
}

impl Partition {
    /// Takes a record in.
    pub fn push(&mut self, record: Record) {
        self.waiting_bytes += record.bytes();
        self.waiting.push_back(record);
    }

    /// How many records wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many bytes wait.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Whether a batch can be taken.
    pub fn has_batch(&self) -> bool {
        !self.revoked && self.in_flight.is_none() && !self.waiting.is_empty()
    }

    /// The next batch: as large as the backlog makes it, within the bounds; a single larger record goes alone.
    pub fn take_batch(&mut self, most_records: usize, most_bytes: usize) -> (Vec<Record>, usize) {
        let mut bytes = 0;
        let mut count = 0;
        for record in self.waiting.iter().take(most_records) {
            let with = bytes + record.bytes();
            if count > 0 && with > most_bytes {
                break;
            }
            bytes = with;
            count += 1;
        }
        self.waiting_bytes -= bytes;
        (self.waiting.drain(..count).collect(), bytes)
    }

    /// Drops what waits: it will be read again, here or elsewhere.
    pub fn drop_waiting(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    /// The frontier, where Kafka does not know it yet.
    pub fn to_commit(&self) -> Option<i64> {
        self.frontier.filter(|_| self.frontier != self.committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, bytes: usize) -> Record {
        Record {
            topic: "t".into(),
            partition: 0,
            offset,
            time: chrono::DateTime::default(),
            key: None,
            value: Some(vec![0; bytes]),
            headers: Vec::new(),
        }
    }

    #[test]
    fn a_batch_is_as_large_as_the_bounds_allow_and_never_empty() {
        let mut partition = Partition::default();
        (0..5).for_each(|offset| partition.push(record(offset, 1000)));
        let (batch, bytes) = partition.take_batch(3, usize::MAX);
        assert_eq!(batch.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(bytes, batch.iter().map(Record::bytes).sum::<usize>());
        assert_eq!(partition.take_batch(3, 1).0.len(), 1);
        partition.take_batch(3, usize::MAX);
        assert_eq!((partition.waiting(), partition.waiting_bytes()), (0, 0));
    }
}
