//! Where a partition stands for the group.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::broker::{Broker, BrokerError, ByPartition, Watermarks};

/// Where a partition stands for the group. `low` is not beyond `high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The offset that the group has committed, if any.
    pub committed: Option<i64>,
    /// The offset of the first record that the broker still has.
    pub low: i64,
    /// One past the last record that may be read.
    pub high: i64,
    /// The first offset at or after the time that was asked for; `None` where there is none, or no time was asked for.
    pub first_at: Option<i64>,
}

impl Standing {
    /// Asked from the broker, for each of the partitions, with the first offset at or after a time where one is given.
    pub fn ask(
        broker: &Broker,
        partitions: &[i32],
        time: Option<DateTime<Utc>>,
    ) -> Result<ByPartition<Self>, BrokerError> {
        // The ends come last, so that nothing that was found before lies beyond them only because records came in.
        let mut committed = broker.committed(partitions)?;
        let mut first_at =
            time.map_or_else(|| Ok(BTreeMap::new()), |time| broker.first_offsets_at(partitions, time))?;
        let mut standing = |id: i32, ends: Result<Watermarks, BrokerError>| {
            let Watermarks { low, high } = ends?;
            let committed = committed.remove(&id).transpose()?.map(|committed| committed.offset);
            Ok(Self { committed, low, high, first_at: first_at.remove(&id).transpose()? })
        };
        let ends = broker.watermarks(partitions)?;
        Ok(ends.into_iter().map(|(id, ends)| (id, standing(id, ends))).collect())
    }

    /// The offset at which a member would go on: without a commit, or with one that the broker has no records for, it
    /// begins with the first record that is there.
    #[must_use]
    pub fn next(&self) -> i64 {
        self.committed.filter(|offset| (self.low..=self.high).contains(offset)).unwrap_or(self.low)
    }

    /// How many offsets lie between where a member would go on and the end.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.high - self.next()
    }
}
