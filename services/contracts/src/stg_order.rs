//! `stg-service-orders`: an order with names and categories, from STG to DDS.

use serde::{Deserialize, Serialize};

use crate::number::Number;
use crate::time::Time;
use crate::{object, text};

/// The kind of message.
pub const OBJECT_TYPE: &str = "order";

/// The message.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StgOrder {
    /// The order's id; the payload's says the same, and is what is read.
    #[serde(skip_deserializing)]
    pub object_id: i64,
    /// Always [`OBJECT_TYPE`].
    pub object_type: String,
    /// When it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_dttm: Option<Time>,
    /// The order.
    #[serde(deserialize_with = "object::deserialize")]
    pub payload: Payload,
}

/// The order.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Payload {
    /// The order's id.
    pub id: i64,
    /// When it was ordered.
    pub date: Time,
    /// For how much, in the number's own text.
    pub cost: Number,
    /// How much was paid, in the number's own text.
    pub payment: Number,
    /// How it stands.
    #[serde(deserialize_with = "text::deserialize")]
    pub status: String,
    /// The version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_ts: Option<Time>,
    /// Where it was ordered.
    #[serde(deserialize_with = "object::deserialize")]
    pub restaurant: Restaurant,
    /// By whom.
    #[serde(deserialize_with = "object::deserialize")]
    pub user: User,
    /// What, a line each.
    #[serde(deserialize_with = "object::list")]
    pub products: Vec<Product>,
}

/// A restaurant.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Restaurant {
    /// Its id.
    #[serde(deserialize_with = "text::deserialize")]
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "text::deserialize")]
    pub name: String,
    /// The version of its entry in the dictionary, which is that of its menu too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_ts: Option<Time>,
}

/// A user.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct User {
    /// Their id.
    #[serde(deserialize_with = "text::deserialize")]
    pub id: String,
    /// Their name.
    #[serde(deserialize_with = "text::deserialize")]
    pub name: String,
    /// Their login.
    #[serde(default, deserialize_with = "text::deserialize_optional", skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// The version of their entry in the dictionary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_ts: Option<Time>,
}

/// A line of the order.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Product {
    /// The dish.
    #[serde(deserialize_with = "text::deserialize")]
    pub id: String,
    /// The price of one; DDS does not read it.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub price: Option<Number>,
    /// How many; DDS does not read it.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Number>,
    /// The dish's name.
    #[serde(deserialize_with = "text::deserialize")]
    pub name: String,
    /// The dish's category.
    #[serde(deserialize_with = "text::deserialize")]
    pub category: String,
}

impl StgOrder {
    /// The version: `update_ts`, else `sent_dttm`, else the order's date.
    #[must_use]
    pub fn version(&self) -> Time {
        self.payload.update_ts.or(self.sent_dttm).unwrap_or(self.payload.date)
    }
}
