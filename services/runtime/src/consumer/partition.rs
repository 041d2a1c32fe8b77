//! An assigned partition as the loop sees it: who works it, how far it may be committed.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A batch that takes so long waits for the surroundings.
const HALTED: Duration = Duration::from_secs(5);

/// A partition that this member holds.
#[derive(Debug)]
pub struct Partition {
    /// Which worker it has: the reports of another, of an assignment before this one, do not count.
    pub worker: u64,
    /// The worker's task.
    pub task: JoinHandle<()>,
    /// Asks the worker to stop once its batch in flight is done.
    pub stop: CancellationToken,
    /// Since when the worker has had its batch in flight; `None` while it has none.
    pub busy_since: Option<Instant>,
    /// The next offset, below which everything is done; `None` until the first batch is. One batch is in flight at a
    /// time, so what is done is always a contiguous prefix.
    pub frontier: Option<i64>,
    /// The frontier that Kafka was last told.
    pub committed: Option<i64>,
    /// Whether the client has been asked to fetch nothing more.
    pub fetch_paused: bool,
    /// Whether it is to be handed back as soon as its worker has ended.
    pub revoked: bool,
    /// Whether the worker has said that it has ended.
    pub ended: bool,
}

impl Partition {
    /// A partition whose worker has just begun.
    pub fn new(worker: u64, task: JoinHandle<()>, stop: CancellationToken) -> Self {
        Self {
            worker,
            task,
            stop,
            busy_since: None,
            frontier: None,
            committed: None,
            fetch_paused: false,
            revoked: false,
            ended: false,
        }
    }

    /// Whether it can be handed back: nobody touches its queue any more.
    pub fn can_go(&self) -> bool {
        self.revoked && (self.ended || self.task.is_finished())
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
