use serde_json::{Value, json};

use super::compare::{Rows, compare};
use super::keys::key;
use super::*;
use crate::dictionary::Dictionary;
use crate::kafka::Record;
use crate::orders::{Backlog, Mix, Plan, Produced};

const KEBAB: &str = "000000000000000000000001";
const PLOV: &str = "000000000000000000000002";
const TEA: &str = "000000000000000000000003";

fn snapshot() -> Snapshot {
    let dish = |id, name, category| json!({"_id": id, "name": name, "price": 10, "category": category});
    let menu = json!([dish(KEBAB, "Кебаб", "Мясо"), dish(PLOV, "Плов 🍚", "Мясо"), dish(TEA, "Чай", "Напитки")]);
    let mut snapshot = Snapshot::default();
    snapshot.add_restaurant("r", &json!({"_id": "r", "name": "PLove", "update_ts_utc": "x", "menu": menu}).to_string());
    snapshot.add_user("u", &json!({"_id": "u", "name": "Ольга", "login": "olga"}).to_string());
    snapshot
}

/// An order's version at a minute, as the source sends it.
fn order(id: i64, minute: u32, status: &str, dishes: &[&str]) -> Value {
    let items: Vec<_> =
        dishes.iter().map(|id| json!({"id": id, "name": "другое имя", "price": 10, "quantity": 2})).collect();
    json!({
        "object_id": id,
        "object_type": "order",
        "sent_dttm": "2025-01-01 00:00:00",
        "payload": {
            "restaurant": {"id": "r"},
            "date": "2024-12-31 10:00:00",
            "user": {"id": "u"},
            "order_items": items,
            "cost": 300,
            "payment": 0.5,
            "final_status": status,
            "update_ts": format!("2024-12-31 10:{minute:02}:00"),
        },
    })
}

fn orders(messages: &[Value]) -> Orders {
    let mut orders = Orders::default();
    for (offset, message) in (0..).zip(messages) {
        let payload = message.to_string();
        let payload = Some(payload.as_bytes());
        orders.add(Record { partition: 0, offset, timestamp: Some(offset), key: None, payload });
    }
    orders
}

fn recount(messages: &[Value]) -> Recount {
    Recount::new(&orders(messages), &snapshot(), &NameCheck::Present)
}

fn rows<'a>(tables: &'a [Table], name: &str) -> &'a Rows {
    &tables.iter().find(|table| table.name == name).unwrap().rows
}

/// The counters of dishes, as `name -> orders`.
fn dishes(recount: &Recount) -> Vec<String> {
    let mut counters: Vec<_> = rows(&recount.marts, "user_product_counters").values().flatten().cloned().collect();
    counters.sort();
    counters
}

#[test]
fn an_order_counts_once_for_each_distinct_dish_and_category() {
    let recount = recount(&[order(1, 0, "CLOSED", &[KEBAB, KEBAB, PLOV]), order(2, 0, "OPEN", &[KEBAB])]);
    assert_eq!(dishes(&recount), ["order_cnt=1 product_name=Плов 🍚", "order_cnt=2 product_name=Кебаб"]);
    let categories = rows(&recount.marts, "user_category_counters");
    let meat = format!("user_id={} category_id={}", key(&["u"]), key(&["Мясо"]));
    assert_eq!(categories[&meat], ["order_cnt=2 category_name=Мясо"]);
    let categories = rows(&recount.marts, "restaurant_category_counters");
    let meat = format!("restaurant_id={} category_id={}", key(&["r"]), key(&["Мясо"]));
    assert_eq!(categories[&meat], ["order_cnt=2 category_name=Мясо restaurant_name=PLove"]);
}

#[test]
fn only_the_newest_version_counts_wherever_it_lies() {
    let messages = [
        order(1, 5, "CLOSED", &[TEA]),
        order(1, 2, "COOKING", &[KEBAB, PLOV]),
        order(1, 1, "OPEN", &[KEBAB]),
        order(1, 5, "CLOSED", &[TEA]),
    ];
    assert_eq!(dishes(&recount(&messages)), ["order_cnt=1 product_name=Чай"]);
}

#[test]
fn a_cancelled_order_is_taken_off_and_one_that_comes_back_is_counted_again() {
    let closed = order(1, 1, "CLOSED", &[TEA]);
    let cancelled = order(1, 2, "CANCELLED", &[TEA]);
    let back = order(1, 3, "CLOSED", &[TEA]);
    assert!(dishes(&recount(&[cancelled.clone(), closed.clone()])).is_empty());
    assert_eq!(dishes(&recount(&[back, cancelled, closed])), ["order_cnt=1 product_name=Чай"]);
}

#[test]
fn orders_without_items_count_for_nothing_but_are_in_the_vault() {
    let recount = recount(&[order(1, 0, "CLOSED", &[])]);
    assert!(recount.marts.iter().all(|table| table.rows.is_empty() || table.name == "v_order_counters"));
    let orders = format!("restaurant_id={} status=CLOSED counted=t", key(&["r"]));
    assert_eq!(rows(&recount.marts, "v_order_counters")[&orders], ["order_cnt=1 restaurant_name=PLove"]);
    assert_eq!(rows(&recount.vault, "h_order").len(), 1);
    assert_eq!(rows(&recount.vault, "s_restaurant_names").len(), 1);
    assert!(rows(&recount.vault, "l_order_product").is_empty());
}

#[test]
fn what_the_dictionary_lacks_waits_and_what_the_vault_cannot_hold_is_refused() {
    let mut negative = order(3, 0, "CLOSED", &[TEA]);
    negative["payload"]["cost"] = json!(-1);
    let mut stranger = order(2, 0, "CLOSED", &[TEA]);
    stranger["payload"]["user"]["id"] = json!("nobody");
    let recount = recount(&[order(1, 0, "CLOSED", &["unknown dish"]), stranger, negative, json!({"object_id": 4})]);
    let summary = Summary { records: 4, versions: 3, orders: 3, waiting: 2, refused: 1 };
    assert_eq!(*recount.summary(), summary);
    assert!(recount.marts.iter().chain(&recount.vault).all(|table| table.rows.is_empty()));
    assert_eq!(rows(&recount.events, "order_events").len(), 3);
}

#[test]
fn a_satellite_bears_the_newest_version_that_said_so() {
    let versions = [("CLOSED", 9), ("CANCELLED", 5), ("CLOSED", 3), ("CANCELLED", 1)];
    let messages: Vec<_> = versions.iter().map(|(status, minute)| order(1, *minute, status, &[TEA])).collect();
    let recount = recount(&messages);
    let hub = key(&["1"]);
    let said = |status: &str, minute| {
        vec![format!("h_order_pk={hub} status={status} effective_dt=2024-12-31 10:0{minute}:00.000000")]
    };
    let expected =
        Rows::from([(key(&["1", "CLOSED"]), said("CLOSED", 9)), (key(&["1", "CANCELLED"]), said("CANCELLED", 5))]);
    assert_eq!(*rows(&recount.vault, "s_order_status"), expected);
    let current = recount.vault.iter().filter(|table| table.what == "current values");
    let current: Vec<_> = current.filter(|table| table.name == "s_order_status").collect();
    assert_eq!(current[0].rows, Rows::from([(hub, vec!["status=CLOSED".to_owned()])]));
}

#[test]
fn the_vault_has_the_keys_of_the_services_that_it_takes_over() {
    let message = json!({
        "object_id": 2_000_000_007,
        "object_type": "order",
        "payload": {
            "restaurant": {"id": "4d6608697a8d41bed440e504"},
            "date": "2026-05-13 08:00:03",
            "user": {"id": "5ec84d8dbc74254770f58904"},
            "order_items": [{"id": "86702824c1c099724caf4941", "price": 163, "quantity": 2}],
            "cost": 1e-7,
            "payment": 19.99,
            "final_status": "CANCELLED",
        },
    });
    let mut snapshot = Snapshot::default();
    snapshot.add_user("5ec84d8dbc74254770f58904", r#"{"name": " trailing space "}"#);
    let menu = json!([{"_id": "86702824c1c099724caf4941", "name": "БЛЮДО 7 tab\there", "category": "Десерты 🍰"}]);
    snapshot.add_restaurant("4d6608697a8d41bed440e504", &json!({"name": "Кубдари", "menu": menu}).to_string());
    let recount = Recount::new(&orders(&[message]), &snapshot, &NameCheck::Present);
    // As the replaced services wrote them.
    let expected = [
        ("h_user", "288e8961-4408-5329-b208-5b7f93fac1bb"),
        ("h_product", "980f6550-9a29-56ae-8b91-c6323c917fde"),
        ("h_category", "0c21c016-53b4-5ed3-915b-e723d2ce95e0"),
        ("h_restaurant", "cf6a6f66-da41-5291-abef-e4c559ec3b44"),
        ("h_order", "cc1060d0-a568-5b20-ac56-fa4c8c3067b1"),
        ("l_order_product", "318d842c-ace6-5e39-9b5d-bcce9bfa3e6a"),
        ("l_product_restaurant", "a3730cfe-78ff-52c5-b03e-72c30a538ad4"),
        ("l_product_category", "16d7c8ff-1e84-5484-9b28-44febeace10d"),
        ("l_order_user", "c5842f3d-c696-5dcf-a0b6-782a7f11eaf7"),
        ("s_order_cost", "9b1258fe-5cef-5f23-a302-4814d4e5b830"),
        ("s_order_status", "8c2ad7fc-7149-595f-94b0-b26a7d88921e"),
    ];
    for (table, key) in expected {
        let keys: Vec<_> = rows(&recount.vault, table).keys().collect();
        assert_eq!(keys, [key], "{table}");
    }
    let names =
        [("2b772094-936a-5f5c-9120-c7b16727bb23", "5ec84d8dbc74254770f58904#$# trailing space #$# trailing space ")];
    let found: Vec<_> = names.iter().map(|(key, joined)| ((*key).to_owned(), (*joined).to_owned())).collect();
    assert_eq!(compare("s_user_names", "keys", &vault::name_keys(&found), found).differences, 0);
}

#[test]
fn a_counter_that_is_off_by_one_is_found() {
    let recount = recount(&[order(1, 0, "CLOSED", &[KEBAB, TEA]), order(2, 0, "CLOSED", &[KEBAB])]);
    let expected = rows(&recount.marts, "user_product_counters");
    let mut found: Vec<_> = expected.iter().map(|(key, values)| (key.clone(), values[0].clone())).collect();
    assert_eq!(compare("t", "counters", expected, found.clone()).differences, 0);
    let kebab = found.iter_mut().find(|(_, value)| value.starts_with("order_cnt=2")).unwrap();
    kebab.1 = kebab.1.replace("order_cnt=2", "order_cnt=3");
    let report = compare("t", "counters", expected, found);
    assert_eq!((report.equal, report.differences), (1, 1));
    assert!(report.examples[0].contains("expected order_cnt=2 product_name=Кебаб, found order_cnt=3"));
}

#[test]
fn names_are_as_strict_as_the_run_allows() {
    let former = HashMap::from([(TEA.to_owned(), vec!["Чаёк".to_owned()])]);
    let orders = orders(&[order(1, 0, "CLOSED", &[TEA])]);
    let product_counter = |names: &NameCheck| dishes(&Recount::new(&orders, &snapshot(), names));
    assert_eq!(product_counter(&NameCheck::Present), ["order_cnt=1 product_name=Чай"]);
    assert_eq!(
        product_counter(&NameCheck::PresentOrFormer(former)),
        ["order_cnt=1 product_name=Чай", "order_cnt=1 product_name=Чаёк"]
    );
    assert_eq!(product_counter(&NameCheck::Ignored), ["order_cnt=1"]);
}

#[test]
fn the_order_of_arrival_does_not_matter() {
    let dictionary = Dictionary::generate(3, 40, 5);
    let mut snapshot = Snapshot::default();
    for (id, json) in dictionary.entries() {
        snapshot.add_user(&id, &json);
        snapshot.add_restaurant(&id, &json);
    }
    let plan = Plan { seed: 3, first_order_id: 1, orders: 500, partitions: 3, mix: Mix::adversarial() };
    let mut messages: Vec<Produced> = Backlog::new(&dictionary, plan).collect();
    let count = |messages: &[Produced]| {
        let mut orders = Orders::default();
        for (offset, message) in (0..).zip(messages) {
            let payload = Some(message.payload.as_slice());
            orders.add(Record { partition: 0, offset, timestamp: Some(0), key: None, payload });
        }
        let recount = Recount::new(&orders, &snapshot, &NameCheck::Present);
        let tables = recount.events.into_iter().chain(recount.vault).chain(recount.marts);
        (recount.summary, tables.map(|table| table.rows).collect::<Vec<_>>())
    };
    let forwards = count(&messages);
    messages.reverse();
    assert_eq!(forwards, count(&messages));
    assert_eq!((forwards.0.orders, forwards.0.waiting, forwards.0.refused), (500, 0, 0));
}
