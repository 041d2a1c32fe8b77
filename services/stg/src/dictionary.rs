//! Users, restaurants and menus from Redis, one `MGET` a batch, remembered for a short while.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use ordervault_contracts::text;
use ordervault_contracts::time::Time;
use ordervault_runtime::fault::{Dependency, Outage};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo, RedisError, RedisResult};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::config::RedisConfig;
use crate::domain::Order;

const USERS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
const RESTAURANTS: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
const PATIENCE: Duration = Duration::from_secs(5);

/// What the dictionary has under an id.
#[derive(Debug)]
pub enum Entry<T> {
    /// Nothing.
    Missing,
    /// Something that cannot be read, and why.
    Unreadable(String),
    /// What it says.
    Found(Arc<T>),
}

/// A user.
#[derive(Debug, Deserialize)]
pub struct User {
    /// Their name.
    #[serde(deserialize_with = "text::deserialize")]
    pub name: String,
    /// Their login.
    #[serde(default, deserialize_with = "text::deserialize_optional")]
    pub login: Option<String>,
    /// The entry's version.
    #[serde(rename = "update_ts_utc")]
    pub update_ts: Option<Time>,
}

/// A restaurant with its menu.
#[derive(Debug)]
pub struct Restaurant {
    /// Its name.
    pub name: String,
    /// The entry's version.
    pub update_ts: Option<Time>,
    menu: HashMap<String, Result<Dish, String>>,
}

/// A dish.
#[derive(Debug, Deserialize)]
pub struct Dish {
    /// Its name.
    #[serde(deserialize_with = "text::deserialize")]
    pub name: String,
    /// Its category.
    #[serde(deserialize_with = "text::deserialize")]
    pub category: String,
}

impl Restaurant {
    /// A dish of the menu; the inner error says why its line cannot be read, which concerns no other dish.
    #[must_use]
    pub fn dish(&self, id: &str) -> Option<&Result<Dish, String>> {
        self.menu.get(id)
    }
}

impl<'de> Deserialize<'de> for Restaurant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Written {
            #[serde(deserialize_with = "text::deserialize")]
            name: String,
            update_ts_utc: Option<Time>,
            menu: Vec<Box<RawValue>>,
        }
        #[derive(Deserialize)]
        struct Id {
            #[serde(rename = "_id")]
            id: String,
        }
        let written = Written::deserialize(deserializer)?;
        let line = |line: Box<RawValue>| {
            let id: Id = serde_json::from_str(line.get()).ok()?;
            Some((id.id, serde_json::from_str(line.get()).map_err(|error| error.to_string())))
        };
        let mut menu = HashMap::new();
        for (id, dish) in written.menu.into_iter().filter_map(line) {
            // A dish that stands twice is what its first line says.
            menu.entry(id).or_insert(dish);
        }
        Ok(Self { name: written.name, update_ts: written.update_ts_utc, menu })
    }
}

/// The dictionary.
pub struct Dictionary {
    info: Result<ConnectionInfo, String>,
    connection: tokio::sync::Mutex<Option<ConnectionManager>>,
    users: Remembered<User>,
    restaurants: Remembered<Restaurant>,
}

/// What lies under an id: the bytes of a string, or why it is none.
type Held = Result<Vec<u8>, String>;

/// What was found of late. What is missing is never remembered.
struct Remembered<T> {
    ttl: Duration,
    found: Mutex<LruCache<String, (Instant, Arc<T>)>>,
}

impl<T> Remembered<T> {
    fn new(most: NonZeroUsize, ttl: Duration) -> Self {
        Self { ttl, found: Mutex::new(LruCache::new(most)) }
    }

    fn get(&self, id: &str) -> Option<Arc<T>> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(id).filter(|(since, _)| since.elapsed() < self.ttl).map(|(_, entry)| Arc::clone(entry))
    }

    fn put(&self, id: &str, entry: &Arc<T>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.put(id.to_owned(), (Instant::now(), Arc::clone(entry)));
    }
}

impl Dictionary {
    /// A dictionary that connects when it is first asked.
    #[must_use]
    pub fn new(config: &RedisConfig, ttl: Duration) -> Self {
        let (host, port) = (config.host.clone(), config.port);
        let address = if config.tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let mut login = RedisConnectionInfo::default();
        if let Some(password) = &config.password {
            login = login.set_password(password.reveal());
        }
        let info = address.into_connection_info().map(|info| info.set_redis_settings(login));
        Self {
            info: info.map_err(|error| error.to_string()),
            connection: tokio::sync::Mutex::new(None),
            users: Remembered::new(USERS, ttl),
            restaurants: Remembered::new(RESTAURANTS, ttl),
        }
    }

    /// Tells each order what the dictionary says of its user and restaurant.
    pub async fn look_up(&self, orders: &mut [Order]) -> Result<(), Outage> {
        let mut asked = BTreeSet::new();
        for order in &mut *orders {
            let payload = &order.message.payload;
            match self.users.get(&payload.user.id) {
                Some(user) => order.user = Entry::Found(user),
                None => drop(asked.insert(payload.user.id.clone())),
            }
            // A dish that a remembered menu lacks may be new on it.
            let on_menu = |restaurant: &Arc<Restaurant>| {
                payload.order_items.iter().all(|item| restaurant.menu.contains_key(&item.id))
            };
            match self.restaurants.get(&payload.restaurant.id).filter(on_menu) {
                Some(restaurant) => order.restaurant = Entry::Found(restaurant),
                None => drop(asked.insert(payload.restaurant.id.clone())),
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let answers = self.ask(&asked).await?;
        let (mut users, mut restaurants) = (HashMap::new(), HashMap::new());
        for order in orders {
            let payload = &order.message.payload;
            if !matches!(order.user, Entry::Found(_)) {
                order.user = answer(&answers, &payload.user.id, &mut users, &self.users);
            }
            if !matches!(order.restaurant, Entry::Found(_)) {
                order.restaurant = answer(&answers, &payload.restaurant.id, &mut restaurants, &self.restaurants);
            }
        }
        Ok(())
    }

    /// Whether Redis answers.
    pub async fn ping(&self) -> Result<(), Outage> {
        let mut connection = self.connect().await?;
        self.heard(redis::cmd("PING").query_async(&mut connection).await).await
    }

    /// An answer, or what its lack means. A server whose host has died without a word leaves a connection on which nothing is
    /// ever answered, and which its manager takes for well; the next question gets another one.
    async fn heard<T>(&self, answer: RedisResult<T>) -> Result<T, Outage> {
        if answer.as_ref().is_err_and(RedisError::is_timeout) {
            *self.connection.lock().await = None;
        }
        answer.map_err(|error| outage(&error))
    }

    /// What lies under each id that is there: a text, or the reason why it is none.
    async fn ask(&self, ids: &BTreeSet<String>) -> Result<HashMap<String, Held>, Outage> {
        let mut connection = self.connect().await?;
        let mut mget = redis::cmd("MGET");
        mget.arg(ids.iter().collect::<Vec<_>>());
        let values: Vec<Option<Vec<u8>>> = self.heard(mget.query_async(&mut connection).await).await?;
        let mut held = HashMap::new();
        let mut absent = Vec::new();
        for (id, value) in ids.iter().zip(values) {
            match value {
                Some(value) => drop(held.insert(id.clone(), Ok(value))),
                None => absent.push(id),
            }
        }
        // MGET has no answer for a hash or a list either, and such an entry is there all the same.
        let mut kinds = redis::pipe();
        for id in &absent {
            kinds.cmd("TYPE").arg(id);
        }
        if !absent.is_empty() {
            let kinds: Vec<String> = self.heard(kinds.query_async(&mut connection).await).await?;
            for (id, kind) in absent.into_iter().zip(kinds) {
                if kind != "none" && kind != "string" {
                    held.insert(id.clone(), Err(format!("the key holds a {kind}, expected a string")));
                }
            }
        }
        Ok(held)
    }

    async fn connect(&self) -> Result<ConnectionManager, Outage> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = &*held {
            return Ok(connection.clone());
        }
        let info = self.info.clone().map_err(|error| Outage::new(Dependency::Redis, "configuration", error))?;
        let client = redis::Client::open(info).map_err(|error| outage(&error))?;
        let patience = ConnectionManagerConfig::new()
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        let connection = client.get_connection_manager_with_config(patience).await.map_err(|error| outage(&error))?;
        *held = Some(connection.clone());
        Ok(connection)
    }
}

fn answer<T: DeserializeOwned>(
    answers: &HashMap<String, Held>,
    id: &str,
    read: &mut HashMap<String, Result<Arc<T>, String>>,
    remembered: &Remembered<T>,
) -> Entry<T> {
    let value = match answers.get(id) {
        Some(Ok(value)) => value,
        Some(Err(reason)) => return Entry::Unreadable(reason.clone()),
        None => return Entry::Missing,
    };
    let entry = read.entry(id.to_owned()).or_insert_with(|| {
        let entry = serde_json::from_slice(value).map(Arc::new).map_err(|error| error.to_string());
        if let Ok(entry) = &entry {
            remembered.put(id, entry);
        }
        entry
    });
    match entry {
        Ok(found) => Entry::Found(Arc::clone(found)),
        Err(reason) => Entry::Unreadable(reason.clone()),
    }
}

fn outage(error: &redis::RedisError) -> Outage {
    let class = if error.is_timeout() { "timeout" } else { "connection" };
    Outage::new(Dependency::Redis, class, error)
}
