use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::*;

fn backlog(orders: u64, mix: Mix) -> Vec<Produced> {
    let dictionary = Dictionary::generate(5, 50, 10);
    let plan = Plan { seed: 9, first_order_id: 1_000, orders, partitions: 3, mix };
    Backlog::new(&dictionary, plan).collect()
}

fn json(message: &Produced) -> Value {
    serde_json::from_slice(&message.payload).unwrap()
}

/// The version as the invariants define it; text of this form sorts like the time.
fn version(message: &Value) -> String {
    let payload = &message["payload"];
    let known = [&payload["update_ts"], &message["sent_dttm"], &payload["date"]];
    known.iter().find_map(|time| time.as_str()).unwrap().to_owned()
}

#[test]
fn versions_of_an_order_differ_in_time_unless_they_are_duplicates() {
    let mut seen: HashMap<(i64, String), Vec<u8>> = HashMap::new();
    for message in backlog(2_000, Mix::adversarial()) {
        let value = json(&message);
        let key = (value["object_id"].as_i64().unwrap(), version(&value));
        let payload = seen.entry(key).or_insert_with(|| message.payload.clone());
        assert_eq!(*payload, message.payload);
    }
    let orders: HashSet<i64> = seen.keys().map(|(id, _)| *id).collect();
    assert_eq!(orders, (1_000..3_000).collect());
}

#[test]
fn an_adversarial_backlog_has_every_adversity() {
    let messages = backlog(2_000, Mix::adversarial());
    let mut last_version: HashMap<i64, String> = HashMap::new();
    let mut items: HashMap<i64, HashSet<String>> = HashMap::new();
    let mut found = HashSet::new();
    let mut unique = HashSet::new();
    for message in &messages {
        let value = json(message);
        let id = value["object_id"].as_i64().unwrap();
        if !unique.insert(message.payload.clone()) {
            found.insert("duplicate");
        }
        let version = version(&value);
        if last_version.get(&id).is_some_and(|last| *last > version) {
            found.insert("out of order");
        }
        last_version.insert(id, version);
        if value.get("sent_dttm").is_none() {
            found.insert("without sent_dttm");
        }
        let payload = &value["payload"];
        if payload.get("update_ts").is_none() {
            found.insert("without update_ts");
        }
        let lines = payload["order_items"].as_array().unwrap();
        let dishes: HashSet<_> = lines.iter().map(|line| line["id"].to_string()).collect();
        if lines.is_empty() {
            found.insert("without items");
        }
        if dishes.len() < lines.len() {
            found.insert("same dish twice");
        }
        items.entry(id).or_default().insert(payload["order_items"].to_string());
        if items[&id].len() > 1 {
            found.insert("items changed");
        }
        let statuses: Vec<_> =
            payload["statuses"].as_array().unwrap().iter().map(|entry| entry["status"].as_str()).collect();
        if statuses.starts_with(&[Some("CLOSED"), Some("CANCELLED"), Some("CLOSED")]) {
            found.insert("revived");
        }
        if payload["final_status"] == "CANCELLED" {
            found.insert("cancelled");
        }
        match &message.key {
            None => found.insert("no key"),
            Some(key) if key.is_empty() => found.insert("empty key"),
            Some(_) => false,
        };
        if message.partition.is_some() {
            found.insert("scattered");
        }
    }
    assert_eq!(found.len(), 12, "{found:?}");
}

#[test]
fn the_same_plan_gives_the_same_messages() {
    assert_eq!(backlog(300, Mix::adversarial()), backlog(300, Mix::adversarial()));
}

#[test]
fn a_message_has_the_fields_of_the_source() {
    let message = &backlog(1, Mix::calm())[0];
    let text = String::from_utf8(message.payload.clone()).unwrap();
    let fields = [
        "object_id",
        "object_type",
        "sent_dttm",
        "payload",
        "restaurant",
        "date",
        "user",
        "order_items",
        "bonus_payment",
        "cost",
        "payment",
        "bonus_grant",
        "statuses",
        "final_status",
        "update_ts",
    ];
    let places: Vec<_> = fields.iter().map(|field| text.find(&format!("\"{field}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
}
