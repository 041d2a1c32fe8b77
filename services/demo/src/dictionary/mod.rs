//! A generated dictionary: users and restaurants with menus, as they lie in Redis.
//!
//! Keys in Redis are the bare ids, so tests that share a server cannot be kept apart by a prefix. The ids
//! themselves derive from the seed instead: another seed, another set of ids.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDateTime;
use redis::aio::ConnectionLike;
use serde::{Serialize, Serializer};

use crate::{Error, timestamp};

mod generate;

pub use generate::CATEGORIES;

const ENTRIES_PER_WRITE: usize = 500;

/// A user as Redis holds it.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    /// 24 hexadecimal digits; the key in Redis.
    #[serde(rename = "_id")]
    pub id: String,
    /// The name shown, in any script.
    pub name: String,
    /// The name to log in with; it never changes.
    pub login: String,
    /// The version of this entry.
    #[serde(rename = "update_ts_utc", serialize_with = "serialize_time")]
    pub updated: NaiveDateTime,
}

/// A restaurant as Redis holds it.
#[derive(Debug, Clone, Serialize)]
pub struct Restaurant {
    /// 24 hexadecimal digits; the key in Redis.
    #[serde(rename = "_id")]
    pub id: String,
    /// The name shown, in any script.
    pub name: String,
    /// The version of this entry and so of every dish on its menu.
    #[serde(rename = "update_ts_utc", serialize_with = "serialize_time")]
    pub updated: NaiveDateTime,
    /// The dishes it sells; no dish is sold by two restaurants.
    pub menu: Vec<Dish>,
}

/// A dish on a menu.
#[derive(Debug, Clone, Serialize)]
pub struct Dish {
    /// 24 hexadecimal digits.
    #[serde(rename = "_id")]
    pub id: String,
    /// The name shown, in any script.
    pub name: String,
    /// What one portion costs.
    pub price: u32,
    /// One of [`CATEGORIES`].
    pub category: &'static str,
}

/// All users and restaurants of one seed, also those that are withheld from Redis for the time being.
#[derive(Debug, Clone)]
pub struct Dictionary {
    users: Vec<User>,
    restaurants: Vec<Restaurant>,
    withheld: HashSet<String>,
    former_names: HashMap<String, Vec<String>>,
}

impl Dictionary {
    /// Generates `users` users and `restaurants` restaurants. The same seed gives the same dictionary.
    #[must_use]
    pub fn generate(seed: u64, users: usize, restaurants: usize) -> Self {
        let (users, restaurants) = generate::entries(seed, users, restaurants);
        Self { users, restaurants, withheld: HashSet::new(), former_names: HashMap::new() }
    }

    /// Every user, withheld ones included: orders refer to them before Redis knows them.
    #[must_use]
    pub fn users(&self) -> &[User] {
        &self.users
    }

    /// Every restaurant with its whole menu, withheld ones included.
    #[must_use]
    pub fn restaurants(&self) -> &[Restaurant] {
        &self.restaurants
    }

    /// Gives a user another name from `at` on.
    pub fn rename_user(&mut self, user: usize, name: &str, at: NaiveDateTime) {
        let user = &mut self.users[user];
        remember(&mut self.former_names, &user.id, &user.name);
        name.clone_into(&mut user.name);
        user.updated = at;
    }

    /// Gives a restaurant another name from `at` on.
    pub fn rename_restaurant(&mut self, restaurant: usize, name: &str, at: NaiveDateTime) {
        let restaurant = &mut self.restaurants[restaurant];
        remember(&mut self.former_names, &restaurant.id, &restaurant.name);
        name.clone_into(&mut restaurant.name);
        restaurant.updated = at;
    }

    /// Gives a dish another name from `at` on. The whole entry of its restaurant gets the new version.
    pub fn rename_dish(&mut self, restaurant: usize, dish: usize, name: &str, at: NaiveDateTime) {
        let restaurant = &mut self.restaurants[restaurant];
        let dish = &mut restaurant.menu[dish];
        remember(&mut self.former_names, &dish.id, &dish.name);
        name.clone_into(&mut dish.name);
        restaurant.updated = at;
    }

    /// Keeps a user out of Redis until [`Dictionary::reveal_all`].
    pub fn withhold_user(&mut self, user: usize) {
        self.withheld.insert(self.users[user].id.clone());
    }

    /// Keeps a restaurant out of Redis until [`Dictionary::reveal_all`].
    pub fn withhold_restaurant(&mut self, restaurant: usize) {
        self.withheld.insert(self.restaurants[restaurant].id.clone());
    }

    /// Keeps a dish off its menu until [`Dictionary::reveal_all`].
    pub fn withhold_dish(&mut self, restaurant: usize, dish: usize) {
        self.withheld.insert(self.restaurants[restaurant].menu[dish].id.clone());
    }

    /// Lets the next [`Dictionary::write`] bring what was withheld. A restaurant whose menu grows by that gets
    /// `at` as its version, as a real one would.
    pub fn reveal_all(&mut self, at: NaiveDateTime) {
        for restaurant in &mut self.restaurants {
            if restaurant.menu.iter().any(|dish| self.withheld.contains(&dish.id)) {
                restaurant.updated = at;
            }
        }
        self.withheld.clear();
    }

    /// The names that users, restaurants and dishes bore before they were renamed, by id. An order that came
    /// before the renaming, and none after it, leaves such a name current.
    #[must_use]
    pub fn former_names(&self) -> &HashMap<String, Vec<String>> {
        &self.former_names
    }

    /// What Redis should hold at present: key and JSON text.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, String)> {
        let users = self.users.iter().filter(|user| !self.withheld.contains(&user.id));
        let users = users.map(|user| (user.id.clone(), json(user)));
        let restaurants = self.restaurants.iter().filter(|restaurant| !self.withheld.contains(&restaurant.id));
        let restaurants = restaurants.map(|restaurant| {
            let mut shown = restaurant.clone();
            shown.menu.retain(|dish| !self.withheld.contains(&dish.id));
            (shown.id.clone(), json(&shown))
        });
        users.chain(restaurants).collect()
    }

    /// Writes the present entries, and takes away those that are withheld.
    ///
    /// # Errors
    ///
    /// When Redis cannot be reached or refuses.
    pub async fn write(&self, redis: &mut impl ConnectionLike) -> Result<(), Error> {
        for chunk in self.entries().chunks(ENTRIES_PER_WRITE) {
            let mut command = redis::cmd("MSET");
            for (key, value) in chunk {
                command.arg(key).arg(value);
            }
            command.query_async::<()>(redis).await?;
        }
        if !self.withheld.is_empty() {
            let mut command = redis::cmd("DEL");
            for key in &self.withheld {
                command.arg(key);
            }
            command.query_async::<()>(redis).await?;
        }
        Ok(())
    }
}

fn remember(former_names: &mut HashMap<String, Vec<String>>, id: &str, name: &str) {
    former_names.entry(id.to_owned()).or_default().push(name.to_owned());
}

fn serialize_time<S: Serializer>(time: &NaiveDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&timestamp::text(*time))
}

fn json(entry: &impl Serialize) -> String {
    serde_json::to_string(entry).expect("strings, numbers and lists of them always have a JSON text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_namespace_of_its_own() {
        let (first, second) = (Dictionary::generate(1, 3, 2), Dictionary::generate(2, 3, 2));
        let mut ids: Vec<_> = [first.entries(), second.entries()].concat().into_iter().map(|entry| entry.0).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 10);
        assert!(ids.iter().all(|id| id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
        assert_eq!(first.entries(), Dictionary::generate(1, 3, 2).entries());
    }

    #[test]
    fn entries_have_the_shape_that_redis_holds() {
        let dictionary = Dictionary::generate(7, 1, 1);
        let entries = dictionary.entries();
        let user: serde_json::Value = serde_json::from_str(&entries[0].1).unwrap();
        assert_eq!(user["_id"], entries[0].0.as_str());
        assert_eq!(user["login"], "user_0");
        assert_eq!(user["update_ts_utc"], "2022-11-19 16:06:36");
        let restaurant: serde_json::Value = serde_json::from_str(&entries[1].1).unwrap();
        assert!(restaurant["menu"].as_array().unwrap().len() >= generate::SMALLEST_MENU);
        assert!(restaurant["menu"][0]["category"].is_string() && restaurant["menu"][0]["price"].is_number());
    }

    #[test]
    fn what_is_withheld_is_missing_until_revealed() {
        let mut dictionary = Dictionary::generate(7, 2, 1);
        let dishes = dictionary.restaurants()[0].menu.len();
        dictionary.withhold_user(1);
        dictionary.withhold_dish(0, 0);
        let entries = dictionary.entries();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].1.matches("price").count(), dishes - 1);
        let later = generate::first_update() + chrono::TimeDelta::days(1);
        dictionary.reveal_all(later);
        assert_eq!(dictionary.entries().len(), 3);
        assert_eq!(dictionary.restaurants()[0].updated, later);
    }
}
