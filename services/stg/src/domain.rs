//! From a source order and the dictionary to the message for DDS. Pure.

use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, Utc};
use ordervault_contracts::source_order::SourceOrder;
use ordervault_contracts::stg_order as onward;
use ordervault_contracts::time::Time;
use ordervault_runtime::fault::RecordFault;

use crate::dictionary::{Entry, Restaurant, User};

/// An order as it came, and what the dictionary says to it.
#[derive(Debug)]
pub struct Order {
    /// The message.
    pub message: SourceOrder,
    /// The payload, to the letter.
    pub payload: String,
    /// When it was sent; the record's Kafka time where the message does not say.
    pub sent: NaiveDateTime,
    /// The version.
    pub version: NaiveDateTime,
    /// The user, as the dictionary has it.
    pub user: Entry<User>,
    /// The restaurant, as the dictionary has it.
    pub restaurant: Entry<Restaurant>,
}

impl Order {
    /// An order that the dictionary has not been asked about.
    #[must_use]
    pub fn new(message: SourceOrder, payload: &str, record_time: DateTime<Utc>) -> Self {
        Self {
            sent: message.sent_dttm.map_or(record_time.naive_utc(), |time| time.0),
            version: message.version().0,
            payload: payload.to_owned(),
            message,
            user: Entry::Missing,
            restaurant: Entry::Missing,
        }
    }

    /// The message for DDS, or what the dictionary lacks for it.
    pub fn enriched(&self, now: DateTime<Utc>) -> Result<onward::StgOrder, RecordFault> {
        let payload = &self.message.payload;
        let user = found(&self.user, "user", &payload.user.id)?;
        let restaurant = found(&self.restaurant, "restaurant", &payload.restaurant.id)?;
        let line = |item: &ordervault_contracts::source_order::Item| {
            let dish = restaurant.dish(&item.id).ok_or_else(|| RecordFault {
                code: "dish_not_on_menu".to_owned(),
                message: format!("dish {} is not on the menu of restaurant {}", item.id, payload.restaurant.id),
            })?;
            let dish = dish.as_ref().map_err(|reason| unreadable("dish", &item.id, reason))?;
            Ok(onward::Product {
                id: item.id.clone(),
                price: Some(item.price.clone()),
                quantity: Some(item.quantity.clone()),
                name: dish.name.clone(),
                category: dish.category.clone(),
            })
        };
        let sent = DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now).naive_utc();
        Ok(onward::StgOrder {
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
                    name: restaurant.name.clone(),
                    update_ts: restaurant.update_ts,
                },
                user: onward::User {
                    id: payload.user.id.clone(),
                    name: user.name.clone(),
                    login: user.login.clone(),
                    update_ts: user.update_ts,
                },
                products: payload.order_items.iter().map(line).collect::<Result<_, _>>()?,
            },
        })
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
