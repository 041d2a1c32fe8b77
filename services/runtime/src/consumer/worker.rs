//! The worker of one assigned partition: takes batches from the partition's queue, one at a time, to their end.

use std::sync::Arc;

use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::error::KafkaError;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::client::Events;
use super::watcher;
use crate::config::Limits;
use crate::control::resets::Pending;
use crate::desired_state::DesiredStateReader;
use crate::processor::Processor;
use crate::record::Record;
use crate::road::{Flight, Origin, Road};

/// What a worker tells the loop, in the order in which it happens.
#[derive(Debug)]
pub enum Report {
    /// It has begun a batch.
    Began { partition: i32, worker: u64 },
    /// It may begin, once a reset that wanted the partition elsewhere, if there was one, has taken it there.
    Passed { partition: i32, worker: u64, reset: Option<Pending> },
    /// Everything below the frontier is done, with a batch of so many records.
    Done { partition: i32, worker: u64, frontier: i64, records: usize },
    /// Where a record might have come there came an error.
    Trouble { partition: i32, worker: u64, error: KafkaError },
    /// It has let go of its queue and does nothing any more.
    Ended { partition: i32, worker: u64 },
}

impl Report {
    /// The partition, and which of its workers speaks.
    pub fn of(&self) -> (i32, u64) {
        match *self {
            Self::Began { partition, worker }
            | Self::Passed { partition, worker, .. }
            | Self::Done { partition, worker, .. }
            | Self::Trouble { partition, worker, .. }
            | Self::Ended { partition, worker } => (partition, worker),
        }
    }
}

/// A worker, and all that it needs.
pub struct Worker<P> {
    pub id: u64,
    pub partition: i32,
    pub topic: Arc<str>,
    pub queue: StreamPartitionQueue<Events>,
    pub limits: Limits,
    pub road: Arc<Road<P>>,
    pub desired: DesiredStateReader,
    pub turns: Arc<Semaphore>,
    pub tell: UnboundedSender<Report>,
    pub stop: CancellationToken,
}

impl<P: Processor> Worker<P> {
    /// Works until it is to stop; a batch in flight is finished. Dropping the future gives the batch up: what it did
    /// may be done again.
    pub async fn run(mut self) {
        let (partition, worker) = (self.partition, self.id);
        let watcher = watcher(partition);
        let mut ahead = None;
        while let Some(first) = self.first(ahead.take()).await {
            // The batch is taken once it is its turn, so that no more of them are in memory than are worked.
            let Some(turn) = self.turn().await else { break };
            self.tell(Report::Began { partition, worker });
            let batch = Batch::take(&self.queue, &self.limits, &self.topic, first);
            for error in batch.errors {
                self.tell(Report::Trouble { partition, worker, error });
            }
            self.road.travel(&batch.records, Origin::Partition, &watcher).await;
            if let Some(last) = batch.records.last() {
                self.tell(Report::Done { partition, worker, frontier: last.offset + 1, records: batch.records.len() });
            }
            ahead = batch.ahead;
            drop(turn);
        }
        let Self { queue, tell, .. } = self;
        // The partition's next queue must not be there before this one is gone: they share their wake-up call.
        drop(queue);
        let _ = tell.send(Report::Ended { partition, worker });
    }

    /// The next record, `ahead` where it was read already, as soon as there is one and the layer is to run; `None` when the
    /// worker is to stop.
    async fn first(&mut self, mut ahead: Option<Record>) -> Option<Record> {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                _ = self.desired.wait_for(|desired| !desired.is_paused()) => {}
            }
            if let Some(ahead) = ahead.take() {
                return Some(ahead);
            }
            let error = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                Ok(()) = self.desired.changed() => continue,
                message = self.queue.recv() => match message {
                    Ok(message) => return Some(Record::copy_of(&message, &self.topic)),
                    Err(error) => error,
                },
            };
            self.tell(Report::Trouble { partition: self.partition, worker: self.id, error });
        }
    }

    /// Waits for its turn, and through a pause of the layer; `None` when the worker is to stop.
    async fn turn(&mut self) -> Option<(OwnedSemaphorePermit, Flight)> {
        loop {
            let turn = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                // The loop never closes the turns.
                turn = Arc::clone(&self.turns).acquire_owned() => turn.ok()?,
            };
            if let Some(flight) = self.road.flights.take_off(&self.desired) {
                return Some((turn, flight));
            }
            drop(turn);
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                _ = self.desired.wait_for(|desired| !desired.is_paused()) => {}
            }
        }
    }

    fn tell(&self, report: Report) {
        // The loop is gone only when the service is at its end.
        let _ = self.tell.send(report);
    }
}
