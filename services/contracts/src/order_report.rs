//! `dds-service-orders`: what an order contributes, from DDS to CDM. Every id is a hub key.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Time;
use crate::{object, text, time};

/// The kind of message.
pub const OBJECT_TYPE: &str = "order_report";

/// The message.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct OrderReport {
    /// The order's hub key; the payload's id says the same, and is what is read.
    #[serde(skip_deserializing)]
    pub object_id: Uuid,
    /// When it was sent.
    pub sent_dttm: Option<Time>,
    /// Always [`OBJECT_TYPE`].
    pub object_type: String,
    /// The order.
    #[serde(deserialize_with = "object::deserialize")]
    pub payload: Payload,
}

/// The order.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Payload {
    /// The order.
    pub id: Uuid,
    /// When it was ordered.
    pub order_dt: Time,
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
    /// Its hub key.
    pub id: Uuid,
    /// Its name.
    #[serde(deserialize_with = "text::deserialize")]
    pub name: String,
    /// The version of its entry in the dictionary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_ts: Option<Time>,
}

/// A user.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct User {
    /// Their hub key.
    pub id: Uuid,
    /// Their name, which only reports show: an order counts without it.
    #[serde(default, deserialize_with = "text::deserialize_if_readable")]
    pub username: Option<String>,
    /// The version of their entry in the dictionary.
    #[serde(default, deserialize_with = "time::deserialize_if_readable", skip_serializing_if = "Option::is_none")]
    pub update_ts: Option<Time>,
}

/// A line of the order.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Product {
    /// The dish's hub key.
    pub id: Uuid,
    /// The dish's name.
    #[serde(deserialize_with = "text::deserialize")]
    pub name: String,
    /// The dish's category.
    #[serde(deserialize_with = "object::deserialize")]
    pub category: Category,
}

/// A category.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Category {
    /// Its hub key.
    pub id: Uuid,
    /// Its name, of which the key is made.
    #[serde(deserialize_with = "text::deserialize")]
    pub name: String,
}

impl OrderReport {
    /// The version: `update_ts`, else `sent_dttm`, else the order's date.
    #[must_use]
    pub fn version(&self) -> Time {
        self.payload.update_ts.or(self.sent_dttm).unwrap_or(self.payload.order_dt)
    }
}
