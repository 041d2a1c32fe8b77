//! A batch's way, the same in every layer: decode, enrich, one transaction, publish. What happens to offsets after
//! it is the consumer's affair.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use crate::applied_offsets;
use crate::backoff::Backoff;
use crate::database::Database;
use crate::dead_letter::{self, DeadLetter, Status};
use crate::fault::{self, Dependency, Fault, Outage, RecordFault, StoreError};
use crate::health::Health;
use crate::metrics::{Metrics, Stage};
use crate::processor::{Decoded, Onward, Processor};
use crate::publisher::{Outgoing, Publisher};
use crate::record::Record;

/// An attempt that takes longer than this hangs on a connection that leads nowhere.
const ATTEMPT: Duration = Duration::from_mins(1);

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
}

/// Where a batch comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A run of a partition's records, in their order: its end is noted as applied.
    Partition,
    /// Dead letters tried again: they say nothing of how far a partition is applied.
    DeadLetters,
}

struct Good<'r, Fact> {
    record: &'r Record,
    fact: Fact,
}

struct Judged<'r, Fact> {
    good: Vec<Good<'r, Fact>>,
    letters: Vec<DeadLetter<'r>>,
}

impl<P: Processor> Road<P> {
    /// Takes a batch to its end, however long the surroundings make it wait. Dropping the future gives the batch up:
    /// all that it did may be done again.
    pub async fn travel(&self, records: &[Record], origin: Origin, watcher: &str) {
        self.metrics.batch_records.observe(crate::metrics::as_f64(records.len()));
        let started = Instant::now();
        let Judged { mut good, mut letters } = self.judge(records);
        self.metrics.took(Stage::Decode, started);

        let started = Instant::now();
        let mut facts: Vec<P::Fact> = Vec::with_capacity(good.len());
        let sources: Vec<&Record> = good.iter().map(|good| good.record).collect();
        facts.extend(good.drain(..).map(|good| good.fact));
        let mut backoff = Backoff::for_outages();
        let mut culprit = None;
        while let Err(outage) = self.processor.enrich(&mut facts).await {
            culprit = Some(outage.dependency);
            self.wait_out(&outage, watcher, &mut backoff).await;
        }
        if let Some(culprit) = culprit {
            self.well(culprit, watcher);
        }
        let mut onward: Vec<Onward> = facts.iter().map(|fact| self.processor.onward(fact)).collect();
        for (record, onward) in sources.iter().zip(&onward) {
            if let Onward::Wait(fault) = onward {
                letters.push(DeadLetter { record, fault: fault.clone(), status: Status::Waiting });
            }
        }
        self.metrics.took(Stage::Enrich, started);

        let started = Instant::now();
        let unresolved = self.store(records, &facts, &sources, &mut letters, origin, watcher).await;
        drop(facts);
        self.metrics.took(Stage::Database, started);

        let started = Instant::now();
        let refused: Vec<i64> = letters.iter().map(|letter| letter.record.offset).collect();
        let messages: Vec<Outgoing<'_>> = sources
            .iter()
            .zip(onward.drain(..))
            .filter(|(record, _)| !refused.contains(&record.offset))
            .filter_map(|(source, onward)| match onward {
                Onward::Publish { key, payload } => Some(Outgoing { source, key, payload }),
                Onward::Wait(_) | Onward::Nothing => None,
            })
            .collect();
        let too_large = self.publish(&messages, watcher).await;
        if !too_large.is_empty() {
            let late = too_large.into_iter().map(|(place, fault)| DeadLetter {
                record: messages[place].source,
                fault,
                status: Status::Open,
            });
            let late: Vec<DeadLetter<'_>> = late.collect();
            self.until_done(watcher, || self.attempt_letters(&late)).await;
            letters.extend(late);
        }
        self.metrics.took(Stage::Publish, started);

        let failed: Vec<i64> = letters.iter().map(|letter| letter.record.offset).collect();
        for record in sources {
            if unresolved.contains(&record.offset) && !failed.contains(&record.offset) {
                self.until_done(watcher, || self.attempt_resolve(record)).await;
            }
        }
        self.count(records, &letters);
    }

    fn judge<'r>(&self, records: &'r [Record]) -> Judged<'r, P::Fact> {
        let mut judged = Judged { good: Vec::with_capacity(records.len()), letters: Vec::new() };
        for record in records {
            match self.processor.decode(record) {
                Decoded::Fact(fact) => judged.good.push(Good { record, fact }),
                Decoded::Reject(fault) => judged.letters.push(DeadLetter { record, fault, status: Status::Open }),
                Decoded::Skip(skip) => {
                    self.metrics.records.with_label_values(&[&record.partition.to_string(), skip.outcome()]).inc();
                }
            }
        }
        judged
    }

    /// Commits rows, dead letters and applied offsets; returns the offsets that had an unresolved dead letter.
    async fn store<'r>(
        &self,
        records: &'r [Record],
        facts: &[P::Fact],
        sources: &[&'r Record],
        letters: &mut Vec<DeadLetter<'r>>,
        origin: Origin,
        watcher: &str,
    ) -> Vec<i64> {
        let all: Vec<&P::Fact> = facts.iter().collect();
        let mut to_apply = all.as_slice();
        let mut backoff = Backoff::for_outages();
        loop {
            match self.attempt(self.transaction(records, to_apply, letters, origin)).await {
                Ok(unresolved) => {
                    self.well(Dependency::Postgres, watcher);
                    return unresolved;
                }
                Err(Fault::Outage(outage)) => self.wait_out(&outage, watcher, &mut backoff).await,
                Err(Fault::Record(_)) => {
                    // Some record is refused. The good ones are committed on the way to it; what is left to write
                    // then are the dead letters and how far the partition is.
                    for (place, fault) in self.isolate(&all, watcher).await {
                        letters.retain(|letter| letter.record.offset != sources[place].offset);
                        letters.push(DeadLetter { record: sources[place], fault, status: Status::Open });
                    }
                    to_apply = &[];
                }
            }
        }
    }

    async fn transaction(
        &self,
        records: &[Record],
        facts: &[&P::Fact],
        letters: &[DeadLetter<'_>],
        origin: Origin,
    ) -> Result<Vec<i64>, StoreError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(Vec::new()) };
        let mut tx = self.database.pool().begin().await?;
        // The rows come last but for one: locks that others may wait for are held for the shortest time.
        let unresolved = match origin {
            Origin::Partition => dead_letter::unresolved(&mut tx, self.layer, first, last).await?,
            Origin::DeadLetters => records.iter().map(|record| record.offset).collect(),
        };
        dead_letter::store(&mut tx, self.layer, letters).await?;
        if !facts.is_empty() {
            self.processor.apply(&mut tx, facts).await?;
        }
        if origin == Origin::Partition {
            let newest = records.iter().map(|record| record.time).max().unwrap_or(last.time);
            applied_offsets::advance(&mut tx, self.layer, last, newest).await?;
        }
        tx.commit().await?;
        Ok(unresolved)
    }

    /// Halves the batch until each refused record stands alone; every other is committed on the way, in its order.
    async fn isolate(&self, facts: &[&P::Fact], watcher: &str) -> Vec<(usize, RecordFault)> {
        let mut refused = Vec::new();
        let mut backoff = Backoff::for_outages();
        let mut halves: Vec<_> = std::iter::once(0..facts.len()).collect();
        while let Some(half) = halves.pop() {
            match self.attempt(self.rows_alone(&facts[half.clone()])).await {
                Ok(()) => {}
                Err(Fault::Outage(outage)) => {
                    self.wait_out(&outage, watcher, &mut backoff).await;
                    halves.push(half);
                }
                Err(Fault::Record(fault)) if half.len() == 1 => refused.push((half.start, fault)),
                Err(Fault::Record(_)) => {
                    let middle = half.start + half.len() / 2;
                    halves.push(middle..half.end);
                    halves.push(half.start..middle);
                }
            }
        }
        refused
    }

    async fn rows_alone(&self, facts: &[&P::Fact]) -> Result<(), StoreError> {
        let mut tx = self.database.pool().begin().await?;
        self.processor.apply(&mut tx, facts).await?;
        tx.commit().await.map_err(StoreError::from)
    }

    async fn attempt<T>(&self, work: impl Future<Output = Result<T, StoreError>> + Send) -> Result<T, Fault> {
        let fault = match tokio::time::timeout(ATTEMPT, work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => Fault::from(error),
            Err(_) => Fault::Outage(Outage::new(Dependency::Postgres, "timeout", "no answer within a minute")),
        };
        // A server that became read-only, or that is going down, is left for the one that takes its place.
        if matches!(&fault, Fault::Outage(outage) if ["sqlstate_25", "sqlstate_57", "timeout"].contains(&outage.class.as_str()))
        {
            self.database.reconnect();
        }
        Err(fault)
    }

    async fn attempt_letters(&self, letters: &[DeadLetter<'_>]) -> Result<(), Outage> {
        let stored = async {
            let mut tx = self.database.pool().begin().await?;
            dead_letter::store(&mut tx, self.layer, letters).await?;
            tx.commit().await
        };
        stored.await.map_err(|error| as_outage(&error))
    }

    async fn attempt_resolve(&self, record: &Record) -> Result<(), Outage> {
        dead_letter::resolve(self.database.pool(), self.layer, record).await.map_err(|error| as_outage(&error))
    }

    async fn publish(&self, messages: &[Outgoing<'_>], watcher: &str) -> Vec<(usize, RecordFault)> {
        let Some(publisher) = self.publisher.as_ref().filter(|_| !messages.is_empty()) else { return Vec::new() };
        self.until_done(watcher, || publisher.publish(messages)).await
    }

    async fn until_done<T, W>(&self, watcher: &str, mut work: impl FnMut() -> W) -> T
    where
        W: Future<Output = Result<T, Outage>>,
    {
        let mut backoff = Backoff::for_outages();
        let mut culprit = None;
        loop {
            match work().await {
                Ok(done) => {
                    if let Some(culprit) = culprit {
                        self.well(culprit, watcher);
                    }
                    return done;
                }
                Err(outage) => {
                    culprit = Some(outage.dependency);
                    self.wait_out(&outage, watcher, &mut backoff).await;
                }
            }
        }
    }

    async fn wait_out(&self, outage: &Outage, watcher: &str, backoff: &mut Backoff) {
        // A transaction that gave way to another is no sign of ill health: it succeeds when it is done again.
        if !outage.is_contention() {
            self.health.fails(outage.dependency.name(), watcher, &outage.detail);
        }
        self.metrics.retries.with_label_values(&[outage.dependency.name(), &outage.class]).inc();
        tokio::time::sleep(backoff.pause()).await;
    }

    fn well(&self, dependency: Dependency, watcher: &str) {
        self.health.passes(dependency.name(), watcher);
    }

    fn count(&self, records: &[Record], letters: &[DeadLetter<'_>]) {
        let now = Utc::now();
        for letter in letters {
            let outcome = match letter.status {
                Status::Open => "dead_letter",
                Status::Waiting => "waiting",
            };
            self.metrics.records.with_label_values(&[&letter.record.partition.to_string(), outcome]).inc();
        }
        for record in records {
            let seconds = (now - record.source_time()).as_seconds_f64();
            self.metrics.end_to_end_seconds.observe(seconds.max(0.0));
        }
        if let Some(first) = records.first() {
            let applied = records.len().saturating_sub(letters.len()) as u64;
            self.metrics.records.with_label_values(&[&first.partition.to_string(), "processed"]).inc_by(applied);
        }
    }
}

/// Writing the service's own account of a record cannot be the record's fault.
fn as_outage(error: &sqlx::Error) -> Outage {
    match fault::of_sql(error) {
        Fault::Outage(outage) => outage,
        Fault::Record(fault) => Outage::new(Dependency::Postgres, "bookkeeping", fault),
    }
}
