//! The dictionary as it lies in Redis at the time of the recount.

use std::collections::HashMap;

use redis::aio::ConnectionLike;
use serde::Deserialize;

use super::Orders;
use super::orders::Version;
use crate::Error;

const KEYS_PER_READ: usize = 500;

/// The entries that the orders of a topic refer to.
#[derive(Debug, Default)]
pub struct Snapshot {
    users: HashMap<String, User>,
    restaurants: HashMap<String, Restaurant>,
}

/// A user's entry.
#[derive(Debug, Deserialize)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) login: Option<String>,
}

/// A restaurant's entry.
#[derive(Debug, Deserialize)]
pub(super) struct Restaurant {
    pub(super) name: String,
    menu: Vec<Dish>,
}

/// A dish on a menu.
#[derive(Debug, Deserialize)]
pub(super) struct Dish {
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) name: String,
    pub(super) category: String,
}

/// A version of an order with everything that it refers to.
#[derive(Debug)]
pub(super) struct Resolved<'a> {
    pub(super) version: &'a Version,
    pub(super) user: &'a User,
    pub(super) restaurant: &'a Restaurant,
    /// Each dish once, however many lines name it.
    pub(super) dishes: Vec<&'a Dish>,
}

impl Snapshot {
    /// Reads what the orders refer to. Entries that are missing or unreadable leave their orders out of the recount,
    /// as they leave them waiting in the layers.
    ///
    /// # Errors
    ///
    /// When Redis cannot be reached or refuses.
    pub async fn read(redis: &mut impl ConnectionLike, orders: &Orders) -> Result<Self, Error> {
        let mut snapshot = Self::default();
        for (id, json) in read_all(redis, orders.users()).await? {
            snapshot.add_user(&id, &json);
        }
        for (id, json) in read_all(redis, orders.restaurants()).await? {
            snapshot.add_restaurant(&id, &json);
        }
        Ok(snapshot)
    }

    /// Adds a user by the JSON of the entry.
    pub fn add_user(&mut self, id: &str, json: &str) {
        if let Ok(user) = serde_json::from_str(json) {
            self.users.insert(id.to_owned(), user);
        }
    }

    /// Adds a restaurant by the JSON of the entry.
    pub fn add_restaurant(&mut self, id: &str, json: &str) {
        if let Ok(restaurant) = serde_json::from_str(json) {
            self.restaurants.insert(id.to_owned(), restaurant);
        }
    }

    /// The version with its entries, or `None` while one of them is missing.
    pub(super) fn resolve<'a>(&'a self, version: &'a Version) -> Option<Resolved<'a>> {
        let user = self.users.get(&version.user)?;
        let restaurant = self.restaurants.get(&version.restaurant)?;
        let on_menu = |id: &String| restaurant.menu.iter().find(|dish| dish.id == *id);
        let dishes = version.dishes.iter().map(on_menu).collect::<Option<Vec<_>>>()?;
        Some(Resolved { version, user, restaurant, dishes })
    }
}

async fn read_all(
    redis: &mut impl ConnectionLike,
    ids: impl IntoIterator<Item = &str>,
) -> Result<Vec<(String, String)>, Error> {
    let ids: Vec<&str> = ids.into_iter().collect();
    let mut entries = Vec::new();
    for chunk in ids.chunks(KEYS_PER_READ) {
        let values: Vec<Option<Vec<u8>>> = redis::cmd("MGET").arg(chunk).query_async(redis).await?;
        for (id, value) in chunk.iter().zip(values) {
            let Some(Ok(json)) = value.map(String::from_utf8) else { continue };
            entries.push(((*id).to_owned(), json));
        }
    }
    Ok(entries)
}
