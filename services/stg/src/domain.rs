//! From a source order and the dictionary to the message for DDS. Pure.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, Utc};
use ordervault_contracts::source_order::{Item, SourceOrder};
use ordervault_contracts::stg_order as onward;
use ordervault_contracts::time::Time;
use ordervault_runtime::fault::RecordFault;
use ordervault_runtime::record::Record;

use crate::dictionary::{Dish, Entry, Restaurant, User};

/// An order as it came, and what the dictionary says to it.
#[derive(Debug)]
pub struct Order {
    /// The message.
    pub message: SourceOrder,
    /// The payload, to the letter: a part of the record's value.
    pub payload: Bytes,
    /// When it was sent; the record's Kafka time where the message does not say.
    pub sent: NaiveDateTime,
    /// The version.
    pub version: NaiveDateTime,
    /// Where its record lies: the topic.
    pub topic: Arc<str>,
    /// Where its record lies: the partition.
    pub partition: i32,
    /// Where its record lies: the offset.
    pub offset: i64,
    /// The user, as the dictionary has it.
    pub user: Entry<User>,
    /// The restaurant, as the dictionary has it.
    pub restaurant: Entry<Restaurant>,
}

/// What the dictionary says of everything that an order names.
#[derive(Debug)]
pub struct Named<'o> {
    /// The user.
    pub user: &'o User,
    /// The restaurant.
    pub restaurant: &'o Restaurant,
    /// The dish of each line.
    pub dishes: Vec<&'o Dish>,
}

impl Order {
    /// An order that the dictionary has not been asked about.
    #[must_use]
    pub fn new(message: SourceOrder, payload: Bytes, record: &Record) -> Self {
        Self {
            sent: message.sent_dttm.map_or(record.time.naive_utc(), |time| time.0),
            version: message.version().0,
            topic: Arc::clone(&record.topic),
            partition: record.partition,
            offset: record.offset,
            payload,
            message,
            user: Entry::Missing,
            restaurant: Entry::Missing,
        }
    }

    /// Whether this is what is stored once both have come, `held` first. Of two that say the same the first stays, so that a
    /// record that is processed again leaves no trace.
    #[must_use]
    pub fn replaces(&self, held: &Self) -> bool {
        let says_else = || (self.sent, &self.payload) != (held.sent, &held.payload);
        self.version > held.version || (self.version == held.version && says_else())
    }

    /// The payload as text.
    #[must_use]
    pub fn payload_text(&self) -> &str {
        // It is a part of a value that has been read as text.
        std::str::from_utf8(&self.payload).unwrap_or_default()
    }

    /// What the dictionary says of everything that the order names, or what it lacks.
    pub fn named(&self) -> Result<Named<'_>, RecordFault> {
        let payload = &self.message.payload;
        let user = found(&self.user, "user", &payload.user.id)?;
        let restaurant = found(&self.restaurant, "restaurant", &payload.restaurant.id)?;
        let dish = |item: &Item| {
            let dish = restaurant.dish(&item.id).ok_or_else(|| RecordFault {
                code: "dish_not_on_menu".to_owned(),
                message: format!("dish {} is not on the menu of restaurant {}", item.id, payload.restaurant.id),
            })?;
            dish.as_ref().map_err(|reason| unreadable("dish", &item.id, reason))
        };
        Ok(Named { user, restaurant, dishes: payload.order_items.iter().map(dish).collect::<Result<_, _>>()? })
    }

    /// The message for DDS.
    #[must_use]
    pub fn enriched(&self, named: &Named<'_>, now: DateTime<Utc>) -> onward::StgOrder {
        let payload = &self.message.payload;
        let line = |(item, dish): (&Item, &&Dish)| onward::Product {
            id: item.id.clone(),
            price: Some(item.price.clone()),
            quantity: Some(item.quantity.clone()),
            name: dish.name.clone(),
            category: dish.category.clone(),
        };
        let sent = DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now).naive_utc();
        onward::StgOrder {
            object_id: self.message.object_id,
            object_type: onward::OBJECT_TYPE.to_owned(),
            sent_dttm: Some(Time(sent)),
            payload: onward::Payload {
                id: self.message.object_id,
                date: payload.date,
                cost: payload.cost.clone(),
                payment: payload.payment.clone(),
                status: payload.final_status.clone(),
                update_ts: Some(Time(self.version)),
                restaurant: onward::Restaurant {
                    id: payload.restaurant.id.clone(),
                    name: named.restaurant.name.clone(),
                    update_ts: named.restaurant.update_ts,
                },
                user: onward::User {
                    id: payload.user.id.clone(),
                    name: named.user.name.clone(),
                    login: named.user.login.clone(),
                    update_ts: named.user.update_ts,
                },
                products: payload.order_items.iter().zip(&named.dishes).map(line).collect(),
            },
        }
    }
}

fn found<'e, T>(entry: &'e Entry<T>, what: &str, id: &str) -> Result<&'e Arc<T>, RecordFault> {
    match entry {
        Entry::Found(found) => Ok(found),
        Entry::Unreadable(reason) => Err(unreadable(what, id, reason)),
        Entry::Missing => Err(RecordFault {
            code: format!("{what}_unknown"),
            message: format!("{what} {id} is not in the dictionary"),
        }),
    }
}

fn unreadable(what: &str, id: &str, reason: &str) -> RecordFault {
    RecordFault { code: "dictionary_unreadable".to_owned(), message: format!("{what} {id} cannot be read: {reason}") }
}
