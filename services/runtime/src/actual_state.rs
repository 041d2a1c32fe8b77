//! What the consumer does, as it says itself. The loop tells; the control plane reports it to `ops`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

/// What a member is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// It has not yet carried out a desired state.
    Starting,
    /// It works.
    Running,
    /// It has nothing in flight and begins nothing.
    Paused,
    /// It has not reported for ten seconds.
    Gone,
}

impl MemberState {
    /// As it is written in the table, in JSON and in the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Gone => "gone",
        }
    }
}

/// What the consumer of one member does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActualState {
    /// The generation of the desired state that has been carried out; `None` until the first one is.
    pub generation: Option<i64>,
    /// Whether nothing is in flight and nothing will be begun.
    pub paused: bool,
    /// The partitions that it holds, each with its next offset where that is known.
    pub positions: BTreeMap<i32, Option<i64>>,
    /// The batch that was last done.
    pub last_batch: Option<LastBatch>,
    /// When it last finished a batch or found nothing to do.
    pub last_progress: Option<DateTime<Utc>>,
}

impl ActualState {
    /// It, in one word.
    #[must_use]
    pub const fn state(&self) -> MemberState {
        match (self.generation, self.paused) {
            (None, _) => MemberState::Starting,
            (Some(_), true) => MemberState::Paused,
            (Some(_), false) => MemberState::Running,
        }
    }
}

/// The batch that a member did last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastBatch {
    /// Its partition.
    pub partition: i32,
    /// How many records it had.
    pub records: usize,
    /// When it was done, UTC.
    pub finished_at: DateTime<Utc>,
}

/// The end of the door at which the control plane waits: it is woken by what others have to know soon.
pub type ActualStateReader = watch::Receiver<ActualState>;

/// The end of the door through which the loop tells.
pub type ActualStateWriter = watch::Sender<ActualState>;

/// A door behind which nothing is known yet.
#[must_use]
pub fn door() -> (ActualStateWriter, ActualStateReader) {
    watch::channel(ActualState::default())
}

/// Tells what is so now. Who waits is woken where a generation was carried out or partitions came or went; positions and
/// batches change all the time and are read when they are wanted.
pub fn tell(door: &ActualStateWriter, now: ActualState) {
    door.send_if_modified(|held| {
        let matters = held.generation != now.generation
            || held.paused != now.paused
            || !held.positions.keys().eq(now.positions.keys());
        *held = now;
        matters
    });
}
