//! A member that has jobs of one kind: how it comes by one, keeps it beside the work, and leaves it.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::AGAIN_AFTER;
use super::lease::{self, Job, Standing};
use crate::control::operations::Kind;
use crate::control::steering::Changes;
use crate::processor::Processor;
use crate::road::Road;

/// When the work is looked for though nothing was heard of it: also that of a member that was killed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A member that works on jobs of one kind, one at a time.
pub(super) struct Holder<P> {
    /// What it asks the database through, however long that makes it wait.
    pub road: Arc<Road<P>>,
    /// The kind.
    pub kind: Kind,
    /// The member.
    pub member: Uuid,
}

impl<P: Processor> Holder<P> {
    /// The next job, as soon as there is one that nobody works on.
    pub async fn next(&self, changes: &mut Changes) -> Job {
        loop {
            if let Some(job) = self.claim().await {
                return job;
            }
            // The sender lives as long as the service.
            let _ = tokio::time::timeout(LOOK_EVERY, changes.changed()).await;
        }
    }

    async fn claim(&self) -> Option<Job> {
        let road = &self.road;
        let claim = || async { lease::claim(&road.database.pool(), road.layer, self.kind, self.member).await };
        road.until_kept(self.watcher(), claim).await
    }

    /// Keeps the job beside the work, whatever that waits for; returns once the job is no longer the member's. One that
    /// cannot say in time that it is still at work has to take its job for another's.
    pub async fn keep(&self, job: Uuid) -> Standing {
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
    pub async fn note(&self, job: &Job) -> Standing {
        let note = || async { lease::note(&self.road.database.pool(), job, self.member).await };
        self.road.until_kept(self.watcher(), note).await
    }

    /// Hears whose the job is.
    pub async fn hear(&self, job: Uuid) -> Standing {
        let renew = || async { lease::renew(&self.road.database.pool(), job, self.member).await };
        self.road.until_kept(self.watcher(), renew).await
    }

    /// Notes that nothing is left to do, or why nothing can be done.
    pub async fn finish(&self, job: &Job, error: Option<&str>) {
        let finish = || async { lease::finish(&self.road.database.pool(), job, self.member, error).await };
        self.road.until_kept(self.watcher(), finish).await;
        tracing::info!(operation = %job.id, progress = %job.progress, error, "job finished");
    }

    /// What the work waited for when it was dropped is no longer its worry.
    pub fn forget(&self) {
        self.road.health.forget(self.watcher());
    }

    /// The name under which it is known what the job waits for.
    pub fn watcher(&self) -> &'static str {
        self.kind.name()
    }
}
