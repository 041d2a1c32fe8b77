//! What bytes are judged to be, and by which code a fault is known.

#![expect(clippy::unwrap_used, reason = "tests may")]

use ordervault_contracts::decode::{Envelope, read};
use ordervault_contracts::order_report::OrderReport;
use ordervault_contracts::source_order::SourceOrder;
use ordervault_contracts::stg_order::StgOrder;
use serde_json::{Value, json};

const SOURCE: &str = include_str!("../samples/order-service_orders.json");
const STG: &str = include_str!("../samples/stg-service-orders.json");
const DDS: &str = include_str!("../samples/dds-service-orders.json");

fn code_of(bytes: &[u8]) -> String {
    read::<SourceOrder>(bytes, "order").err().map(|fault| fault.code).unwrap_or_default()
}

fn with(pointer: &str, value: &Value) -> Vec<u8> {
    let mut order: Value = serde_json::from_str(SOURCE.lines().next().unwrap()).unwrap();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = order.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(field)
    } else {
        parent.insert(field.to_owned(), value.clone())
    };
    serde_json::to_vec(&order).unwrap()
}

#[test]
fn the_samples_are_messages() {
    for line in SOURCE.lines() {
        assert!(matches!(read::<SourceOrder>(line.as_bytes(), "order"), Ok(Envelope::Message { .. })));
    }
    assert!(matches!(read::<StgOrder>(STG.as_bytes(), "order"), Ok(Envelope::Message { .. })));
    assert!(matches!(read::<OrderReport>(DDS.as_bytes(), "order_report"), Ok(Envelope::Message { .. })));
}

#[test]
fn another_type_and_a_missing_payload_are_no_faults() {
    assert!(matches!(read::<SourceOrder>(&with("/object_type", &json!("user")), "order"), Ok(Envelope::OtherType)));
    assert!(matches!(read::<SourceOrder>(&with("/payload", &Value::Null), "order"), Ok(Envelope::NoPayload)));
    assert!(matches!(
        read::<SourceOrder>(br#"{"object_type": "order", "payload": null, "object_id": "x"}"#, "order"),
        Ok(Envelope::NoPayload)
    ));
}

#[test]
fn each_fault_names_its_field() {
    assert_eq!(code_of(b"{"), "invalid_json");
    assert_eq!(code_of(b"\xff{}"), "invalid_utf8");
    assert_eq!(code_of(b"[1]"), "wrong_type:(record)");
    assert_eq!(code_of(b"{} x"), "invalid_json");
    for (pointer, value, code) in [
        ("/object_type", Value::Null, "missing:object_type"),
        ("/object_id", Value::Null, "missing:object_id"),
        ("/object_id", json!("1"), "wrong_type:object_id"),
        ("/object_id", json!(9_223_372_036_854_775_808_u64), "out_of_range:object_id"),
        ("/sent_dttm", json!("yesterday"), "unreadable_time:sent_dttm"),
        ("/payload/user/id", Value::Null, "missing:payload.user.id"),
        ("/payload/user/id", json!(5), "wrong_type:payload.user.id"),
        ("/payload/cost", json!("300"), "wrong_type:payload.cost"),
        ("/payload/date", json!("2023-08-05"), "unreadable_time:payload.date"),
        ("/payload/final_status", json!("CLO\0SED"), "nul_character:payload.final_status"),
        ("/payload/order_items", json!({}), "wrong_type:payload.order_items"),
        ("/payload/order_items", json!([{"id": "a", "price": 1}]), "missing:payload.order_items[].quantity"),
    ] {
        assert_eq!(code_of(&with(pointer, &value)), code, "{pointer} {value}");
    }
}

#[test]
fn a_value_that_json_allows_and_no_type_can_hold_is_named() {
    let order = String::from_utf8(with("/payload/new", &json!(1))).unwrap();
    for (pointer, held, code) in [
        ("/object_id", "1e400".to_owned(), "out_of_range:object_id"),
        ("/object_id", "7".repeat(400), "out_of_range:object_id"),
        ("/payload/final_status", r#""\ud800""#.to_owned(), "lone_surrogate:payload.final_status"),
        ("/payload/final_status", r#""\ud800x""#.to_owned(), "lone_surrogate:payload.final_status"),
        ("/payload/user/id", r#""\udc00\ud800""#.to_owned(), "lone_surrogate:payload.user.id"),
        ("/payload/date", r#""\ud83d\ud83d""#.to_owned(), "lone_surrogate:payload.date"),
        ("/payload/final_status", "1e400".to_owned(), "out_of_range:payload.final_status"),
        ("/payload/order_items", format!("{}{}", "[".repeat(300), "]".repeat(300)), "wrong_type:payload.order_items[]"),
    ] {
        let marked = String::from_utf8(with(pointer, &json!("MARK"))).unwrap();
        assert_ne!(marked, order);
        assert_eq!(code_of(marked.replace(r#""MARK""#, &held).as_bytes()), code, "{pointer} {held}");
    }
}

#[test]
fn a_users_name_that_cannot_be_read_costs_no_order() {
    let report: Value = serde_json::from_str(DDS).unwrap();
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    for held in ["1e400", r#""\ud800""#, r#""\u0000""#, "null", "{}", &deep] {
        let mut report = report.clone();
        report["payload"]["user"]["username"] = json!("MARK");
        report["payload"]["user"]["update_ts"] = json!("MARK");
        let text = report.to_string().replace(r#""MARK""#, held);
        let read = read::<OrderReport>(text.as_bytes(), "order_report");
        let Ok(Envelope::Message { message, .. }) = read else { panic!("{held}: {read:?}") };
        assert!(message.payload.user.username.is_none() && message.payload.user.update_ts.is_none(), "{held}");
    }
}

#[test]
fn a_field_that_stands_twice_is_named() {
    let order = String::from_utf8(with("/payload/new", &json!(1))).unwrap();
    for (once, twice, code) in [
        ("\"object_id\":", "\"object_id\":1,\"object_id\":", "duplicate:object_id"),
        ("\"payload\":", "\"payload\":{},\"payload\":", "duplicate:payload"),
        ("\"cost\":", "\"cost\":1,\"cost\":", "duplicate:payload.cost"),
    ] {
        assert_eq!(code_of(order.replacen(once, twice, 1).as_bytes()), code);
    }
}

#[test]
fn unknown_fields_and_absent_optional_ones_are_no_faults() {
    for (pointer, value) in
        [("/payload/new", json!({"a": [1]})), ("/sent_dttm", Value::Null), ("/payload/update_ts", Value::Null)]
    {
        assert!(matches!(read::<SourceOrder>(&with(pointer, &value), "order"), Ok(Envelope::Message { .. })));
    }
}
