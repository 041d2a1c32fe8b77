//! `order-service_orders`: an order as the aggregator sends it. Only what STG reads is named here.

use serde::Deserialize;

use crate::number::Number;
use crate::time::Time;
use crate::{object, text};

/// The kind of message.
pub const OBJECT_TYPE: &str = "order";

/// The message.
#[derive(Clone, Debug, Deserialize)]
pub struct SourceOrder {
    /// The order's id.
    pub object_id: i64,
    /// When it was sent.
    pub sent_dttm: Option<Time>,
    /// The order.
    #[serde(deserialize_with = "object::deserialize")]
    pub payload: Payload,
}

/// The order.
#[derive(Clone, Debug, Deserialize)]
pub struct Payload {
    /// Where it was ordered.
    #[serde(deserialize_with = "object::deserialize")]
    pub restaurant: Reference,
    /// When.
    pub date: Time,
    /// By whom.
    #[serde(deserialize_with = "object::deserialize")]
    pub user: Reference,
    /// What.
    #[serde(deserialize_with = "object::list")]
    pub order_items: Vec<Item>,
    /// For how much.
    pub cost: Number,
    /// How much was paid.
    pub payment: Number,
    /// How it stands.
    #[serde(deserialize_with = "text::deserialize")]
    pub final_status: String,
    /// The version.
    pub update_ts: Option<Time>,
}

/// An entry of the dictionary.
#[derive(Clone, Debug, Deserialize)]
pub struct Reference {
    /// Its key in Redis.
    #[serde(deserialize_with = "text::deserialize")]
    pub id: String,
}

/// A line of the order.
#[derive(Clone, Debug, Deserialize)]
pub struct Item {
    /// The dish.
    #[serde(deserialize_with = "text::deserialize")]
    pub id: String,
    /// The price of one.
    pub price: Number,
    /// How many.
    pub quantity: Number,
}

impl SourceOrder {
    /// The version: `update_ts`, else `sent_dttm`, else the order's date.
    #[must_use]
    pub fn version(&self) -> Time {
        self.payload.update_ts.or(self.sent_dttm).unwrap_or(self.payload.date)
    }
}
