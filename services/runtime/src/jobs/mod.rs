//! Jobs: operations that take a while, by one member at a time, which says so all the while.
//!
//! Most send many records through the layer's road again, at a given rate. Which records is the affair of a [`Source`];
//! that they are sent once each, as fast as was allowed, until the end, a cap or a cancellation, and by another member
//! where the first one is killed, is done here. Work that is no stream of records is a [`Task`](task::Task).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use sqlx::postgres::PgPool;
use uuid::Uuid;

pub mod lease;
mod holder;
mod pace;
pub mod letters;
pub mod task;
pub mod daily;

use holder::Holder;
use lease::{Job, Standing};
use pace::Pace;

use crate::control::operations::Kind;
use crate::control::steering::Changes;
use crate::desired_state::DesiredStateReader;
use crate::fault;
use crate::processor::Processor;
use crate::record::Record;
use crate::road::{Origin, Road};

/// Records of one portion at the most; how far the job is is noted after each.
const PORTION: u32 = 500;
/// Bytes of one portion: no record is added to so many. A member's memory is small, and a record may have a megabyte.
pub const PORTION_BYTES: i64 = 8 << 20;
/// Portions of a second, so that the rate is even.
const PORTIONS_A_SECOND: u32 = 10;
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Where the records of one kind of job come from.
pub trait Source: Send + Sync + 'static {
    /// The kind of operation that it serves.
    fn kind(&self) -> Kind;

    /// How its records travel.
    fn origin(&self) -> Origin;

    /// The next records in their order, at most `most` and within [`PORTION_BYTES`], after the place that an earlier portion
    /// ended at; `None` where nothing is left. Each question is to be answered soon, however much there is.
    fn next<'a>(
        &'a self,
        pool: &'a PgPool,
        job: &'a Job,
        most: i64,
    ) -> BoxFuture<'a, Result<Option<Portion>, sqlx::Error>>;
}

/// Some records of a job.
#[derive(Debug)]
pub struct Portion {
    /// The records; none where none fit as far as was looked.
    pub records: Vec<Record>,
    /// The place at which they end.
    pub cursor: String,
}

/// What every job is told in its request.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Bounds {
    /// Records a second at the most.
    max_per_second: u32,
    /// Records at the most.
    limit: Option<u64>,
}

/// Works on jobs of one kind, one at a time, for ever. A long one does not keep those of another kind waiting.
pub async fn work<P: Processor>(
    road: Arc<Road<P>>,
    source: Arc<dyn Source>,
    member: Uuid,
    desired: DesiredStateReader,
    mut changes: Changes,
) {
    let holder = Holder { road, kind: source.kind(), member };
    let worker = Worker { holder, source, desired };
    loop {
        let job = worker.holder.next(&mut changes).await;
        worker.carry_out(job).await;
    }
}

struct Worker<P> {
    holder: Holder<P>,
    source: Arc<dyn Source>,
    desired: DesiredStateReader,
}

/// What became of a portion.
enum Step {
    /// It is through, or had to wait for the layer to be resumed.
    Made,
    /// Nothing was left.
    Over,
    /// What comes next cannot be read, and never will be.
    Stuck(String),
    /// It was dropped in its middle, for the job is no longer the member's.
    Dropped(Standing),
}

impl<P: Processor> Worker<P> {
    /// Goes on until the job is finished, or another member has it.
    async fn carry_out(&self, mut job: Job) {
        let holder = &self.holder;
        let (bounds, mut done) = match read(&job) {
            Ok(read) => read,
            Err(error) => return holder.finish(&job, Some(&format!("the request cannot be read: {error}"))).await,
        };
        tracing::info!(operation = %job.id, kind = ?job.kind, done = done.done, "job begun");
        let mut pace = Pace::new(bounds.max_per_second);
        // A cancellation that came while nobody worked on it is heard before anything is sent.
        let mut standing = holder.note(&job).await;
        while standing == Standing::Ours {
            let id = job.id;
            let step = tokio::select! {
                step = self.portion(&mut job, &mut done, bounds, &mut pace) => step,
                standing = holder.keep(id) => Step::Dropped(standing),
            };
            job.progress = serde_json::json!(done);
            standing = match step {
                // The records are through; that is to be noted before more are sent.
                Step::Made => holder.note(&job).await,
                Step::Over => return holder.finish(&job, None).await,
                Step::Stuck(reason) => return holder.finish(&job, Some(&reason)).await,
                Step::Dropped(standing) => {
                    holder.forget();
                    standing
                }
            };
        }
        tracing::info!(operation = %job.id, ?standing, done = done.done, "job left");
    }

    /// Sends the next portion, however long the surroundings make it wait. Dropping the future gives the portion up: all
    /// that it did may be done again.
    async fn portion(&self, job: &mut Job, done: &mut Progress, bounds: Bounds, pace: &mut Pace) -> Step {
        let left = bounds.limit.map_or(u64::MAX, |limit| limit.saturating_sub(done.done));
        let most = u64::from((bounds.max_per_second / PORTIONS_A_SECOND).clamp(1, PORTION)).min(left);
        if most == 0 {
            return Step::Over;
        }
        let portion = match self.next(job, i64::try_from(most).unwrap_or(i64::MAX)).await {
            Ok(Some(portion)) => portion,
            Ok(None) => return Step::Over,
            Err(reason) => return Step::Stuck(reason),
        };
        let records = portion.records.len();
        pace.await_turn(records).await;
        // A paused layer writes nothing; the lease is kept meanwhile, and a cancellation heard.
        let Some(_flight) = self.holder.road.flights.take_off(&self.desired) else {
            tokio::time::sleep(AGAIN_AFTER).await;
            return Step::Made;
        };
        let failed = self.send(portion.records).await;
        job.cursor = Some(portion.cursor);
        done.done += records as u64;
        done.failed += failed as u64;
        done.succeeded += records.saturating_sub(failed) as u64;
        Step::Made
    }

    /// Asks for the next records until there is an answer, or a reason why there will never be one.
    async fn next(&self, job: &Job, most: i64) -> Result<Option<Portion>, String> {
        let road = &self.holder.road;
        let next = || async {
            match self.source.next(&road.database.pool(), job, most).await {
                Err(error) if fault::is_lasting(&error) => Ok(Err(error.to_string())),
                answered => answered.map(Ok),
            }
        };
        road.until_kept(self.holder.watcher(), next).await
    }

    /// Sends records through the road, a partition's together; returns how many ended as dead letters.
    async fn send(&self, records: Vec<Record>) -> usize {
        let mut failed = 0;
        for batch in by_partition(records) {
            failed += self.holder.road.travel(&batch, self.source.origin(), self.holder.watcher()).await;
        }
        failed
    }
}

/// What a job was told, and how far it is.
fn read(job: &Job) -> Result<(Bounds, Progress), serde_json::Error> {
    Ok((serde_json::from_value(job.request.clone())?, serde_json::from_value(job.progress.clone())?))
}

/// Batches as the road takes them: one partition each, no offset twice. A topic that was made anew may have left two
/// records at one offset.
#[must_use]
pub fn by_partition(records: Vec<Record>) -> Vec<Vec<Record>> {
    let mut seen: BTreeMap<(Arc<str>, i32, i64), usize> = BTreeMap::new();
    let mut batches: BTreeMap<(usize, Arc<str>, i32), Vec<Record>> = BTreeMap::new();
    for record in records {
        let place = (Arc::clone(&record.topic), record.partition, record.offset);
        let times = seen.entry(place).or_default();
        batches.entry((*times, Arc::clone(&record.topic), record.partition)).or_default().push(record);
        *times += 1;
    }
    let mut batches: Vec<Vec<Record>> = batches.into_values().collect();
    for batch in &mut batches {
        batch.sort_by_key(|record| record.offset);
    }
    batches
}

/// What a job counts, as `progress` of its operation.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, Deserialize)]
pub struct Progress {
    /// Records that fitted when it was asked for.
    pub matched: u64,
    /// Records sent.
    pub done: u64,
    /// Of them those that came to a good end.
    pub succeeded: u64,
    /// Of them those that ended as dead letters.
    pub failed: u64,
}

impl Progress {
    /// Before the first record.
    #[must_use]
    pub fn before(matched: u64) -> Value {
        let progress = Self { matched, ..Self::default() };
        serde_json::json!(progress)
    }
}
