//! A batch's way, the same in every layer: decode, enrich, one transaction, publish. What happens to offsets after
//! it is the consumer's affair.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;

mod storing;
mod patience;
mod flight;

pub use flight::{Flight, Flights};

use crate::backoff::Backoff;
use crate::breaker::Breaker;
use crate::database::Database;
use crate::dead_letter::{self, DeadLetter, Place, Status, Unresolved};
use crate::fault::{Dependency, Fault, Outage, StoreError};
use crate::health::Health;
use crate::metrics::{Metrics, Outcome, Stage};
use crate::processor::{Decoded, Processor};
use crate::publisher::{Outgoing, Publisher};
use crate::record::Record;
use crate::traces::{Journey, Traces};

/// Messages that are made and sent before the next ones are.
const MESSAGES_AT_ONCE: usize = 500;

/// Everything that a batch meets on its way.
pub struct Road<P> {
    /// The layer's name, as in `ops`.
    pub layer: &'static str,
    /// What the layer makes of a batch.
    pub processor: P,
    /// The warehouse.
    pub database: Database,
    /// The way onward; `None` in the last layer.
    pub publisher: Option<Publisher>,
    /// Where retries are made known.
    pub health: Arc<Health>,
    /// Where all is counted.
    pub metrics: Arc<Metrics>,
    /// Pauses the layer when the records go wrong.
    pub breaker: Arc<Breaker>,
    /// How many batches are on the road.
    pub flights: Flights,
    /// Follows records through the layers, where that is asked for.
    pub traces: Traces,
}

/// Where a batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A run of a partition's records, in their order: its end is noted as applied.
    Partition,
    /// Dead letters tried again: they say nothing of how far a partition is applied, nor of how the producer does.
    Replay,
    /// Rows that the layer has, sent onward again: likewise, and nothing is to be written.
    Stored,
}

/// A batch whose records are judged: `facts` and `sources` stand side by side, in the records' order.
struct Judged<'r, Fact> {
    facts: Vec<Fact>,
    sources: Vec<&'r Record>,
    letters: Vec<DeadLetter<'r>>,
}

impl<P: Processor> Road<P> {
    /// Takes a batch to its end, however long the surroundings make it wait; returns how many of its records ended as
    /// dead letters. Dropping the future gives the batch up: all that it did may be done again.
    pub async fn travel(&self, records: &[Record], origin: Origin, watcher: &str) -> usize {
        self.metrics.batch_records.observe(crate::metrics::as_f64(records.len()));
        let journey = self.traces.set_out(records);
        let began = Instant::now();
        let unresolved = self.until_done(watcher, || self.attempt_unresolved(records, origin)).await;

        let started = Instant::now();
        let Judged { mut facts, sources, mut letters } = self.judge(records, &unresolved);
        self.passed(&journey, Stage::Decode, started);

        let started = Instant::now();
        self.enrich(&mut facts, watcher).await;
        for (&record, fact) in sources.iter().zip(&facts) {
            if let Some(fault) = self.processor.lacking(fact) {
                letters.push(DeadLetter { record, fault, status: Status::Waiting });
            }
        }
        self.passed(&journey, Stage::Enrich, started);

        let started = Instant::now();
        self.store(records, &facts, &sources, &mut letters, origin, watcher).await;
        self.passed(&journey, Stage::Database, started);

        let started = Instant::now();
        let failed = offsets(&letters);
        let good = sources.iter().copied().zip(&facts).filter(|(record, _)| !failed.contains(&record.offset));
        letters.extend(self.publish(&good.collect::<Vec<_>>(), &journey, watcher).await);
        self.passed(&journey, Stage::Publish, started);

        let failed = offsets(&letters);
        let processed = sources.into_iter().filter(|record| !failed.contains(&record.offset)).collect::<Vec<_>>();
        let resolved: Vec<&Record> = processed
            .iter()
            .copied()
            .filter(|record| origin != Origin::Partition || unresolved.contains_key(&place(record)))
            .collect();
        if !resolved.is_empty() {
            self.until_done(watcher, || self.attempt_resolve(&resolved)).await;
        }
        self.count(&processed, &letters);
        if origin == Origin::Partition {
            self.time(records);
        }
        for letter in &letters {
            journey.failed(letter.record, &letter.fault);
        }
        if origin == Origin::Partition {
            let open = letters.iter().filter(|letter| letter.status == Status::Open);
            let codes: Vec<&str> = open.map(|letter| letter.fault.code.as_str()).collect();
            self.breaker.note(records.len(), codes.into_iter());
        }
        tracing::debug!(
            batch = watcher,
            records = records.len(),
            first = records.first().map(|record| record.offset),
            dead_letters = letters.len(),
            seconds = began.elapsed().as_secs_f64(),
            "done"
        );
        letters.len()
    }

    fn passed(&self, journey: &Journey<'_>, stage: Stage, began: Instant) {
        self.metrics.took(stage, began);
        journey.passed(stage, began);
    }

    fn judge<'r>(&self, records: &'r [Record], unresolved: &Unresolved) -> Judged<'r, P::Fact> {
        let mut judged = Judged {
            facts: Vec::with_capacity(records.len()),
            sources: Vec::with_capacity(records.len()),
            letters: Vec::new(),
        };
        for record in records {
            if unresolved.get(&place(record)) == Some(&true) {
                self.metrics.count(record.partition, Outcome::SkippedDiscarded, 1);
                continue;
            }
            match self.processor.decode(record) {
                Decoded::Fact(fact) => {
                    judged.facts.push(fact);
                    judged.sources.push(record);
                }
                Decoded::Reject(fault) => judged.letters.push(DeadLetter { record, fault, status: Status::Open }),
                Decoded::Skip(why) => self.metrics.count(record.partition, why.outcome(), 1),
            }
        }
        judged
    }

    async fn enrich(&self, facts: &mut [P::Fact], watcher: &str) {
        let mut backoff = Backoff::for_outages();
        let mut culprit = None;
        while let Err(outage) = self.processor.enrich(facts).await {
            culprit = Some(outage.dependency);
            self.wait_out(&outage, watcher, &mut backoff).await;
        }
        if let Some(culprit) = culprit {
            self.well(culprit, watcher);
        }
    }

    /// Sends onward; what the broker will never take becomes a dead letter, which is stored when this returns.
    async fn publish<'r>(
        &self,
        good: &[(&'r Record, &P::Fact)],
        journey: &Journey<'_>,
        watcher: &str,
    ) -> Vec<DeadLetter<'r>> {
        let Some(publisher) = &self.publisher else { return Vec::new() };
        let mut letters = Vec::new();
        // In portions, so that the messages of a large batch are not in memory all at once.
        for portion in good.chunks(MESSAGES_AT_ONCE) {
            let outgoing = |(source, fact): &(&'r Record, &P::Fact)| {
                let message = self.processor.onward(fact)?;
                Some(Outgoing { source, message, traceparent: journey.traceparent(source) })
            };
            let messages: Vec<Outgoing<'r>> = portion.iter().filter_map(outgoing).collect();
            let refused = self.until_done(watcher, || publisher.publish(&messages)).await;
            letters.extend(refused.into_iter().map(|(place, fault)| DeadLetter {
                record: messages[place].source,
                fault,
                status: Status::Open,
            }));
        }
        if !letters.is_empty() {
            self.until_done(watcher, || self.attempt_letters(&letters)).await;
        }
        letters
    }

    async fn attempt_letters(&self, letters: &[DeadLetter<'_>]) -> Result<(), Outage> {
        let stored = async {
            let mut tx = self.database.pool().begin().await?;
            dead_letter::store(&mut tx, self.layer, letters).await?;
            tx.commit().await.map_err(StoreError::from)
        };
        self.attempt(stored).await.map_err(as_outage)
    }

    async fn attempt_unresolved(&self, records: &[Record], origin: Origin) -> Result<Unresolved, Outage> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(Unresolved::new()) };
        let pool = self.database.pool();
        let found = async {
            Ok(match origin {
                Origin::Partition => dead_letter::unresolved(&pool, self.layer, first, last).await?,
                // All that is resolved by these is taken for unresolved. They lie far apart, and may have been given up
                // since they were read; of stored orders nobody has asked before.
                Origin::Replay | Origin::Stored => dead_letter::given_up(&pool, self.layer, records).await?,
            })
        };
        self.attempt(found).await.map_err(as_outage)
    }

    async fn attempt_resolve(&self, records: &[&Record]) -> Result<(), Outage> {
        let pool = self.database.pool();
        let resolved = async { dead_letter::resolve(&pool, self.layer, records).await.map_err(StoreError::from) };
        self.attempt(resolved).await.map_err(as_outage)
    }

    fn count(&self, processed: &[&Record], letters: &[DeadLetter<'_>]) {
        for letter in letters {
            let outcome = match letter.status {
                Status::Open => Outcome::DeadLetter,
                Status::Waiting => Outcome::Waiting,
            };
            self.metrics.count(letter.record.partition, outcome, 1);
        }
        // A batch is of one partition.
        if let Some(first) = processed.first() {
            self.metrics.count(first.partition, Outcome::Processed, processed.len());
        }
    }

    fn time(&self, records: &[Record]) {
        let now = Utc::now();
        for record in records {
            let seconds = (now - record.source_time()).as_seconds_f64();
            self.metrics.end_to_end_seconds.observe(seconds.max(0.0));
        }
    }
}

fn offsets(letters: &[DeadLetter<'_>]) -> BTreeSet<i64> {
    letters.iter().map(|letter| letter.record.offset).collect()
}

fn place(record: &Record) -> Place {
    (record.offset, record.time)
}

/// Writing the service's own account of a record cannot be the record's fault.
fn as_outage(fault: Fault) -> Outage {
    match fault {
        Fault::Outage(outage) => outage,
        Fault::Record(fault) => Outage::new(Dependency::Postgres, "bookkeeping", fault),
    }
}
