//! What the consumer is asked to do. The loop obeys; who asks, and where that is kept, is not its affair.

use tokio::sync::watch;

/// What the layer is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DesiredState {
    /// Work.
    #[default]
    Running,
    /// Keep membership and partitions, finish what is in flight, start nothing.
    Paused {
        /// Why, for people.
        reasons: Vec<String>,
    },
}

/// The end of the door at which the loop waits.
pub type DesiredStateReader = watch::Receiver<DesiredState>;

/// The end of the door through which the desired state is told.
pub type DesiredStateWriter = watch::Sender<DesiredState>;

/// A door whose state is `Running` until told otherwise.
#[must_use]
pub fn door() -> (DesiredStateWriter, DesiredStateReader) {
    watch::channel(DesiredState::Running)
}
