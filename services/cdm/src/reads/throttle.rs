//! Files go slower while the consumer is behind: both live on the same server, and the consumer goes first.

use std::sync::Arc;
use std::time::Duration;

use ordervault_runtime::metrics::Metrics;
use tokio::time::Instant;

/// Records on the topic that are not applied yet: with more than these the consumer is behind.
const BEHIND: i64 = 1_000;

/// For so many times as long as a part of a file took the server is left to the consumer.
const LEFT_TO_IT: u32 = 9;

/// No longer, so that a client does not take a slow file for a dead one.
const AT_MOST: Duration = Duration::from_millis(500);

/// How fast a file goes.
pub(super) struct Throttle {
    metrics: Arc<Metrics>,
    part_began: Instant,
}

impl Throttle {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, part_began: Instant::now() }
    }

    /// Waits once a part is there, for as long as the consumer needs.
    pub(super) async fn give_way(&self) {
        if let Some(pause) = pause(self.part_began.elapsed(), self.metrics.lag()) {
            tokio::time::sleep(pause).await;
        }
    }

    /// A part has been taken: what the next one takes counts from here.
    pub(super) fn go_on(&mut self) {
        self.part_began = Instant::now();
    }
}

/// How long to wait after a part that took so long, if at all: any wait is a millisecond at the least. Nobody is behind as
/// far as is known where the lag is not.
fn pause(took: Duration, lag: Option<i64>) -> Option<Duration> {
    lag.is_some_and(|lag| lag > BEHIND).then(|| (took * LEFT_TO_IT).min(AT_MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_waits_while_the_consumer_is_behind_and_never_for_long() {
        let took = Duration::from_millis(2);
        assert_eq!(pause(took, None), None);
        assert_eq!(pause(took, Some(1_000)), None);
        assert_eq!(pause(took, Some(1_001)), Some(Duration::from_millis(18)));
        assert_eq!(pause(Duration::from_secs(3), Some(50_000)), Some(AT_MOST));
    }
}
