//! Running services with a hostile backlog behind them, and what its messages say, as the tests read them themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use ordervault_demo::dictionary::Dictionary;
use ordervault_demo::kafka::read_topic;
use ordervault_demo::orders::{Backlog, Mix, Plan};
use ordervault_demo::stage::{Service, Stage};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::{Uuid, uuid};

pub const PATIENCE: Duration = Duration::from_mins(2);
const NAMESPACE: Uuid = uuid!("7f288a2e-0ad0-4039-8e59-6c9838d87307");

/// The services, the last of them the one that is asked.
pub struct Scene {
    pub stage: Stage,
    pub services: Vec<Service>,
    pub dictionary: Dictionary,
}

/// One message of the source topic.
pub struct Said {
    pub partition: i32,
    pub offset: i64,
    /// When it entered Kafka.
    pub entered: DateTime<Utc>,
    /// Its version.
    pub at: NaiveDateTime,
    /// When it was sent.
    pub sent: NaiveDateTime,
    /// Its payload to the letter.
    pub text: String,
    /// The same, read.
    pub payload: Value,
}

#[derive(Deserialize)]
struct Message<'a> {
    object_id: i64,
    sent_dttm: Option<&'a str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Scene {
    /// The services of these layers, that have worked off `orders` orders.
    pub async fn set(name: &str, layers: &[&'static str], orders: u64) -> Self {
        let mut stage = Stage::build(name, 3).await.unwrap();
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let dictionary = Dictionary::generate(seed, 12, 4);
        dictionary.write(&mut stage.redis).await.unwrap();
        let mix = Mix { without_items: 0.1, ..Mix::adversarial() };
        let plan = Plan { seed, first_order_id: 1, orders, partitions: 3, mix };
        stage.produce("stg", Backlog::new(&dictionary, plan)).await.unwrap();
        let mut scene = Self { stage, services: Vec::new(), dictionary };
        scene.start(layers).await;
        scene
    }

    async fn start(&mut self, layers: &[&'static str]) {
        for layer in layers {
            // In small batches: a version also meets what those before it have left behind.
            let service = self.stage.start(layer, &[("BATCH_MAX_RECORDS", "25")]).unwrap();
            service.ready(PATIENCE).await.unwrap();
            self.services.push(service);
            self.stage.drained(layer, PATIENCE).await.unwrap();
        }
    }

    /// Everything comes once more, to services that are started anew.
    pub async fn again(&mut self) {
        let layers: Vec<&'static str> = self.services.drain(..).map(|service| service.layer).collect();
        self.stage.pass += 1;
        self.start(&layers).await;
    }

    pub fn asked(&self) -> &Service {
        self.services.last().unwrap()
    }

    /// What the source topic says of each order, partition by partition, in the order of the offsets.
    pub async fn said(&self) -> BTreeMap<i64, Vec<Said>> {
        let (cluster, topic) = (self.stage.cluster.clone(), self.stage.source_topic("stg"));
        let read = tokio::task::spawn_blocking(move || {
            let mut said: BTreeMap<i64, Vec<Said>> = BTreeMap::new();
            read_topic(&cluster, &topic, |record| {
                let message: Message<'_> = serde_json::from_slice(record.payload.unwrap()).unwrap();
                let payload: Value = serde_json::from_str(message.payload.get()).unwrap();
                let entered = DateTime::from_timestamp_millis(record.timestamp.unwrap()).unwrap();
                let sent = message.sent_dttm.map(time);
                let at = payload["update_ts"].as_str().map(time).or(sent);
                said.entry(message.object_id).or_default().push(Said {
                    partition: record.partition,
                    offset: record.offset,
                    entered,
                    at: at.unwrap_or_else(|| time(payload["date"].as_str().unwrap())),
                    sent: sent.unwrap_or(entered.naive_utc()),
                    text: message.payload.get().to_owned(),
                    payload,
                });
            })
            .unwrap();
            for versions in said.values_mut() {
                versions.sort_by_key(|version| (version.partition, version.offset));
            }
            said
        });
        read.await.unwrap()
    }

    pub async fn end(self) {
        drop(self.services);
        self.stage.tear_down().await.unwrap();
    }
}

pub fn time(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").unwrap()
}

/// Of an order's versions one that is the newest.
pub fn newest(versions: &[Said]) -> &Said {
    versions.iter().max_by_key(|version| version.at).unwrap()
}

/// The key of a business key, whose parts are joined by `#$#`.
pub fn key(business_key: &str) -> String {
    Uuid::new_v5(&NAMESPACE, business_key.as_bytes()).to_string()
}

/// A text as one segment of a path, every byte of it encoded.
pub fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02X}"))
}

/// Asks for what is not there; `code` is what that has to be called.
pub async fn assert_refused(service: &Service, path: &str, status: u16, code: &str) {
    let (answered, body) = service.get(path).await.unwrap();
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((answered.as_u16(), &problem["code"]), (status, &Value::from(code)), "{path}: {problem}");
}
