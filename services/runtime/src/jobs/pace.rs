//! The rate of a job: records a second, evenly.

use std::time::Duration;

use tokio::time::Instant;

/// A halt that was longer than this is not made up for.
const CATCH_UP: Duration = Duration::from_millis(500);

/// When the next records may be sent.
#[derive(Debug)]
pub struct Pace {
    per_second: f64,
    next: Instant,
}

impl Pace {
    /// At most so many records a second.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second.max(1)), next: Instant::now() }
    }

    /// Waits until `records` may be sent.
    pub async fn await_turn(&mut self, records: usize) {
        let now = Instant::now();
        self.next = self.next.max(now.checked_sub(CATCH_UP).unwrap_or(now));
        let turn = self.next;
        self.next += Duration::from_secs_f64(crate::metrics::as_f64(records) / self.per_second);
        tokio::time::sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn records_are_spread_over_time_and_a_halt_is_not_made_up_for() {
        let mut pace = Pace::new(100);
        let begun = Instant::now();
        for _ in 0..11 {
            pace.await_turn(10).await;
        }
        assert_eq!(begun.elapsed().as_millis() / 10, 100);
        tokio::time::sleep(Duration::from_mins(1)).await;
        let again = Instant::now();
        for _ in 0..11 {
            pace.await_turn(10).await;
        }
        assert!(again.elapsed() >= Duration::from_millis(400), "{:?}", again.elapsed());
    }
}
