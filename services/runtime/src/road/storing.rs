//! The transaction of a batch, and what becomes of a batch that PostgreSQL refuses.

use std::time::Duration;

use super::{Origin, Road};
use crate::applied_offsets;
use crate::backoff::Backoff;
use crate::database::{self, ATTEMPT};
use crate::dead_letter::{self, DeadLetter, Status};
use crate::fault::{Dependency, Fault, Outage, RecordFault, StoreError};
use crate::processor::Processor;
use crate::record::Record;

/// The longest that a single record may take: a dish that millions have ordered is renamed in less.
const LONGEST_ATTEMPT: Duration = Duration::from_mins(16);

impl<P: Processor> Road<P> {
    /// Commits rows, dead letters and applied offsets.
    pub(super) async fn store<'r>(
        &self,
        records: &'r [Record],
        facts: &[P::Fact],
        sources: &[&'r Record],
        letters: &mut Vec<DeadLetter<'r>>,
        origin: Origin,
        watcher: &str,
    ) {
        let all: Vec<&P::Fact> = facts.iter().collect();
        let mut to_apply = if origin == Origin::Stored { &[] } else { all.as_slice() };
        let mut backoff = Backoff::for_outages();
        loop {
            match self.attempt(self.prepared_transaction(records, to_apply, letters, origin)).await {
                Ok(()) => return self.well(Dependency::Postgres, watcher),
                Err(Fault::Outage(outage)) if to_apply.is_empty() || !outage.took_too_long() => {
                    self.wait_out(&outage, watcher, &mut backoff).await;
                }
                // What is refused now is the service's own account of the batch, and that is no record's fault.
                Err(Fault::Record(fault)) if to_apply.is_empty() => {
                    let outage = Outage::new(Dependency::Postgres, "bookkeeping", fault);
                    self.wait_out(&outage, watcher, &mut backoff).await;
                }
                Err(refused) => {
                    if let Fault::Outage(outage) = &refused {
                        self.wait_out(outage, watcher, &mut backoff).await;
                    }
                    // Some record is refused, or they are too many at once. The good ones are committed in smaller
                    // batches; what is left to write then are the dead letters and how far the partition is.
                    for (place, fault) in self.isolate(&all, watcher).await {
                        letters.retain(|letter| letter.record.offset != sources[place].offset);
                        letters.push(DeadLetter { record: sources[place], fault, status: Status::Open });
                    }
                    to_apply = &[];
                }
            }
        }
    }

    async fn prepared_transaction(
        &self,
        records: &[Record],
        facts: &[&P::Fact],
        letters: &[DeadLetter<'_>],
        origin: Origin,
    ) -> Result<(), StoreError> {
        if !facts.is_empty() {
            self.processor.prepare(&self.database.pool(), facts).await?;
        }
        self.transaction(records, facts, letters, origin).await
    }

    async fn transaction(
        &self,
        records: &[Record],
        facts: &[&P::Fact],
        letters: &[DeadLetter<'_>],
        origin: Origin,
    ) -> Result<(), StoreError> {
        let Some(last) = records.last() else { return Ok(()) };
        let mut tx = self.database.pool().begin().await?;
        // The rows come last but for one: locks that others may wait for are held for the shortest time.
        dead_letter::store(&mut tx, self.layer, letters).await?;
        if !facts.is_empty() {
            self.processor.apply(&mut tx, facts).await?;
        }
        if origin == Origin::Partition {
            let newest = records.iter().map(Record::source_time).max().unwrap_or(last.time);
            applied_offsets::advance(&mut tx, self.layer, last, newest).await?;
        }
        tx.commit().await.map_err(StoreError::from)
    }

    /// Halves the batch until each refused record stands alone and the server can do each part in its time; every other
    /// record is committed on the way, in its order.
    async fn isolate(&self, facts: &[&P::Fact], watcher: &str) -> Vec<(usize, RecordFault)> {
        let mut refused = Vec::new();
        let mut backoff = Backoff::for_outages();
        let mut patience = ATTEMPT;
        let mut halves: Vec<_> = std::iter::once(0..facts.len()).collect();
        while let Some(half) = halves.pop() {
            let rows = self.rows_alone(&facts[half.clone()], patience);
            let fault = match self.database.attempt_within(patience, rows).await {
                Ok(()) => {
                    (patience, backoff) = (ATTEMPT, Backoff::for_outages());
                    continue;
                }
                Err(fault) => fault,
            };
            if let Fault::Outage(outage) = &fault {
                self.wait_out(outage, watcher, &mut backoff).await;
            }
            match fault {
                Fault::Outage(outage) if !outage.took_too_long() => halves.push(half),
                Fault::Outage(_) if half.len() == 1 => {
                    patience = (patience * 2).min(LONGEST_ATTEMPT);
                    halves.push(half);
                }
                Fault::Record(fault) if half.len() == 1 => refused.push((half.start, fault)),
                Fault::Outage(_) | Fault::Record(_) => {
                    let middle = half.start + half.len() / 2;
                    halves.push(middle..half.end);
                    halves.push(half.start..middle);
                }
            }
        }
        refused
    }

    async fn rows_alone(&self, facts: &[&P::Fact], patience: Duration) -> Result<(), StoreError> {
        self.processor.prepare(&self.database.pool(), facts).await?;
        let mut tx = self.database.pool().begin().await?;
        database::granted(&mut tx, patience).await?;
        self.processor.apply(&mut tx, facts).await?;
        tx.commit().await.map_err(StoreError::from)
    }
}
