//! Commits: a contiguous prefix of each partition, one request at a time.
//!
//! The client answers an asynchronous commit to nobody, so each commit is a synchronous one on a thread that may
//! block. One at a time, because an older one that overtakes a newer would take the group's offsets back.

use std::sync::Arc;
use std::time::Instant;

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::task::JoinHandle;

use super::Consumer;
use super::client::{self, Client};
use super::partition::Partition;
use crate::metrics::Stage;
use crate::processor::Processor;

/// The commit that is under way, if any.
#[derive(Debug, Default)]
pub struct Commits {
    under_way: Option<JoinHandle<Answer>>,
}

/// What became of a commit.
#[derive(Debug)]
pub struct Answer {
    frontiers: Vec<(i32, Option<i64>)>,
    asked: Instant,
    result: KafkaResult<()>,
}

impl Commits {
    /// Whether a commit is under way.
    pub fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// The answer to the commit that is under way; waits for ever where none is. Dropping the future loses nothing.
    pub async fn answer(&mut self) -> Option<Answer> {
        let Some(under_way) = &mut self.under_way else { return std::future::pending().await };
        let answer = under_way.await;
        self.under_way = None;
        answer.ok()
    }

    fn ask(&mut self, client: &Arc<Client>, topic: &str, frontiers: Vec<(i32, Option<i64>)>) {
        let (client, list) = (Arc::clone(client), client::list_of(topic, frontiers.iter().copied()));
        self.under_way = Some(tokio::task::spawn_blocking(move || {
            let asked = Instant::now();
            let result = client.commit(&list, CommitMode::Sync);
            Answer { frontiers, asked, result }
        }));
    }
}

impl<P: Processor> Consumer<P> {
    /// Tells the broker how far the partitions are, where it does not know and is not being told.
    pub(super) fn commit(&mut self) {
        let frontiers = self.to_commit();
        if !frontiers.is_empty() && !self.commits.is_under_way() {
            self.commits.ask(&self.client, &self.topic, frontiers);
        }
    }

    /// What a commit that fails leaves uncommitted is committed with the next tick.
    pub(super) fn on_commit(&mut self, answer: Option<Answer>) {
        let Some(Answer { frontiers, asked, result }) = answer else { return };
        self.road.metrics.took(Stage::Commit, asked);
        if let Err(error) = result {
            if group_has_changed(&error) {
                tracing::info!(%error, "offsets not committed yet: the group is being shared out anew");
            } else {
                tracing::warn!(%error, "offsets not committed");
            }
            return;
        }
        for (id, frontier) in frontiers {
            if let Some(partition) = self.partitions.get_mut(&id) {
                partition.committed = frontier;
            }
        }
    }

    /// How far the partitions are, where the broker does not know. Nothing that came by a client that is to be replaced is
    /// vouched for: it may have lost a record on the way, and the next one reads it again.
    pub(super) fn to_commit(&self) -> Vec<(i32, Option<i64>)> {
        if self.rejoin_for.is_some() {
            return Vec::new();
        }
        let frontier = |(id, held): (&i32, &Partition)| held.to_commit().map(|frontier| (*id, Some(frontier)));
        self.partitions.iter().filter_map(frontier).collect()
    }
}

/// Whether a commit was refused for no other reason than that members have come or gone: ordinary wherever a release is rolled
/// out. What is not committed is so later, by whoever has the partition then.
fn group_has_changed(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{IllegalGeneration, RebalanceInProgress};
    matches!(error.rdkafka_error_code(), Some(IllegalGeneration | RebalanceInProgress))
}
