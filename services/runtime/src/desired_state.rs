//! What the layer is asked to do, for all its replicas. The loop obeys; the control plane fills the door from `ops`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

/// What the layer is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredState {
    /// Grows with every change, so that a member can say which of them it has carried out.
    pub generation: i64,
    /// Why the layer is paused; it runs while there is no reason not to. Paused, it keeps membership and partitions,
    /// finishes what is in flight, and starts nothing.
    pub pauses: Vec<Pause>,
}

/// One reason why a layer is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pause {
    /// Who may have wanted it.
    pub kind: PauseKind,
    /// Why, for people.
    #[schema(example = "menu migration, ticket 4711")]
    pub reason: String,
    /// The name of the token that asked for it, or `ordervault` for the service itself.
    #[schema(example = "alice")]
    pub actor: String,
    /// Since when, UTC.
    pub since: DateTime<Utc>,
    /// When it ends by itself, if it does, UTC.
    pub until: Option<DateTime<Utc>>,
}

/// The kinds of reasons for a pause; a layer has at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PauseKind {
    /// Somebody asked for it.
    Operator,
    /// Too many of the last records were dead letters.
    DeadLetterBreaker,
}

impl PauseKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Operator, Self::DeadLetterBreaker];

    /// As it is written in the table, in JSON and in the metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::DeadLetterBreaker => "dead_letter_breaker",
        }
    }
}

impl DesiredState {
    /// Whether there is a reason not to run.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        !self.pauses.is_empty()
    }
}

/// The end of the door at which the loop waits.
pub type DesiredStateReader = watch::Receiver<DesiredState>;

/// The end of the door through which the desired state is told.
pub type DesiredStateWriter = watch::Sender<DesiredState>;

/// A door that opens on this state.
#[must_use]
pub fn door(first: DesiredState) -> (DesiredStateWriter, DesiredStateReader) {
    watch::channel(first)
}
