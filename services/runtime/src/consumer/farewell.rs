//! The orderly end: finish or drop what is in flight, commit what is done, leave the group.

use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer as _};

use super::partition::Partition;
use super::{Consumer, DRAIN, client, end_in_flight};
use crate::fault::Dependency;
use crate::processor::Processor;

/// For how long the last commit and the leaving of the group may take.
const FAREWELL: Duration = Duration::from_secs(3);

impl<P: Processor> Consumer<P> {
    pub(super) async fn farewell(mut self) {
        let deadline = tokio::time::Instant::now() + DRAIN;
        while self.commits.is_under_way() || self.partitions.values().any(|held| held.in_flight.is_some()) {
            tokio::select! {
                Some(done) = self.done.recv() => self.on_done(&done),
                Some(event) = self.events.recv() => self.on_event(event),
                answer = self.commits.answer() => self.on_commit(answer),
                // Polling keeps the membership; what it brings is for the next owner.
                _ = self.client.recv() => {}
                () = tokio::time::sleep_until(deadline) => {
                    self.partitions.values_mut().for_each(end_in_flight);
                    break;
                }
            }
        }
        // What was asked back while the batches ended is not to hold up the leaving.
        self.hand_back_idle();
        let frontier = |(id, held): (&i32, &Partition)| held.to_commit().map(|frontier| (*id, Some(frontier)));
        let list = client::list_of(&self.topic, self.partitions.iter().filter_map(frontier));
        let client = self.client;
        let leave = tokio::task::spawn_blocking(move || {
            if list.count() > 0
                && let Err(error) = client.commit(&list, CommitMode::Sync)
            {
                tracing::warn!(%error, "the last offsets are not committed; their records will be processed again");
            }
            client.context().close();
            drop(client);
        });
        if tokio::time::timeout(FAREWELL, leave).await.is_err() {
            tracing::warn!("the broker did not answer the farewell; the group will notice by itself");
        }
        self.road.health.forget(Dependency::Kafka.name());
    }
}
