//! How many batches are on the road: a layer is paused once there are none and nobody begins another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::desired_state::DesiredStateReader;

/// Counts the batches on the road.
#[derive(Clone, Debug, Default)]
pub struct Flights(Arc<AtomicUsize>);

/// A batch on the road, until it is dropped.
#[derive(Debug)]
pub struct Flight(Arc<AtomicUsize>);

impl Flights {
    /// Leave to take a batch on the road; `None` where the layer is to be paused. The batch is counted before it is asked
    /// whether it may go, so that who finds none after the layer was to be paused knows that none will come.
    #[must_use]
    pub fn take_off(&self, desired: &DesiredStateReader) -> Option<Flight> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let flight = Flight(Arc::clone(&self.0));
        (!desired.borrow().is_paused()).then_some(flight)
    }

    /// Whether no batch is on the road.
    #[must_use]
    pub fn are_over(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
