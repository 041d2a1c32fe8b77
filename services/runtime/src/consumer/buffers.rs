//! Backpressure: what is buffered stays within its bounds, in records and in bytes.

use rdkafka::consumer::Consumer as _;

use super::{Consumer, client};
use crate::desired_state::DesiredState;
use crate::processor::Processor;

impl<P: Processor> Consumer<P> {
    /// Pauses the fetch of partitions that hold more than their share until half of it is worked off, and of all
    /// while the layer is paused. Polling goes on all the while.
    pub(super) fn bound_buffers(&mut self) {
        let shares = self.partitions.len().max(1);
        let paused = *self.desired.borrow() != DesiredState::Running;
        let most_records = (self.limits.buffer_records / shares).max(1);
        let most_bytes = (self.limits.buffer_bytes / shares).max(1);
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (id, partition) in &mut self.partitions {
            let holds = |part: usize| {
                partition.waiting() >= most_records / part || partition.waiting_bytes() >= most_bytes / part
            };
            if !partition.fetch_paused && (holds(1) || paused) {
                partition.fetch_paused = true;
                pause.push((*id, None));
            } else if partition.fetch_paused && !paused && (!holds(2) || partition.waiting() == 0) {
                partition.fetch_paused = false;
                resume.push((*id, None));
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
