//! Jobs that are no stream of records: done as a whole, by one member, from the beginning wherever the surroundings or the
//! member's end got in the way.

use std::sync::Arc;

use chrono::NaiveTime;
use futures_util::future::BoxFuture;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::holder::Holder;
use super::lease::{self, Job, Standing};
use crate::broker::Broker;
use crate::control::operations::Kind;
use crate::control::outcomes::{self, TableOutcome};
use crate::control::steering::Changes;
use crate::database::Database;
use crate::fault::{self, Fault, Outage};
use crate::processor::Processor;
use crate::road::Road;

/// What is done for one kind of operation.
pub trait Task: Send + Sync + 'static {
    /// The kind.
    fn kind(&self) -> Kind;

    /// The time of the day, UTC, at which it is done without being asked for, if at all.
    fn daily_at(&self) -> Option<NaiveTime>;

    /// Does all of it, and ends with [`Work::finish`]. It may be dropped anywhere and begun anew, also by another member: what
    /// was done before must not matter then.
    fn run<'a>(&'a self, work: Work<'a>) -> BoxFuture<'a, Result<(), Stop>>;
}

/// A job in a member's hands, and what it may ask.
pub struct Work<'a> {
    /// The job.
    pub job: Job,
    /// The warehouse.
    pub database: &'a Database,
    /// What is asked about the layer's topic and group.
    pub broker: &'a Arc<Broker>,
    member: Uuid,
}

/// Why a task did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The job was cancelled, or is another member's.
    #[error("the job is no longer this member's")]
    Left,
    /// It cannot be done, for this reason.
    #[error("{0}")]
    Failed(String),
    /// PostgreSQL said no, or could not be asked.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

impl Work<'_> {
    /// Notes how far the job is, and hears whether to go on. What cannot be noted now will be with the next word.
    pub async fn note(&self) -> Result<(), Stop> {
        match lease::note(&self.database.pool(), &self.job, self.member).await {
            Ok(Standing::Cancelled | Standing::Lost) => Err(Stop::Left),
            Ok(Standing::Ours) | Err(_) => Ok(()),
        }
    }

    /// Records what became of the job and that it is done, in the transaction of its last rows. That one must be rolled back
    /// where this fails.
    pub async fn finish(&self, tx: &mut PgConnection, tables: &[TableOutcome]) -> Result<(), Stop> {
        outcomes::record(tx, self.job.id, tables).await?;
        if lease::finish_with(tx, &self.job, self.member).await? { Ok(()) } else { Err(Stop::Left) }
    }
}

/// Works on jobs of one kind, one at a time, for ever.
pub async fn work<P: Processor>(
    road: Arc<Road<P>>,
    task: Arc<dyn Task>,
    broker: Arc<Broker>,
    member: Uuid,
    mut changes: Changes,
) {
    let worker = Worker { holder: Holder { road, kind: task.kind(), member }, task, broker };
    loop {
        let job = worker.holder.next(&mut changes).await;
        worker.carry_out(job).await;
    }
}

struct Worker<P> {
    holder: Holder<P>,
    task: Arc<dyn Task>,
    broker: Arc<Broker>,
}

/// How an attempt ended that is not made again.
enum End {
    Finished,
    Left,
    Failed(String),
}

impl<P: Processor> Worker<P> {
    async fn carry_out(&self, job: Job) {
        tracing::info!(operation = %job.id, kind = ?job.kind, "job begun");
        let holder = &self.holder;
        let end = tokio::select! {
            end = holder.road.until_done(holder.watcher(), || self.attempt(&job)) => end,
            standing = holder.keep(job.id) => {
                holder.forget();
                return tracing::info!(operation = %job.id, ?standing, "job left");
            }
        };
        match end {
            End::Finished => tracing::info!(operation = %job.id, "job finished"),
            End::Failed(reason) => holder.finish(&job, Some(&reason)).await,
            End::Left => {
                // A cancellation that came with the last rows has its own last word to be noted.
                let standing = holder.hear(job.id).await;
                tracing::info!(operation = %job.id, ?standing, "job left");
            }
        }
    }

    async fn attempt(&self, job: &Job) -> Result<End, Outage> {
        let (database, member) = (&self.holder.road.database, self.holder.member);
        let work = Work { job: job.clone(), database, broker: &self.broker, member };
        match self.task.run(work).await {
            Ok(()) => Ok(End::Finished),
            Err(Stop::Left) => Ok(End::Left),
            Err(Stop::Failed(reason)) => Ok(End::Failed(reason)),
            // What took too long once would take too long again, and what somebody has ended is to stay so.
            Err(Stop::Sql(error)) if fault::is_lasting(&error) || fault::was_ended(&error) => {
                Ok(End::Failed(error.to_string()))
            }
            Err(Stop::Sql(error)) => match fault::of_sql(&error) {
                Fault::Outage(outage) => Err(outage),
                Fault::Record(refusal) => Ok(End::Failed(refusal.to_string())),
            },
        }
    }
}
