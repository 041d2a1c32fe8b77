//! For how long a question is asked, and what is waited for meanwhile.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

const PATIENCE: Duration = Duration::from_secs(3);
const COORDINATOR_AGAIN: Duration = Duration::from_millis(200);

/// Until when a question is asked.
#[derive(Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// A question that is asked from now on.
    pub fn begun() -> Self {
        Self(Instant::now() + PATIENCE)
    }

    /// For how long it is still asked.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// A coordinator that is only just being found is waited for: a new broker, or another broker's turn, is no sign
    /// of ill health.
    pub fn wait_for_coordinator<T>(self, mut ask: impl FnMut(Duration) -> KafkaResult<T>) -> KafkaResult<T> {
        use RDKafkaErrorCode as C;
        loop {
            let answer = ask(self.left());
            let code = answer.as_ref().err().and_then(KafkaError::rdkafka_error_code);
            let passes =
                matches!(code, Some(C::NotCoordinator | C::CoordinatorNotAvailable | C::CoordinatorLoadInProgress));
            if !passes || self.left() < COORDINATOR_AGAIN {
                return answer;
            }
            std::thread::sleep(COORDINATOR_AGAIN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: RDKafkaErrorCode) -> KafkaResult<()> {
        Err(KafkaError::MetadataFetch(code))
    }

    #[test]
    fn a_coordinator_that_is_only_just_being_found_is_waited_for() {
        use RDKafkaErrorCode as C;
        let mut answers = [Ok(()), refused(C::CoordinatorLoadInProgress), refused(C::NotCoordinator)].into_iter();
        let answer = Deadline::begun().wait_for_coordinator(|_| answers.next_back().unwrap());
        assert_eq!(answer, Ok(()));
    }

    #[test]
    fn any_other_error_is_an_answer_and_so_is_one_that_lasts() {
        let mut asked = 0;
        let answer = Deadline::begun().wait_for_coordinator(|_| {
            asked += 1;
            refused(RDKafkaErrorCode::UnknownMemberId)
        });
        assert_eq!((answer, asked), (refused(RDKafkaErrorCode::UnknownMemberId), 1));
        let over = Deadline(Instant::now() + COORDINATOR_AGAIN / 2);
        let lasts = over.wait_for_coordinator(|_| refused(RDKafkaErrorCode::CoordinatorNotAvailable));
        assert_eq!(lasts, refused(RDKafkaErrorCode::CoordinatorNotAvailable));
    }
}
