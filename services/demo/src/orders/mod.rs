//! Orders as the source system sends them: a backlog full of adversities, and an endless trickle.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};

use crate::dictionary::Dictionary;

mod draft;
mod mix;
mod trickle;

use draft::Draft;
pub use mix::Mix;
pub use trickle::Trickle;

/// Messages of one order lie at most this many orders apart for each step, so that versions of many orders
/// interleave while the generator only ever holds a few thousand messages.
const LONGEST_GAP: u64 = 400;

/// A message ready to be produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// The record's key; the source leaves it out or empty at times.
    pub key: Option<Vec<u8>>,
    /// The partition, where the message insists on one.
    pub partition: Option<i32>,
    /// The record's value.
    pub payload: Vec<u8>,
}

/// Which orders a backlog consists of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The same seed (and dictionary) gives the same backlog.
    pub seed: u64,
    /// Orders are numbered from here, so that runs on shared servers do not meet.
    pub first_order_id: i64,
    /// How many orders; messages are more, by versions and duplicates.
    pub orders: u64,
    /// How many partitions the topic has, for the orders whose versions are scattered.
    pub partitions: i32,
    /// The adversities.
    pub mix: Mix,
}

/// The messages of a plan in the order in which they are to be produced. An iterator, so that a backlog of any
/// size costs little memory; `collect` it where the number of messages must be known first.
#[derive(Debug)]
pub struct Backlog {
    dictionary: Dictionary,
    plan: Plan,
    random: fastrand::Rng,
    drafted: u64,
    sequence: u64,
    /// What is drafted and not yet due, by position and then by sequence.
    pending: BTreeMap<(u64, u64), Produced>,
}

impl Backlog {
    /// A backlog over the users and dishes of `dictionary`, withheld ones included.
    ///
    /// # Panics
    ///
    /// When the dictionary has no users or no restaurants: there is nothing to order then.
    #[must_use]
    pub fn new(dictionary: &Dictionary, plan: Plan) -> Self {
        assert!(
            !dictionary.users().is_empty() && !dictionary.restaurants().is_empty(),
            "orders need users and restaurants"
        );
        Self {
            dictionary: dictionary.clone(),
            random: fastrand::Rng::with_seed(plan.seed),
            plan,
            drafted: 0,
            sequence: 0,
            pending: BTreeMap::new(),
        }
    }

    /// Drafts the next order whole: every message it will ever send, each at its position.
    fn draft_order(&mut self) {
        let index = self.drafted;
        self.drafted += 1;
        let id = self.plan.first_order_id + index.cast_signed();
        let opened = first_date() + TimeDelta::seconds(2 * index.cast_signed());
        let mix = self.plan.mix.clone();
        let mut draft = Draft::new(id, opened, &self.dictionary, &mix, &mut self.random);
        let messages = self.messages(&mut draft, &mix);
        let scattered = self.random.f64() < mix.scattered;

        let mut positions = vec![index];
        while positions.len() < messages.len() {
            let last = positions[positions.len() - 1];
            positions.push(last + self.random.u64(1..=LONGEST_GAP));
        }
        if self.random.f64() < mix.out_of_order {
            self.random.shuffle(&mut positions);
        }
        for (payload, position) in messages.into_iter().zip(positions) {
            let key = self.key(id, mix.empty_keys);
            let mut partition = self.partition(scattered);
            if self.random.f64() < mix.duplicates {
                let later = position + self.random.u64(0..=LONGEST_GAP);
                let copy = Produced { key: key.clone(), partition, payload: payload.clone() };
                self.put(later, copy);
                partition = self.partition(scattered);
            }
            self.put(position, Produced { key, partition, payload });
        }
    }

    /// The order's versions, oldest first. Their version times are distinct, so that what the tables should
    /// hold does not depend on which of two arrived later.
    fn messages(&mut self, draft: &mut Draft, mix: &Mix) -> Vec<Vec<u8>> {
        let path = mix.path(&mut self.random);
        let several = self.random.f64() < mix.versions;
        let mut messages = Vec::new();
        for (step, status) in path.iter().enumerate() {
            // At least a minute passes between two steps, and sending takes at most 20 seconds: whichever of
            // the two times becomes the version, it lies between those of the neighbours.
            let at = if step == 0 { draft.opened } else { draft.updated() + self.pause() };
            draft.enter(status, at);
            let last = step + 1 == path.len();
            if !several && !last {
                continue;
            }
            if step > 0 && self.random.f64() < mix.items_changed {
                draft.change_items(&self.dictionary, &mut self.random);
            }
            let without_update_ts = self.random.f64() < mix.without_update_ts;
            // With both times missing the order's date is the version. It is the same for all versions, so only
            // an order that has a single one may lack both.
            let without_sent_dttm = self.random.f64() < mix.without_sent_dttm && !(several && without_update_ts);
            let sent = at + TimeDelta::seconds(self.random.i64(1..=20));
            messages.push(draft.message(
                (!without_sent_dttm).then_some(sent),
                (!without_update_ts).then_some(at),
                &self.dictionary,
            ));
        }
        messages
    }

    fn pause(&mut self) -> TimeDelta {
        let fraction = if self.random.u8(..10) == 0 { self.random.i64(1..1_000_000) } else { 0 };
        TimeDelta::seconds(self.random.i64(60..2_400)) + TimeDelta::microseconds(fraction)
    }

    fn key(&mut self, id: i64, empty_keys: f64) -> Option<Vec<u8>> {
        if self.random.f64() >= empty_keys {
            return Some(id.to_string().into_bytes());
        }
        self.random.bool().then(Vec::new)
    }

    fn partition(&mut self, scattered: bool) -> Option<i32> {
        scattered.then(|| self.random.i32(0..self.plan.partitions.max(1)))
    }

    fn put(&mut self, position: u64, message: Produced) {
        self.sequence += 1;
        self.pending.insert((position, self.sequence), message);
    }
}

impl Iterator for Backlog {
    type Item = Produced;

    fn next(&mut self) -> Option<Produced> {
        // An order's first message lies at its own index, so whatever lies before the next order's index is due.
        while self.drafted < self.plan.orders
            && self.pending.first_key_value().is_none_or(|(&(position, _), _)| position >= self.drafted)
        {
            self.draft_order();
        }
        self.pending.pop_first().map(|(_, message)| message)
    }
}

/// When the first order of a backlog was opened.
fn first_date() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2024, 1, 1).unwrap_or_default().and_hms_opt(8, 0, 0).unwrap_or_default()
}

#[cfg(test)]
mod tests;
