//! One order and its message.

use chrono::NaiveDateTime;
use serde::Serialize;
use serde_json::value::RawValue;

use super::Mix;
use crate::dictionary::{Dictionary, Restaurant};
use crate::timestamp;

/// An order as the source system keeps it while it changes.
#[derive(Debug)]
pub(super) struct Draft {
    /// The order's number.
    pub(super) id: i64,
    /// When it was opened; its date for ever.
    pub(super) opened: NaiveDateTime,
    user: usize,
    restaurant: usize,
    lines: Vec<Line>,
    cost: String,
    payment: String,
    /// Oldest first.
    statuses: Vec<(&'static str, NaiveDateTime)>,
}

#[derive(Debug)]
struct Line {
    dish: usize,
    quantity: u32,
}

impl Draft {
    /// An order of 1 to 5 lines (or none, as the mix says) by a random user at a random restaurant.
    pub(super) fn new(
        id: i64,
        opened: NaiveDateTime,
        dictionary: &Dictionary,
        mix: &Mix,
        random: &mut fastrand::Rng,
    ) -> Self {
        let user = skewed(dictionary.users().len(), random);
        let restaurant = skewed(dictionary.restaurants().len(), random);
        let dishes = dictionary.restaurants()[restaurant].menu.len();
        let mut lines = Vec::new();
        if random.f64() >= mix.without_items {
            let distinct = random.usize(1..=5.min(dishes));
            let chosen = random.choose_multiple(0..dishes, distinct);
            lines.extend(chosen.into_iter().map(|dish| Line { dish, quantity: random.u32(1..=5) }));
            if random.f64() < mix.repeated_dishes {
                let dish = lines[0].dish;
                // Five lines are the most an order has.
                lines.truncate(4);
                lines.push(Line { dish, quantity: random.u32(1..=5) });
            }
        }
        let mut draft = Self {
            id,
            opened,
            user,
            restaurant,
            lines,
            cost: String::new(),
            payment: String::new(),
            statuses: Vec::new(),
        };
        draft.reckon(dictionary, random);
        draft
    }

    /// The order reaches `status`.
    pub(super) fn enter(&mut self, status: &'static str, at: NaiveDateTime) {
        self.statuses.push((status, at));
    }

    /// When the order last changed.
    pub(super) fn updated(&self) -> NaiveDateTime {
        self.statuses.last().map_or(self.opened, |(_, at)| *at)
    }

    /// What the order is at present.
    pub(super) fn status(&self) -> &'static str {
        self.statuses.last().map_or("OPEN", |(status, _)| status)
    }

    /// A dish is taken off the order, or another one added to it.
    pub(super) fn change_items(&mut self, dictionary: &Dictionary, random: &mut fastrand::Rng) {
        if self.lines.len() > 1 && (self.lines.len() >= 5 || random.bool()) {
            self.lines.swap_remove(random.usize(..self.lines.len()));
        } else {
            let dishes = dictionary.restaurants()[self.restaurant].menu.len();
            let line = Line { dish: random.usize(..dishes), quantity: random.u32(1..=5) };
            self.lines.push(line);
        }
        self.reckon(dictionary, random);
    }

    /// The message that tells of the order as it is now.
    pub(super) fn message(
        &self,
        sent: Option<NaiveDateTime>,
        updated: Option<NaiveDateTime>,
        dictionary: &Dictionary,
    ) -> Vec<u8> {
        let restaurant = &dictionary.restaurants()[self.restaurant];
        let statuses = self.statuses.iter().rev();
        let message = Message {
            object_id: self.id,
            object_type: "order",
            sent_dttm: sent.map(timestamp::text),
            payload: Payload {
                restaurant: Reference { id: &restaurant.id },
                date: timestamp::text(self.opened),
                user: Reference { id: &dictionary.users()[self.user].id },
                order_items: self.lines.iter().map(|line| line.item(restaurant)).collect(),
                bonus_payment: 0,
                cost: raw(&self.cost),
                payment: raw(&self.payment),
                bonus_grant: 0,
                statuses: statuses.map(|(status, at)| Status { status, dttm: timestamp::text(*at) }).collect(),
                final_status: self.status(),
                update_ts: updated.map(timestamp::text),
            },
        };
        serde_json::to_vec(&message).expect("strings, numbers and lists of them always have a JSON text")
    }

    fn reckon(&mut self, dictionary: &Dictionary, random: &mut fastrand::Rng) {
        let menu = &dictionary.restaurants()[self.restaurant].menu;
        let total = self.lines.iter().map(|line| menu[line.dish].price * line.quantity).sum();
        self.cost = number(total, random);
        self.payment = number(total, random);
    }
}

impl Line {
    fn item<'a>(&self, restaurant: &'a Restaurant) -> Item<'a> {
        let dish = &restaurant.menu[self.dish];
        Item { id: &dish.id, name: &dish.name, price: dish.price, quantity: self.quantity }
    }
}

/// A number as text in one of the ways in which sources write it. Keys of the vault depend on the way.
fn number(total: u32, random: &mut fastrand::Rng) -> String {
    match random.u8(..40) {
        0..4 => format!("{total}.50"),
        4..6 => format!("{total}.0"),
        6..8 => format!("{total}.125"),
        8 => "0.1".to_owned(),
        9 => "1E+2".to_owned(),
        10 => "1e-7".to_owned(),
        _ => total.to_string(),
    }
}

fn raw(number: &str) -> Box<RawValue> {
    RawValue::from_string(number.to_owned()).expect("every form that is generated is a JSON number")
}

/// An index below `len` (which is not 0) that favours small ones: some users and restaurants order far more than others.
fn skewed(len: usize, random: &mut fastrand::Rng) -> usize {
    random.usize(..len).min(random.usize(..len))
}

#[derive(Serialize)]
struct Message<'a> {
    object_id: i64,
    object_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_dttm: Option<String>,
    payload: Payload<'a>,
}

#[derive(Serialize)]
struct Payload<'a> {
    restaurant: Reference<'a>,
    date: String,
    user: Reference<'a>,
    order_items: Vec<Item<'a>>,
    bonus_payment: u32,
    cost: Box<RawValue>,
    payment: Box<RawValue>,
    bonus_grant: u32,
    statuses: Vec<Status<'a>>,
    final_status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_ts: Option<String>,
}

#[derive(Serialize)]
struct Reference<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct Item<'a> {
    id: &'a str,
    name: &'a str,
    price: u32,
    quantity: u32,
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'a str,
    dttm: String,
}
