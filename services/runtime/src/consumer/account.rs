//! The account that the loop gives of itself.

use chrono::Utc;

use super::Consumer;
use crate::actual_state::{self, ActualState};
use crate::processor::Processor;

impl<P: Processor> Consumer<P> {
    pub(super) fn note_progress(&mut self) {
        self.progress_at = Utc::now();
        self.road.health.progressed();
    }

    /// Tells the control plane what the consumer does.
    pub(super) fn give_account(&mut self) {
        let (generation, to_pause) = {
            let desired = self.doors.desired.borrow();
            (desired.generation, desired.is_paused())
        };
        let paused = to_pause && self.is_quiet();
        if paused || !to_pause {
            self.reached = Some(generation);
        }
        let account = ActualState {
            generation: self.reached,
            paused,
            positions: self.partitions.iter().map(|(id, held)| (*id, held.frontier)).collect(),
            last_batch: self.last_batch.clone(),
            last_progress: Some(self.progress_at),
        };
        self.road.metrics.does(account.state());
        actual_state::tell(&self.doors.actual, account);
    }

    /// Whether nothing is in flight, nor done and still to be committed. A batch is reported before it counts as over,
    /// so once none is on the road and no report is unread, all that was done is known here.
    fn is_quiet(&self) -> bool {
        self.road.flights.are_over()
            && self.reports.is_empty()
            && !self.commits.is_under_way()
            && self.rejoin_for.is_none()
            && self.to_commit().is_empty()
    }
}
