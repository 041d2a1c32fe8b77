//! Backpressure: what the client holds of a partition that is not being worked.
//!
//! The client fetches no more of a partition whose queue has reached its bounds, in records and in bytes, and goes on
//! as soon as a batch is taken from it. A pause is for longer halts: it makes the client let go of what it holds,
//! and a fetch takes up to a second to get going after it.

use rdkafka::consumer::Consumer as _;

use super::{Consumer, client};
use crate::processor::Processor;

impl<P: Processor> Consumer<P> {
    /// A batch that waits for the surroundings keeps its turn; another is lent in its place, so that partitions which
    /// cannot go on hold up none that can. No more than the usual number, since each batch is held in memory.
    pub(super) fn lend_turns(&mut self) {
        let halted = self.partitions.values().filter(|held| held.is_halted()).count();
        let wanted = halted.min(self.limits.batches_at_once);
        if wanted > self.lent {
            self.turns.add_permits(wanted - self.lent);
            self.lent = wanted;
        } else {
            // What is in use comes back later.
            self.lent -= self.turns.forget_permits(self.lent - wanted);
        }
    }

    /// Pauses the fetch of partitions whose batch does not come to an end, and of all while the layer is paused.
    /// Polling goes on all the while.
    pub(super) fn bound_fetch(&mut self) {
        let layer_paused = self.doors.desired.borrow().is_paused();
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (id, partition) in &mut self.partitions {
            let halted = layer_paused || partition.is_halted();
            if halted != partition.fetch_paused {
                partition.fetch_paused = halted;
                if halted { &mut pause } else { &mut resume }.push((*id, None));
            }
        }
        if !pause.is_empty()
            && let Err(error) = self.client.pause(&client::list_of(&self.topic, pause))
        {
            tracing::warn!(%error, "the fetch could not be paused");
        }
        if !resume.is_empty()
            && let Err(error) = self.client.resume(&client::list_of(&self.topic, resume))
        {
            tracing::warn!(%error, "the fetch could not be resumed");
        }
    }
}
