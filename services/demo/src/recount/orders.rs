//! The source topic as the recount reads it: every version of every order.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDateTime};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Error;
use crate::kafka::{Cluster, Record, read_topic};

/// Every order of a topic, in all the versions in which it occurs there.
#[derive(Debug, Default)]
pub struct Orders {
    pub(super) versions: Vec<Version>,
    pub(super) events: BTreeMap<i64, Event>,
    records: u64,
}

/// One version of an order.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) order: i64,
    /// What orders the versions of one order.
    pub(super) at: NaiveDateTime,
    /// Breaks the tie between equal versions.
    pub(super) arrival: Arrival,
    pub(super) date: NaiveDateTime,
    pub(super) user: String,
    pub(super) restaurant: String,
    pub(super) dishes: BTreeSet<String>,
    /// The number's own text.
    pub(super) cost: String,
    /// The number's own text.
    pub(super) payment: String,
    pub(super) status: String,
}

/// Where and when a record lies on the topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    timestamp: i64,
    partition: i32,
    offset: i64,
}

/// What the staging table should hold of an order: what its newest version said. Where several records bear that
/// version, nobody can tell across partitions which of them was processed last, so each of them will do.
#[derive(Debug)]
pub(super) struct Event {
    at: NaiveDateTime,
    pub(super) said: BTreeSet<(NaiveDateTime, String)>,
}

impl Version {
    /// Whether this is the version that stays where both are known.
    pub(super) fn supersedes(&self, other: &Self) -> bool {
        (self.at, self.arrival.rank(other.arrival)) > (other.at, other.arrival.rank(self.arrival))
    }
}

impl Arrival {
    /// Within a partition the offset tells what came later; between partitions only the time can.
    fn rank(self, other: Self) -> (i64, i64) {
        if self.partition == other.partition { (0, self.offset) } else { (self.timestamp, self.offset) }
    }
}

impl Orders {
    /// Reads a topic from its beginning to its present end.
    ///
    /// # Errors
    ///
    /// When the topic cannot be read.
    pub async fn read(cluster: &Cluster, topic: &str) -> Result<Self, Error> {
        let (cluster, topic) = (cluster.clone(), topic.to_owned());
        let work = move || {
            let mut orders = Self::default();
            read_topic(&cluster, &topic, |record| orders.add(record))?;
            Ok(orders)
        };
        tokio::task::spawn_blocking(work).await?
    }

    /// Takes one record into account. What cannot become an order is passed over.
    pub fn add(&mut self, record: Record<'_>) {
        self.records += 1;
        let Some(version) = self.decode(record) else { return };
        self.versions.push(version);
    }

    /// How many records were read, of whatever kind.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How many records were versions of orders, duplicates included.
    #[must_use]
    pub fn versions(&self) -> usize {
        self.versions.len()
    }

    /// How many different orders there are.
    #[must_use]
    pub fn orders(&self) -> usize {
        self.events.len()
    }

    /// The users who occur.
    pub(super) fn users(&self) -> BTreeSet<&str> {
        self.versions.iter().map(|version| version.user.as_str()).collect()
    }

    /// The restaurants that occur.
    pub(super) fn restaurants(&self) -> BTreeSet<&str> {
        self.versions.iter().map(|version| version.restaurant.as_str()).collect()
    }

    fn decode(&mut self, record: Record<'_>) -> Option<Version> {
        let text = std::str::from_utf8(record.payload?).ok()?;
        let envelope: Envelope = serde_json::from_str(text).ok()?;
        if envelope.object_type != "order" {
            return None;
        }
        let raw = envelope.payload?.get();
        let payload: Payload = serde_json::from_str(raw).ok()?;
        let numbers = payload.order_items.iter().flat_map(|item| [item.price, item.quantity]);
        if !numbers.chain([payload.cost, payload.payment]).all(is_number) {
            return None;
        }
        let date = time(&payload.date)?;
        let sent = envelope.sent_dttm.as_deref().map(time);
        let updated = payload.update_ts.as_deref().map(time);
        // A time that is missing has its stand-in; one that is there and cannot be read spoils the record.
        if sent == Some(None) || updated == Some(None) {
            return None;
        }
        let (sent, updated) = (sent.flatten(), updated.flatten());
        let at = updated.or(sent).unwrap_or(date);
        self.note(envelope.object_id, at, sent.unwrap_or_else(|| kafka_time(record)), raw);
        Some(Version {
            order: envelope.object_id,
            at,
            arrival: Arrival {
                timestamp: record.timestamp.unwrap_or_default(),
                partition: record.partition,
                offset: record.offset,
            },
            date,
            user: payload.user.id,
            restaurant: payload.restaurant.id,
            dishes: payload.order_items.into_iter().map(|item| item.id).collect(),
            cost: payload.cost.get().to_owned(),
            payment: payload.payment.get().to_owned(),
            status: payload.final_status,
        })
    }

    fn note(&mut self, order: i64, at: NaiveDateTime, sent: NaiveDateTime, payload: &str) {
        let event = self.events.entry(order).or_insert_with(|| Event { at, said: BTreeSet::new() });
        if at > event.at {
            *event = Event { at, said: BTreeSet::new() };
        }
        if at == event.at {
            event.said.insert((sent, payload.to_owned()));
        }
    }
}

/// The time at which Kafka took the record, which stands in for a missing time of sending.
fn kafka_time(record: Record<'_>) -> NaiveDateTime {
    record.timestamp.and_then(DateTime::from_timestamp_millis).unwrap_or_default().naive_utc()
}

fn time(text: &str) -> Option<NaiveDateTime> {
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
    formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
}

fn is_number(value: &RawValue) -> bool {
    value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

#[derive(Deserialize)]
struct Envelope<'a> {
    object_id: i64,
    object_type: String,
    sent_dttm: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    restaurant: Reference,
    date: String,
    user: Reference,
    #[serde(borrow)]
    order_items: Vec<Item<'a>>,
    cost: &'a RawValue,
    payment: &'a RawValue,
    final_status: String,
    update_ts: Option<String>,
}

#[derive(Deserialize)]
struct Reference {
    id: String,
}

#[derive(Deserialize)]
struct Item<'a> {
    id: String,
    #[serde(borrow)]
    price: &'a RawValue,
    quantity: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"{"object_id": 7, "object_type": "order", "sent_dttm": "2023-08-12 06:07:15", "payload": {"restaurant": {"id": "r"}, "date": "2023-08-05 06:29:05", "user": {"id": "u"}, "order_items": [{"id": "d", "name": "n", "price": 120, "quantity": 5}], "cost": 600.50, "payment": 600, "final_status": "CLOSED", "update_ts": "2023-08-05T06:29:05.000001"}}"#;

    fn read(payloads: &[Option<&str>]) -> Orders {
        let mut orders = Orders::default();
        for (offset, payload) in (0..).zip(payloads) {
            let payload = payload.map(str::as_bytes);
            orders.add(Record { partition: 0, offset, timestamp: Some(1_700_000_000_123), key: None, payload });
        }
        orders
    }

    fn at(orders: &Orders) -> String {
        orders.versions[0].at.to_string()
    }

    #[test]
    fn the_version_is_the_last_change_else_the_sending_else_the_date() {
        assert_eq!(at(&read(&[Some(SAMPLE)])), "2023-08-05 06:29:05.000001");
        let without_update = SAMPLE.replace("update_ts", "other");
        assert_eq!(at(&read(&[Some(&without_update)])), "2023-08-12 06:07:15");
        let without_both = without_update.replace("sent_dttm", "another");
        assert_eq!(at(&read(&[Some(&without_both)])), "2023-08-05 06:29:05");
    }

    #[test]
    fn a_missing_time_of_sending_is_that_of_kafka() {
        let orders = read(&[Some(&SAMPLE.replace("sent_dttm", "another"))]);
        let (sent, payload) = orders.events[&7].said.first().unwrap();
        assert_eq!(sent.to_string(), "2023-11-14 22:13:20.123");
        assert!(payload.starts_with(r#"{"restaurant": {"id": "r"}"#) && payload.contains("600.50"));
    }

    #[test]
    fn what_cannot_become_an_order_is_passed_over() {
        let payloads = [
            None,
            Some("not json"),
            Some(r#"{"object_id": 7, "object_type": "order", "payload": null}"#),
            Some(&SAMPLE.replace(r#""object_type": "order""#, r#""object_type": "other""#)),
            Some(&SAMPLE.replace("600.50", r#""600""#)),
            Some(&SAMPLE.replace(r#""object_id": 7"#, r#""object_id": 9223372036854775808"#)),
            Some(&SAMPLE.replace("2023-08-12 06:07:15", "yesterday")),
            Some(&SAMPLE.replace(r#""quantity": 5"#, r#""quantity": "5""#)),
        ];
        let orders = read(&payloads);
        assert_eq!((orders.records(), orders.versions(), orders.orders()), (8, 0, 0));
    }

    #[test]
    fn of_equal_versions_the_later_stays() {
        let orders = read(&[Some(SAMPLE), Some(&SAMPLE.replace("CLOSED", "OPEN"))]);
        let [first, second] = &orders.versions[..] else { panic!("two versions") };
        assert!(second.supersedes(first) && !first.supersedes(second));
        assert_eq!(orders.events[&7].said.len(), 2);
    }
}
