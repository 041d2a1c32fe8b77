//! The course of an audit: table by table, in one snapshot.

use std::time::Instant;

use ordervault_runtime::control::outcomes::TableOutcome;
use ordervault_runtime::jobs::task::{Stop, Work};
use serde_json::json;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::check::{Check, DIFFERENT, SKIPPED};
use super::counters::COUNTERS;
use super::{Progress, under_way, vault};

/// Whatever the audit asks is answered by what was committed at one moment.
const SNAPSHOT: &str = "begin isolation level repeatable read, read only";

/// An audit under way.
pub(super) struct Course<'a> {
    /// The job.
    pub work: Work<'a>,
    /// When it was begun.
    pub begun: Instant,
    /// How far it is.
    pub progress: Progress,
    /// What was found so far.
    pub found: Vec<TableOutcome>,
}

impl Course<'_> {
    /// Looks at every table.
    pub async fn look(&mut self, session: &mut PgConnection) -> Result<(), Stop> {
        let on_topic = under_way::on_topic(self.work.broker).await;
        let mut snapshot = session.begin_with(SNAPSHOT).await?;
        // The first question takes the snapshot.
        let why = on_topic.or(under_way::in_snapshot(&mut snapshot).await?);
        for counter in &COUNTERS {
            self.ask(&counter.check(), &mut snapshot).await?;
        }
        for check in vault::checks(why.is_some()) {
            self.ask(&check, &mut snapshot).await?;
        }
        if let Some(why) = why {
            self.say_why_behind(&why);
        }
        snapshot.rollback().await?;
        Ok(())
    }

    fn say_why_behind(&mut self, why: &str) {
        let ledger = self.found.iter_mut().filter(|found| found.table == vault::LEDGER && found.outcome != SKIPPED);
        ledger.for_each(|found| found.detail["under_way"] = json!(why));
    }

    async fn ask(&mut self, check: &Check, snapshot: &mut PgConnection) -> Result<(), Stop> {
        let found = check.ask(snapshot).await?;
        self.progress.done += 1;
        self.progress.wrong += found.wrong;
        self.progress.behind += found.behind;
        self.found.push(found.outcome);
        self.note().await
    }

    /// Notes how far it is, and hears whether to go on.
    pub async fn note(&mut self) -> Result<(), Stop> {
        self.progress.seconds = self.begun.elapsed().as_secs_f64();
        self.work.job.progress = json!(self.progress);
        self.work.note().await
    }

    /// Whether a counter is not what the ledger says.
    pub fn counters_are_wrong(&self) -> bool {
        let is_counter = |table| COUNTERS.iter().any(|counter| counter.table == table);
        self.found.iter().any(|found| found.outcome == DIFFERENT && is_counter(found.table))
    }
}
