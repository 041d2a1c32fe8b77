//! The gate before each partition's work: a reset that wants the partition elsewhere is carried out here, once.
//!
//! The order is commit, note, work. Every owner of the partition passes here before it commits anything of its own, so
//! the mark that the reset's commit bears is still there when it is looked for.

use std::sync::Arc;

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::util::Timeout;
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::client::{self, Client};
use super::watcher;
use super::worker::Report;
use crate::broker::metadata_of;
use crate::control::resets::{self, Pending};
use crate::fault::{self, Dependency, Fault, Outage};
use crate::processor::Processor;
use crate::road::Road;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// One partition's gate, and all that it needs.
pub struct Gate<P> {
    pub worker: u64,
    pub partition: i32,
    pub topic: Arc<str>,
    pub client: Arc<Client>,
    pub member: Uuid,
    pub road: Arc<Road<P>>,
    pub tell: UnboundedSender<Report>,
    pub stop: CancellationToken,
}

impl<P: Processor> Gate<P> {
    /// Says that the partition may be worked, or that it was asked to stop before that was known.
    pub async fn pass(self) {
        let (partition, worker) = (self.partition, self.worker);
        let committing = Arc::new(Mutex::new(()));
        let report = tokio::select! {
            biased;
            () = self.stop.cancelled() => Report::Ended { partition, worker },
            reset = self.carry_out(&committing) => Report::Passed { partition, worker, reset },
        };
        // A commit that is under way goes on by itself, and must not come after those of the partition's next owner.
        let _over = committing.lock().await;
        // The loop is gone only when the service is at its end.
        let _ = self.tell.send(report);
    }

    /// Takes the partition where a reset wants it, if one does, however long the surroundings make it wait.
    async fn carry_out(&self, committing: &Arc<Mutex<()>>) -> Option<Pending> {
        let (road, watcher) = (&self.road, watcher(self.partition));
        let asked = || async { resets::pending_of(&road.database.pool(), road.layer, self.partition).await };
        let pending = road.until_kept(&watcher, asked).await?;
        road.until_done(&watcher, || self.commit(pending, committing)).await;
        road.until_kept(&watcher, || async { resets::applied(&road.database.pool(), pending, self.member).await })
            .await;
        tracing::info!(partition = self.partition, target = pending.target, operation = %pending.operation, "offset reset");
        Some(pending)
    }

    /// Commits the target, unless an earlier owner did so before it could note it.
    async fn commit(&self, pending: Pending, committing: &Arc<Mutex<()>>) -> Result<(), Outage> {
        let (client, topic, stop) = (Arc::clone(&self.client), Arc::clone(&self.topic), self.stop.clone());
        let under_way = Arc::clone(committing).lock_owned().await;
        let committed = tokio::task::spawn_blocking(move || -> KafkaResult<()> {
            let _under_way = under_way;
            let mark = pending.operation.to_string();
            let asked = client::list_of(&topic, [(pending.partition, None)]);
            let held = client.committed_offsets(asked, Timeout::After(PATIENCE))?;
            if held.elements().iter().any(|element| metadata_of(element) == mark) {
                return Ok(());
            }
            if stop.is_cancelled() {
                return Err(KafkaError::Canceled);
            }
            client.commit(&client::marked(&topic, pending.partition, pending.target, &mark), CommitMode::Sync)
        });
        match committed.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if is_between_generations(&error) => Err(Outage::new(Dependency::Kafka, "raced", error)),
            Ok(Err(error)) => match fault::of_kafka(&error) {
                Fault::Outage(outage) => Err(outage),
                Fault::Record(fault) => Err(Outage::new(Dependency::Kafka, "commit", fault)),
            },
            Err(error) => Err(Outage::new(Dependency::Kafka, "commit", error)),
        }
    }
}

/// The group is just being rebalanced: no sign of ill health, it succeeds when it is done again, here or by another.
fn is_between_generations(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        error.rdkafka_error_code(),
        Some(C::RebalanceInProgress | C::IllegalGeneration | C::UnknownMemberId | C::NotCoordinator)
    )
}
