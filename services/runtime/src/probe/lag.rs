//! How far the group is behind, in records and in time, as the metrics show it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::broker::{Broker, BrokerError, First};
use crate::metrics::Metrics;
use crate::offsets::Standing;

/// When the first uncommitted record entered Kafka takes a client of its own to find out. In between, the age of the one
/// before is shown, which is the greater one.
const ASKED_EVERY: Duration = Duration::from_secs(10);

/// What is remembered from one look to the next.
#[derive(Default)]
pub struct Lags {
    /// By partition: what lies at or behind an offset.
    found: BTreeMap<i32, (i64, Ahead)>,
    /// By partition: where it ended.
    ends: BTreeMap<i32, i64>,
    asked: Option<Instant>,
}

/// What is known of the first record that is not committed.
#[derive(Clone, Copy, Debug)]
enum Ahead {
    /// It entered Kafka then.
    Entered(DateTime<Utc>),
    /// At the look before this one there was none: without asking no more is known.
    CameBy(DateTime<Utc>),
    /// There is none below this end.
    Nothing(i64),
}

impl Lags {
    /// Shows the lags of these partitions.
    pub fn show(
        &mut self,
        broker: &Broker,
        standings: &BTreeMap<i32, Standing>,
        metrics: &Metrics,
    ) -> Result<(), BrokerError> {
        let now = Utc::now();
        self.found.retain(|partition, _| standings.get(partition).is_none_or(|standing| standing.lag() > 0));
        self.note_what_has_come(standings, now);
        let asked = self.ask(broker, standings, now);
        for (partition, standing) in standings {
            let ahead = self.found.get(partition).map(|(_, ahead)| *ahead);
            let (lag, age) = match ahead {
                _ if standing.lag() == 0 => (0, Some(0.0)),
                Some(Ahead::Nothing(end)) if end == standing.high => (0, Some(0.0)),
                Some(Ahead::Nothing(_)) | None => (standing.lag(), None),
                // A producer's clock may be ahead of ours.
                Some(Ahead::Entered(time) | Ahead::CameBy(time)) => {
                    (standing.lag(), Some((now - time).as_seconds_f64().max(0.0)))
                }
            };
            let label = &[&*partition.to_string()];
            metrics.lag_records.with_label_values(label).set(lag);
            if let Some(age) = age {
                metrics.lag_seconds.with_label_values(label).set(age);
            }
        }
        asked
    }

    /// What was not there at the last look has only just come.
    fn note_what_has_come(&mut self, standings: &BTreeMap<i32, Standing>, now: DateTime<Utc>) {
        for (partition, standing) in standings {
            let next = standing.next();
            let done = match self.found.get(partition) {
                Some((at, Ahead::Nothing(end))) if *at == next => *end,
                _ => next,
            };
            let end_before = self.ends.insert(*partition, standing.high);
            if done < standing.high && end_before.is_some_and(|end| done >= end) {
                self.found.insert(*partition, (next, Ahead::CameBy(now)));
            }
        }
    }

    /// Asks for the records of which nothing certain is known.
    fn ask(
        &mut self,
        broker: &Broker,
        standings: &BTreeMap<i32, Standing>,
        now: DateTime<Utc>,
    ) -> Result<(), BrokerError> {
        let unknown = standings.iter().filter(|(partition, standing)| {
            standing.lag() > 0 && !self.found.get(partition).is_some_and(|found| is_known(*found, standing, now))
        });
        let unknown: BTreeMap<i32, i64> = unknown.map(|(partition, standing)| (*partition, standing.next())).collect();
        if unknown.is_empty() || self.asked.is_some_and(|asked| asked.elapsed() < ASKED_EVERY) {
            return Ok(());
        }
        self.asked = Some(Instant::now());
        for (partition, first) in broker.first_records(&unknown)? {
            let ahead = match first {
                First::Record(Some(time)) => Ahead::Entered(time),
                First::Record(None) => continue,
                First::Nothing => Ahead::Nothing(standings[&partition].high),
            };
            self.found.insert(partition, (unknown[&partition], ahead));
        }
        Ok(())
    }
}

fn is_known((at, ahead): (i64, Ahead), standing: &Standing, now: DateTime<Utc>) -> bool {
    at == standing.next()
        && match ahead {
            Ahead::Entered(_) => true,
            // What lasts may be no record at all.
            Ahead::CameBy(time) => now - time < TimeDelta::from_std(ASKED_EVERY).unwrap_or(TimeDelta::MAX),
            Ahead::Nothing(end) => end == standing.high,
        }
}
