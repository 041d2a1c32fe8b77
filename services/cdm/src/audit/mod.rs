//! The audit: counters against the ledger and the ledger against the vault, in one snapshot, so that all of it is exact
//! while the consumer works.

use std::time::Instant;

use chrono::NaiveTime;
use futures_util::future::BoxFuture;
use ordervault_runtime::control::operations::Kind;
use ordervault_runtime::jobs::task::{Stop, Task, Work};
use ordervault_runtime::session::Session;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

mod check;
mod counters;
mod vault;
mod under_way;
mod course;
mod repair;

use course::Course;

/// Audits what CDM has.
#[derive(Clone, Copy, Debug)]
pub struct Audit {
    /// The time of the day, UTC, at which it does so without being asked.
    pub daily_at: Option<NaiveTime>,
}

/// What is asked for, as the operation records it. The daily audit is asked for nothing else.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Request {
    /// Whether counters are to be set to the ledger's sum.
    #[serde(default)]
    pub repair: bool,
}

/// How far an audit is, as `progress` of its operation.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Progress {
    /// Tables to be looked at.
    tables: usize,
    /// Tables looked at.
    done: usize,
    /// Rows found to be wrong.
    wrong: i64,
    /// Rows found to be only behind.
    behind: i64,
    /// For how long it has been at work.
    seconds: f64,
}

impl Progress {
    fn new() -> Self {
        Self { tables: counters::COUNTERS.len() + vault::TABLES, done: 0, wrong: 0, behind: 0, seconds: 0.0 }
    }

    /// Before the first table.
    #[must_use]
    pub fn before() -> Value {
        json!(Self::new())
    }
}

impl Task for Audit {
    fn kind(&self) -> Kind {
        Kind::Audit
    }

    fn daily_at(&self) -> Option<NaiveTime> {
        self.daily_at
    }

    fn run<'a>(&'a self, work: Work<'a>) -> BoxFuture<'a, Result<(), Stop>> {
        Box::pin(run(work))
    }
}

async fn run(work: Work<'_>) -> Result<(), Stop> {
    let asked: Request = serde_json::from_value(work.job.request.clone())
        .map_err(|error| Stop::Failed(format!("the request cannot be read: {error}")))?;
    let mut course = Course { work, begun: Instant::now(), progress: Progress::new(), found: Vec::new() };
    // A cancellation that came while nobody worked on it is heard before anything is asked.
    course.note().await?;
    let Session { mut connection, lifeline } = course.work.database.session("audit").await?;
    let work = async {
        course.look(&mut connection).await?;
        if asked.repair && course.counters_are_wrong() {
            return repair::repair(&course, &mut connection).await;
        }
        let mut tx = course.work.database.pool().begin().await?;
        course.work.finish(&mut tx, &course.found).await?;
        Ok(tx.commit().await?)
    };
    lifeline.hold(work).await
}
