//! Jobs: operations that send many records through the layer's road again, at a given rate, by one member at a time, which
//! says so all the while.
//!
//! Which records is the affair of a [`Source`]; that they are sent once each, as fast as was allowed, until the end, a
//! cap or a cancellation, and by another member where the first one is killed, is done here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use sqlx::postgres::PgPool;
use uuid::Uuid;

pub mod lease;
mod pace;
pub mod letters;

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
/// When the work is looked for though nothing was heard of it: also that of a member that was killed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
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
    let worker = Worker { road, source, member, desired };
    loop {
        match worker.claim().await {
            Some(job) => worker.carry_out(job).await,
            None => {
                // The sender lives as long as the service.
                let _ = tokio::time::timeout(LOOK_EVERY, changes.changed()).await;
            }
        }
    }
}

struct Worker<P> {
    road: Arc<Road<P>>,
    source: Arc<dyn Source>,
    member: Uuid,
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
    async fn claim(&self) -> Option<Job> {
        let (road, kind) = (&self.road, self.source.kind());
        let claim = || async { lease::claim(&road.database.pool(), road.layer, kind, self.member).await };
        road.until_kept(kind.name(), claim).await
    }

    /// Goes on until the job is finished, or another member has it.
    async fn carry_out(&self, mut job: Job) {
        let bounds = match serde_json::from_value::<Bounds>(job.request.clone()) {
            Ok(bounds) => bounds,
            Err(error) => return self.finish(&job, Some(&format!("the request cannot be read: {error}"))).await,
        };
        tracing::info!(operation = %job.id, kind = ?job.kind, done = job.progress.done, "job begun");
        let mut pace = Pace::new(bounds.max_per_second);
        // A cancellation that came while nobody worked on it is heard before anything is sent.
        let mut standing = self.note(&job).await;
        while standing == Standing::Ours {
            let id = job.id;
            let step = tokio::select! {
                step = self.portion(&mut job, bounds, &mut pace) => step,
                standing = self.keep(id) => Step::Dropped(standing),
            };
            standing = match step {
                // The records are through; that is to be noted before more are sent.
                Step::Made => self.note(&job).await,
                Step::Over => return self.finish(&job, None).await,
                Step::Stuck(reason) => return self.finish(&job, Some(&reason)).await,
                Step::Dropped(standing) => {
                    self.road.health.forget(self.watcher());
                    standing
                }
            };
        }
        tracing::info!(operation = %job.id, ?standing, done = job.progress.done, "job left");
    }

    /// Sends the next portion, however long the surroundings make it wait. Dropping the future gives the portion up: all
    /// that it did may be done again.
    async fn portion(&self, job: &mut Job, bounds: Bounds, pace: &mut Pace) -> Step {
        let left = bounds.limit.map_or(u64::MAX, |limit| limit.saturating_sub(job.progress.done));
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
        let Some(_flight) = self.road.flights.take_off(&self.desired) else {
            tokio::time::sleep(AGAIN_AFTER).await;
            return Step::Made;
        };
        let failed = self.send(portion.records).await;
        job.cursor = Some(portion.cursor);
        job.progress.done += records as u64;
        job.progress.failed += failed as u64;
        job.progress.succeeded += records.saturating_sub(failed) as u64;
        Step::Made
    }

    /// Asks for the next records until there is an answer, or a reason why there will never be one.
    async fn next(&self, job: &Job, most: i64) -> Result<Option<Portion>, String> {
        let next = || async {
            match self.source.next(&self.road.database.pool(), job, most).await {
                Err(error) if fault::is_lasting(&error) => Ok(Err(error.to_string())),
                answered => answered.map(Ok),
            }
        };
        self.road.until_kept(self.watcher(), next).await
    }

    /// Keeps the job beside a portion, whatever that waits for; returns once the job is no longer the member's. One that
    /// cannot say in time that it is still at work has to take its job for another's.
    async fn keep(&self, job: Uuid) -> Standing {
        loop {
            tokio::time::sleep(lease::RENEW_EVERY).await;
            let renewed = async {
                loop {
                    match lease::renew(&self.road.database.pool(), job, self.member).await {
                        Ok(standing) => return standing,
                        Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
                    }
                }
            };
            match tokio::time::timeout(lease::RENEW_WITHIN, renewed).await {
                Ok(Standing::Ours) => {}
                Ok(standing) => return standing,
                Err(_) => return Standing::Lost,
            }
        }
    }

    /// Notes how far the job is, however long the database makes it wait, and hears whose it is.
    async fn note(&self, job: &Job) -> Standing {
        let note = || async { lease::note(&self.road.database.pool(), job, self.member).await };
        self.road.until_kept(self.watcher(), note).await
    }

    async fn finish(&self, job: &Job, error: Option<&str>) {
        let finish = || async { lease::finish(&self.road.database.pool(), job, self.member, error).await };
        self.road.until_kept(self.watcher(), finish).await;
        tracing::info!(operation = %job.id, done = job.progress.done, failed = job.progress.failed, error, "job finished");
    }

    /// The name under which it is known what the job waits for.
    fn watcher(&self) -> &'static str {
        self.source.kind().name()
    }

    /// Sends records through the road, a partition's together; returns how many ended as dead letters.
    async fn send(&self, records: Vec<Record>) -> usize {
        let mut failed = 0;
        for batch in by_partition(records) {
            failed += self.road.travel(&batch, self.source.origin(), self.watcher()).await;
        }
        failed
    }
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
