//! Partitions that come and go: each comes by its gate, is worked, and goes once its worker has ended.

use rdkafka::consumer::{CommitMode, Consumer as _};

use super::partition::{Partition, Phase};
use super::{BTreeMap, Consumer, client, watcher};
use crate::processor::Processor;

impl<P: Processor> Consumer<P> {
    /// Gives each partition a queue, sends it to its gate, and has the client begin to fetch.
    pub(super) fn take_over(&mut self, partitions: Vec<i32>) {
        tracing::info!(?partitions, "partitions assigned");
        self.over_trouble();
        for id in &partitions {
            // The queue is split off before the first record can come, so that none comes by another way.
            let Some(queue) = self.client.split_partition_queue(&self.topic, *id) else {
                self.rejoin(&format!("the client has no queue for partition {id}"));
                continue;
            };
            let held = self.at_gate(*id, Phase::AtGate(Some(queue)));
            self.partitions.insert(*id, held);
            self.road.metrics.takes_over(*id);
        }
        let list = client::list_of(&self.topic, partitions.into_iter().map(|id| (id, None)));
        // The client remembers a pause of an earlier assignment.
        if let Err(error) = self.client.resume(&list).and_then(|()| self.client.incremental_assign(&list)) {
            self.rejoin(&format!("partitions could not be taken over: {error}"));
        }
        self.count_assigned();
    }

    /// Has the workers of revoked partitions end. Those of lost ones end at once: somebody else is at work already.
    pub(super) fn let_go(&mut self, partitions: &[i32], lost: bool) {
        tracing::info!(?partitions, lost, "partitions revoked");
        for id in partitions {
            let Some(held) = self.partitions.get_mut(id) else { continue };
            held.revoked = true;
            // The rebalance waits for us: what does not end by itself in time is dropped.
            held.end_soon();
            if lost {
                held.frontier = None;
                held.task.abort();
            }
            if let Some(held) = self.partitions.get(id) {
                self.note_lost(*id, held);
            }
        }
    }

    /// Hands back revoked partitions once all their workers have ended, after their last commit. All at once: to the
    /// group a part of them is the whole answer, and another member would begin where a worker of ours still works.
    pub(super) fn hand_back_ended(&mut self) {
        let mut revoked = self.partitions.values().filter(|held| held.revoked).peekable();
        if self.commits.is_under_way() || revoked.peek().is_none() || !revoked.all(Partition::can_go) {
            return;
        }
        let frontiers = self.to_commit();
        if !frontiers.is_empty() {
            // Not waited for: the client sends it before it lets go of the partitions. Where it fails, their next
            // owner does the last batch again.
            let list = client::list_of(&self.topic, frontiers);
            if let Err(error) = self.client.commit(&list, CommitMode::Async) {
                tracing::warn!(%error, "offsets not committed");
            }
        }
        let (back, kept): (BTreeMap<i32, Partition>, _) =
            std::mem::take(&mut self.partitions).into_iter().partition(|(_, held)| held.revoked);
        self.partitions = kept;
        for id in back.keys() {
            self.road.health.forget(&watcher(*id));
        }
        let list = client::list_of(&self.topic, back.keys().map(|id| (*id, None)));
        match self.client.incremental_unassign(&list) {
            Ok(()) => tracing::info!(partitions = ?back.keys().collect::<Vec<_>>(), "partitions handed back"),
            Err(error) => self.rejoin(&format!("partitions could not be handed back: {error}")),
        }
        self.count_assigned();
    }

    fn count_assigned(&self) {
        self.road.metrics.assigned_partitions.set(i64::try_from(self.partitions.len()).unwrap_or(i64::MAX));
    }
}
