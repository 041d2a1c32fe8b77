//! The orderly end: finish or drop what is in flight, commit what is done, leave the group.

use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::task::JoinHandle;

use super::client::Client;
use super::{Consumer, DRAIN, client, watcher};
use crate::processor::Processor;

/// For how long the last commit and the leaving of the group may take.
const FAREWELL: Duration = Duration::from_secs(3);

impl<P: Processor> Consumer<P> {
    pub(super) async fn farewell(mut self) {
        let deadline = tokio::time::Instant::now() + DRAIN;
        while self.commits.is_under_way()
            || self.partitions.values().any(|held| !held.ended && !held.task.is_finished())
        {
            // Also those of partitions that came while others ended.
            self.partitions.values().for_each(|held| held.stop.cancel());
            tokio::select! {
                biased;
                Some(event) = self.events.recv() => self.on_event(event),
                Some(report) = self.reports.recv() => self.on_report(report),
                answer = self.commits.answer() => self.on_commit(answer),
                () = tokio::time::sleep_until(deadline) => break,
                // Polling keeps the membership.
                _ = self.client.recv() => {}
            }
        }
        while let Ok(report) = self.reports.try_recv() {
            self.on_report(report);
        }
        // What the group has asked for and was not told: the client waits for that before it ends.
        while let Ok(event) = self.events.try_recv() {
            self.on_event(event);
        }
        let (done, revoked) = (client::list_of(&self.topic, self.to_commit()), self.revoked());
        // The workers hold the client by their queues.
        join_all(self.drop_workers()).await;
        let client = self.client;
        let leave = tokio::task::spawn_blocking(move || {
            if done.count() > 0
                && let Err(error) = client.commit(&done, CommitMode::Sync)
            {
                tracing::warn!(%error, "the last offsets are not committed; their records will be processed again");
            }
            close(&client, &revoked);
            drop(client);
        });
        if tokio::time::timeout(FAREWELL, leave).await.is_err() {
            tracing::warn!("the broker did not answer the farewell; the group will notice by itself");
        }
    }

    /// What has been asked back and not been handed back.
    pub(super) fn revoked(&self) -> TopicPartitionList {
        let revoked = self.partitions.iter().filter(|(_, held)| held.revoked).map(|(id, _)| (*id, None));
        client::list_of(&self.topic, revoked)
    }

    /// Ends every worker at once; what they had in flight will be done again. Their tasks are over a moment later.
    pub(super) fn drop_workers(&mut self) -> Vec<JoinHandle<()>> {
        let workers = std::mem::take(&mut self.partitions).into_iter().map(|(id, held)| {
            self.road.health.forget(&watcher(id));
            held.stop.cancel();
            if !held.ended {
                held.task.abort();
            }
            held.task
        });
        workers.collect()
    }
}

/// Has the client answer its group by itself from now on, and answers what is outstanding: it cannot end before.
pub(super) fn close(client: &Client, revoked: &TopicPartitionList) {
    client.context().close();
    if revoked.count() > 0
        && let Err(error) = client.incremental_unassign(revoked)
    {
        tracing::warn!(%error, "partitions could not be handed back");
    }
}
