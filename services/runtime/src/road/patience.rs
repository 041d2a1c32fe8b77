//! Patience with the surroundings: every attempt that fails through no fault of a record is made again, with growing
//! pauses, for as long as it takes.

use super::{Road, as_outage};
use crate::backoff::Backoff;
use crate::fault::{Dependency, Fault, Outage, StoreError};
use crate::processor::Processor;

impl<P: Processor> Road<P> {
    pub(super) async fn attempt<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, Fault> {
        self.database.attempt(work).await
    }

    /// Does the work again and again until the surroundings let it be done, and makes known what they lack.
    pub(crate) async fn until_done<T, W>(&self, watcher: &str, mut work: impl FnMut() -> W) -> T
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

    /// Does the service's own bookkeeping again and again until it is done, each attempt within its bounds.
    pub(crate) async fn until_kept<T, W>(&self, watcher: &str, mut work: impl FnMut() -> W) -> T
    where
        W: Future<Output = Result<T, sqlx::Error>> + Send,
    {
        let attempt = || {
            let work = Box::pin(work());
            async { self.database.attempt(work).await.map_err(as_outage) }
        };
        self.until_done(watcher, attempt).await
    }

    pub(super) async fn wait_out(&self, outage: &Outage, watcher: &str, backoff: &mut Backoff) {
        // A transaction that gave way to another is no sign of ill health: it succeeds when it is done again.
        if !outage.is_contention() {
            self.health.fails(outage.dependency.name(), watcher, &outage.detail);
        }
        let pause = backoff.pause();
        self.metrics.retries(outage.dependency, &outage.class, pause);
        tokio::time::sleep(pause).await;
    }

    pub(super) fn well(&self, dependency: Dependency, watcher: &str) {
        self.health.passes(dependency.name(), watcher);
    }
}
