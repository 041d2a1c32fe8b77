//! Growing pauses between attempts, with jitter, so that replicas do not retry in step.

use std::time::Duration;

/// Pauses that double from `first` to `most`; each is drawn between half of that and all of it.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    attempt: u32,
}

impl Backoff {
    /// For faults of the surroundings: quick to notice that they are over, gentle while they last.
    #[must_use]
    pub fn for_outages() -> Self {
        Self { first: Duration::from_millis(50), most: Duration::from_secs(3), attempt: 0 }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let whole = growing(self.first, self.most, self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// `first` doubled `attempts` times, at most `most`.
#[must_use]
pub fn growing(first: Duration, most: Duration, attempts: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(attempts.min(31))).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most() {
        let (first, most) = (Duration::from_secs(1), Duration::from_mins(5));
        assert_eq!(growing(first, most, 0), first);
        assert_eq!(growing(first, most, 3), Duration::from_secs(8));
        assert_eq!(growing(first, most, 40), most);
    }
}
