//! The dead-letter breaker: when too many of the last records ended as dead letters, it is the producer that has gone
//! wrong, and the layer pauses itself before a table is filled with them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// When the breaker trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// How many records back it looks.
    pub records: usize,
    /// It trips when more than this share of them, in percent, were dead letters; at 100 it never does.
    pub percent: u8,
}

/// The outcomes of the last records of one member.
#[derive(Debug)]
pub struct Breaker {
    threshold: Threshold,
    window: Mutex<Window>,
    tripped: Notify,
}

#[derive(Debug, Default)]
struct Window {
    /// The code of each record that was a dead letter.
    outcomes: VecDeque<Option<String>>,
    dead: usize,
    cause: Option<String>,
}

impl Breaker {
    /// A breaker that has seen nothing yet.
    #[must_use]
    pub fn new(threshold: Threshold) -> Self {
        Self { threshold, window: Mutex::default(), tripped: Notify::new() }
    }

    /// Takes the outcomes of a batch into account: of `records`, those with these codes were dead letters.
    pub fn note<'a>(&self, records: usize, codes: impl ExactSizeIterator<Item = &'a str>) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let good = records.saturating_sub(codes.len()).min(self.threshold.records);
        // Within a batch their order does not matter: the dead ones are the newer.
        for outcome in std::iter::repeat_n(None, good).chain(codes.map(|code| Some(code.to_owned()))) {
            window.push(outcome, self.threshold.records);
        }
        // A window that is not full yet is judged as if the records still to come were good.
        let most = self.threshold.records * usize::from(self.threshold.percent) / 100;
        if window.cause.is_none() && window.dead > most {
            window.cause = Some(window.describe(self.threshold.records));
            self.tripped.notify_one();
        }
    }

    /// Waits until it trips, and says why.
    pub async fn trip(&self) -> String {
        loop {
            if let Some(cause) = self.window.lock().unwrap_or_else(PoisonError::into_inner).cause.clone() {
                return cause;
            }
            self.tripped.notified().await;
        }
    }

    /// Forgets what it has seen: somebody has had the layer run again.
    pub fn rearm(&self) {
        *self.window.lock().unwrap_or_else(PoisonError::into_inner) = Window::default();
    }
}

impl Window {
    fn push(&mut self, outcome: Option<String>, most: usize) {
        self.dead += usize::from(outcome.is_some());
        self.outcomes.push_back(outcome);
        if self.outcomes.len() > most
            && let Some(Some(_)) = self.outcomes.pop_front()
        {
            self.dead -= 1;
        }
    }

    fn describe(&self, most: usize) -> String {
        let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
        for code in self.outcomes.iter().flatten() {
            *codes.entry(code).or_default() += 1;
        }
        let (code, times) = codes.into_iter().max_by_key(|(_, times)| *times).unwrap_or_default();
        format!("{} of the last {most} records were dead letters, {times} of them with the code {code}", self.dead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Threshold { records: 1000, percent: 50 })
    }

    fn cause(breaker: &Breaker) -> Option<String> {
        breaker.window.lock().unwrap().cause.clone()
    }

    fn codes(code: &str, times: usize) -> std::vec::IntoIter<&str> {
        vec![code; times].into_iter()
    }

    #[test]
    fn it_trips_at_more_than_half_and_names_the_most_frequent_code() {
        let breaker = breaker();
        breaker.note(1000, codes("missing:payload", 300));
        breaker.note(200, codes("not_json", 200));
        assert_eq!(cause(&breaker), None);
        breaker.note(1, codes("not_json", 1));
        let cause = cause(&breaker).unwrap();
        assert!(cause.starts_with("501 of the last 1000 records"), "{cause}");
        assert!(cause.ends_with("300 of them with the code missing:payload"), "{cause}");
    }

    #[test]
    fn bad_records_that_lie_far_back_do_not_count() {
        let breaker = breaker();
        for _ in 0..10 {
            breaker.note(1000, codes("not_json", 10));
            breaker.note(5000, codes("", 0));
        }
        breaker.note(400, codes("not_json", 400));
        breaker.note(1000, codes("", 0));
        breaker.note(400, codes("not_json", 400));
        assert_eq!(cause(&breaker), None);
    }

    #[test]
    fn after_a_resume_it_begins_anew() {
        let breaker = breaker();
        breaker.note(600, codes("not_json", 600));
        assert!(cause(&breaker).is_some());
        breaker.rearm();
        breaker.note(400, codes("not_json", 400));
        assert_eq!(cause(&breaker), None);
    }

    #[test]
    fn at_a_hundred_percent_it_never_trips() {
        let breaker = Breaker::new(Threshold { records: 100, percent: 100 });
        breaker.note(500, codes("not_json", 500));
        assert_eq!(cause(&breaker), None);
    }
}
