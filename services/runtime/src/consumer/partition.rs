//! An assigned partition as the loop sees it: who works it, how far it may be committed.

use std::time::{Duration, Instant};

use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::DRAIN;
use super::client::Events;

/// A batch that takes so long waits for the surroundings.
const HALTED: Duration = Duration::from_secs(5);

/// What is done about a partition.
pub enum Phase {
    /// It is asked whether a reset wants the partition elsewhere. The queue is there where the partition has just come,
    /// so that its records wait in it.
    AtGate(Option<StreamPartitionQueue<Events>>),
    /// It has passed its gate, and is taken elsewhere as soon as the client can be asked to.
    ToMove,
    /// Its worker works.
    AtWork,
    /// Its worker is to end, so that a reset can take the partition elsewhere.
    Stopping,
}

/// A partition that this member holds.
pub struct Partition {
    /// What is done about it.
    pub phase: Phase,
    /// Which worker it has: the reports of another, of an assignment before this one, do not count.
    pub worker: u64,
    /// The task of its gate or of its worker.
    pub task: JoinHandle<()>,
    /// Asks the task to stop, a worker once its batch in flight is done.
    pub stop: CancellationToken,
    /// Since when the worker has had its batch in flight; `None` while it has none.
    pub busy_since: Option<Instant>,
    /// The next offset, below which everything is done; `None` until the first batch is. One batch is in flight at a
    /// time, so what is done is always a contiguous prefix.
    pub frontier: Option<i64>,
    /// The frontier that Kafka was last told.
    pub committed: Option<i64>,
    /// Where it goes on, where it is to go on elsewhere than at the group's offset.
    pub resume_at: Option<i64>,
    /// The reset that was last done to it, or is being done.
    pub reset: Option<Uuid>,
    /// Whether the client has been asked to fetch nothing more.
    pub fetch_paused: bool,
    /// Whether it is to be handed back as soon as its worker has ended.
    pub revoked: bool,
    /// Whether the task has said that it has ended.
    pub ended: bool,
}

impl Partition {
    /// A partition whose gate or worker has just begun.
    pub fn new(phase: Phase, worker: u64, task: JoinHandle<()>, stop: CancellationToken) -> Self {
        Self {
            phase,
            worker,
            task,
            stop,
            busy_since: None,
            frontier: None,
            committed: None,
            resume_at: None,
            reset: None,
            fetch_paused: false,
            revoked: false,
            ended: false,
        }
    }

    /// Has its task end: a worker once its batch in flight is done, or in time.
    pub fn end_soon(&self) {
        self.stop.cancel();
        let task = self.task.abort_handle();
        tokio::spawn(async move {
            tokio::time::sleep(DRAIN).await;
            task.abort();
        });
    }

    /// Whether nobody touches its queue any more.
    pub fn is_at_rest(&self) -> bool {
        self.ended || self.task.is_finished()
    }

    /// Whether it can be handed back.
    pub fn can_go(&self) -> bool {
        self.revoked && self.is_at_rest()
    }

    /// Whether its batch waits for the surroundings.
    pub fn is_halted(&self) -> bool {
        self.busy_since.is_some_and(|since| since.elapsed() > HALTED)
    }

    /// The frontier, where Kafka does not know it yet.
    pub fn to_commit(&self) -> Option<i64> {
        self.frontier.filter(|_| self.frontier != self.committed)
    }
}
