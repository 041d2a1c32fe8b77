//! From a message to what the vault says of it. Pure.

use chrono::{DateTime, NaiveDateTime};
use ordervault_contracts::keys::key;
use ordervault_contracts::number::Number;
use ordervault_contracts::order_report as report;
use ordervault_contracts::stg_order::StgOrder;
use ordervault_contracts::time::Time;
use ordervault_runtime::fault::RecordFault;
use uuid::Uuid;

/// Amounts from here on have more digits before the point than `decimal(19,5)` holds.
const TOO_GREAT: f64 = 1e14;

/// The greatest whole number that `decimal(19,5)` holds, close to which 64 bits are too coarse to judge an amount.
const GREATEST_WHOLE: &str = "99999999999999";

/// An order with the keys of everything that it names.
#[derive(Clone, Debug)]
pub struct Order {
    /// The message.
    pub message: StgOrder,
    /// Its version.
    pub version: NaiveDateTime,
    /// The hub keys of the order, its user, its restaurant.
    pub keys: Keys,
    /// The hub keys of each line's dish and category.
    pub lines: Vec<LineKeys>,
}

/// The hub keys of an order's single parts.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// `h_order`.
    pub order: Uuid,
    /// `h_user`.
    pub user: Uuid,
    /// `h_restaurant`.
    pub restaurant: Uuid,
}

/// The hub keys of one line.
#[derive(Clone, Copy, Debug)]
pub struct LineKeys {
    /// `h_product`.
    pub product: Uuid,
    /// `h_category`.
    pub category: Uuid,
}

impl Order {
    /// Checks what only the vault asks for, and makes the keys.
    pub fn new(message: StgOrder) -> Result<Self, RecordFault> {
        for (field, amount) in [("cost", &message.payload.cost), ("payment", &message.payload.payment)] {
            let held = amount.text();
            if amount.is_negative() {
                return Err(fault("negative", field, held, "zero or more"));
            }
            if is_too_great(amount) {
                return Err(fault("out_of_range", field, held, "less than 100000000000000"));
            }
        }
        let payload = &message.payload;
        let keys = Keys {
            order: key(&[&payload.id.to_string()]),
            user: key(&[&payload.user.id]),
            restaurant: key(&[&payload.restaurant.id]),
        };
        let lines = payload.products.iter();
        let lines = lines.map(|line| LineKeys { product: key(&[&line.id]), category: key(&[&line.category]) });
        Ok(Self { version: message.version().0, keys, lines: lines.collect(), message })
    }

    /// The user's login, which is their name where the message has none.
    #[must_use]
    pub fn login(&self) -> &str {
        let user = &self.message.payload.user;
        user.login.as_deref().unwrap_or(&user.name)
    }

    /// The version of the user's dictionary entry, else the order's.
    #[must_use]
    pub fn user_version(&self) -> NaiveDateTime {
        self.message.payload.user.update_ts.map_or(self.version, |time| time.0)
    }

    /// The version of the restaurant's dictionary entry, else the order's. A dish is as old as its restaurant's entry.
    #[must_use]
    pub fn restaurant_version(&self) -> NaiveDateTime {
        self.message.payload.restaurant.update_ts.map_or(self.version, |time| time.0)
    }

    /// The message for CDM.
    #[must_use]
    pub fn report(&self, now: DateTime<chrono::Utc>) -> report::OrderReport {
        let payload = &self.message.payload;
        let products = payload.products.iter().zip(&self.lines).map(|(line, keys)| report::Product {
            id: keys.product,
            name: line.name.clone(),
            category: report::Category { id: keys.category, name: line.category.clone() },
        });
        report::OrderReport {
            object_id: self.keys.order,
            sent_dttm: Some(Time(DateTime::from_timestamp(now.timestamp(), 0).unwrap_or(now).naive_utc())),
            object_type: report::OBJECT_TYPE.to_owned(),
            payload: report::Payload {
                id: self.keys.order,
                order_dt: payload.date,
                status: payload.status.clone(),
                update_ts: Some(Time(self.version)),
                restaurant: report::Restaurant {
                    id: self.keys.restaurant,
                    name: payload.restaurant.name.clone(),
                    update_ts: payload.restaurant.update_ts,
                },
                user: report::User {
                    id: self.keys.user,
                    username: Some(payload.user.name.clone()),
                    update_ts: payload.user.update_ts,
                },
                products: products.collect(),
            },
        }
    }
}

/// Whether an amount, rounded to five digits after the point, has more than fourteen before it.
fn is_too_great(amount: &Number) -> bool {
    match amount.text().split_once('.') {
        Some((GREATEST_WHOLE, digits)) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
            digits.starts_with("99999") && digits.as_bytes().get(5).is_some_and(|digit| *digit >= b'5')
        }
        _ => amount.as_f64() >= TOO_GREAT,
    }
}

fn fault(kind: &str, field: &str, held: &str, expected: &str) -> RecordFault {
    let held: String = held.chars().take(60).collect();
    RecordFault {
        code: format!("{kind}:payload.{field}"),
        message: format!("payload.{field}: held {held}, expected {expected}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_too_great_where_the_column_would_say_so() {
        for (text, too_great) in [
            ("99999999999999", false),
            ("99999999999999.99999", false),
            ("99999999999999.999994", false),
            ("99999999999999.999995", true),
            ("99999999999999.99998999", false),
            ("100000000000000", true),
            ("1e14", true),
            ("1e400", true),
            ("1e-400", false),
        ] {
            assert_eq!(is_too_great(&serde_json::from_str(text).unwrap()), too_great, "{text}");
        }
    }
}
