//! Whether the topic is still the one that it was.
//!
//! Of one that is deleted and made anew at once a client notices nothing: it waits at its offset of the old one, and goes
//! on there once the new one has become as long. The broker tells, though: such a partition ends before where it
//! ended, or the group's commit has gone with the old one.

use std::collections::BTreeMap;

use tokio::sync::mpsc::UnboundedSender;

use crate::offsets::Standing;

/// Partitions that are not what they were, with their ends now.
pub type Renewed = BTreeMap<i32, i64>;

/// What is remembered from one look to the next, and who hears of a difference.
pub struct Topic {
    last: BTreeMap<i32, Standing>,
    tell: UnboundedSender<Renewed>,
}

impl Topic {
    /// Nothing is known of the topic yet.
    pub fn new(tell: UnboundedSender<Renewed>) -> Self {
        Self { last: BTreeMap::new(), tell }
    }

    /// Compares with the last look at these partitions.
    pub fn compare(&mut self, standings: &BTreeMap<i32, Standing>) {
        let mut renewed = Renewed::new();
        for (partition, now) in standings {
            let before = self.last.insert(*partition, *now);
            if before.is_some_and(|before| is_another(before, *now)) {
                renewed.insert(*partition, now.high);
            }
        }
        if !renewed.is_empty() {
            // The loop is gone only when the service is at its end.
            let _ = self.tell.send(renewed);
        }
    }
}

fn is_another(before: Standing, now: Standing) -> bool {
    now.high < before.high || before.committed.is_some() && now.committed.is_none()
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    fn standing(committed: Option<i64>, high: i64) -> Standing {
        Standing { committed, low: 0, high, first_at: None }
    }

    #[test]
    fn a_partition_that_ends_sooner_or_has_lost_its_commit_is_another_and_one_that_grows_or_goes_back_is_not() {
        let (tell, mut heard) = unbounded_channel();
        let mut topic = Topic::new(tell);
        topic.compare(&[(0, standing(None, 9)), (1, standing(Some(7), 9)), (2, standing(Some(7), 9))].into());
        topic.compare(&[(0, standing(Some(9), 9)), (1, standing(Some(7), 12)), (2, standing(Some(1), 9))].into());
        assert!(heard.try_recv().is_err());
        topic.compare(&[(0, standing(Some(9), 5)), (2, standing(None, 20))].into());
        assert_eq!(heard.try_recv().unwrap(), [(0, 5), (2, 20)].into());
        topic.compare(&[(0, standing(Some(5), 5)), (1, standing(Some(12), 12)), (2, standing(None, 20))].into());
        assert!(heard.try_recv().is_err());
    }
}
