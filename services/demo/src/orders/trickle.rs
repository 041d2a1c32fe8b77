//! An endless stream of orders at the present moment.

use std::collections::VecDeque;

use chrono::TimeDelta;

use super::draft::Draft;
use super::{Mix, Produced};
use crate::dictionary::Dictionary;
use crate::timestamp;

/// While so many orders are under way, none is opened.
const UNDER_WAY: usize = 500;

/// New orders and status changes of recent ones, half and half. Times are the present ones, so whoever produces
/// the messages also decides how quickly time passes.
#[derive(Debug)]
pub struct Trickle {
    dictionary: Dictionary,
    mix: Mix,
    random: fastrand::Rng,
    next_order_id: i64,
    under_way: VecDeque<Journey>,
}

#[derive(Debug)]
struct Journey {
    draft: Draft,
    /// The statuses still ahead, the next one last.
    ahead: Vec<&'static str>,
}

impl Trickle {
    /// A trickle over the users and dishes of `dictionary`. Of the mix it heeds how orders look and how they
    /// end; versions always come in order.
    ///
    /// # Panics
    ///
    /// When the dictionary has no users or no restaurants: there is nothing to order then.
    #[must_use]
    pub fn new(dictionary: &Dictionary, seed: u64, first_order_id: i64, mix: Mix) -> Self {
        assert!(
            !dictionary.users().is_empty() && !dictionary.restaurants().is_empty(),
            "orders need users and restaurants"
        );
        Self {
            dictionary: dictionary.clone(),
            mix,
            random: fastrand::Rng::with_seed(seed),
            next_order_id: first_order_id,
            under_way: VecDeque::new(),
        }
    }

    fn open(&mut self) -> Journey {
        let id = self.next_order_id;
        self.next_order_id += 1;
        let draft = Draft::new(id, timestamp::now(), &self.dictionary, &self.mix, &mut self.random);
        let mut ahead = self.mix.path(&mut self.random);
        ahead.reverse();
        Journey { draft, ahead }
    }

    /// The order's next version, and the order again if it is still under way.
    fn advance(&mut self, mut journey: Journey) -> Option<Produced> {
        let status = journey.ahead.pop()?;
        let draft = &mut journey.draft;
        // The clock may stand still or step back; an order's versions must grow all the same.
        let at = timestamp::now().max(draft.updated() + TimeDelta::microseconds(1));
        draft.enter(status, at);
        if self.random.f64() < self.mix.items_changed {
            draft.change_items(&self.dictionary, &mut self.random);
        }
        let message = Produced {
            key: Some(draft.id.to_string().into_bytes()),
            partition: None,
            payload: draft.message(Some(at), Some(at), &self.dictionary),
        };
        if !journey.ahead.is_empty() {
            self.under_way.push_back(journey);
        }
        Some(message)
    }
}

impl Iterator for Trickle {
    type Item = Produced;

    /// Never `None`.
    fn next(&mut self) -> Option<Produced> {
        let recent = self.under_way.len();
        let journey = if recent >= UNDER_WAY || (recent > 0 && self.random.bool()) {
            self.under_way.swap_remove_back(self.random.usize(..recent))
        } else {
            None
        };
        let journey = journey.unwrap_or_else(|| self.open());
        self.advance(journey)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use serde_json::Value;

    use super::*;

    #[test]
    fn orders_are_opened_and_updated_without_end() {
        let dictionary = Dictionary::generate(1, 10, 3);
        let trickle = Trickle::new(&dictionary, 1, 50, Mix::calm());
        let mut versions: HashMap<i64, Vec<String>> = HashMap::new();
        let mut statuses = HashSet::new();
        for message in trickle.take(1_000) {
            let value: Value = serde_json::from_slice(&message.payload).unwrap();
            let version = value["payload"]["update_ts"].as_str().unwrap().to_owned();
            versions.entry(value["object_id"].as_i64().unwrap()).or_default().push(version);
            statuses.insert(value["payload"]["final_status"].as_str().unwrap().to_owned());
        }
        assert!(versions.len() > 200 && versions.len() < 800, "{}", versions.len());
        assert!(versions.values().all(|times| times.is_sorted_by(|one, next| one < next)));
        assert!(statuses.contains("CLOSED") && statuses.contains("CANCELLED"));
    }
}
