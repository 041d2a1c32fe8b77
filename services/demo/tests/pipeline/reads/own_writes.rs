//! `min_offset`: whoever knows the offset of a record reads what it has brought.

use chrono::Utc;
use ordervault_demo::orders::Produced;
use serde_json::json;
use uuid::Uuid;

use super::scene::Scene;

const RECORDS: u128 = 100;
const PATH: &str = "/api/v1/user-product-counters";

fn id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

/// A report of one more order of the same dish by the same user.
fn report(number: u128) -> Produced {
    let report = json!({
        "object_id": id(number), "object_type": "order_report", "sent_dttm": "2026-03-01 10:00:00",
        "payload": {
            "id": id(number), "order_dt": "2026-03-01 09:00:00", "status": "CLOSED",
            "restaurant": {"id": id(1), "name": "Trattoria"}, "user": {"id": id(2), "username": "Анна"},
            "products": [{"id": id(3), "name": "Пицца", "category": {"id": id(4), "name": "Выпечка"}}],
        },
    });
    Produced { key: None, partition: Some(0), payload: report.to_string().into_bytes() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_always_seen_by_whoever_reads_with_its_offset() {
    let scene = Scene::new("own_writes").await;
    for number in 0..RECORDS {
        let produced_at = Utc::now();
        scene.stage.produce("cdm", [report(100 + number)]).await.unwrap();
        let path = format!("{PATH}?user={}&product={}&min_offset=0:{number}&wait=60s", id(2), id(3));
        let answer = scene.get(&path).await;
        let applied = answer.headers()["ordervault-applied-offsets"].to_str().unwrap().to_owned();
        let page: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(page["items"][0]["order_cnt"], json!(number + 1), "{page}");
        assert_eq!(applied, format!("0:{number}"));
        let as_of: chrono::DateTime<Utc> = page["as_of"].as_str().unwrap().parse().unwrap();
        // Kafka counts milliseconds.
        assert!(as_of.timestamp_millis() >= produced_at.timestamp_millis(), "{as_of} is before {produced_at}");
    }
    // A file waits as well, and so does a segment.
    let next = RECORDS;
    scene.stage.produce("cdm", [report(100 + next)]).await.unwrap();
    let lines = scene.get(&format!("{PATH}?format=ndjson&fields=order_cnt&min_offset=0:{next}&wait=60s")).await;
    assert_eq!(lines.text().await.unwrap(), format!("{{\"order_cnt\":{}}}\n", next + 1));
    let users = scene.json(&format!("/api/v1/users?category={}&min_offset=0:{next}", id(4)), 200).await;
    assert_eq!(users["items"][0], json!({"user_id": id(2), "user_name": "Анна", "order_cnt": next + 1}));
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_is_not_applied_in_time_is_a_504_that_says_how_far_the_tables_are() {
    let scene = Scene::new("not_applied").await;
    let late = scene.json(&format!("{PATH}?min_offset=1:0"), 504).await;
    assert_eq!(late["code"], "offset_not_applied");
    scene.stage.produce("cdm", [report(100)]).await.unwrap();
    scene.json(&format!("{PATH}?min_offset=0:0&wait=60s"), 200).await;
    let late = scene.json(&format!("{PATH}?min_offset=0:0&min_offset=0:7&wait=1s"), 504).await;
    let detail = late["detail"].as_str().unwrap();
    assert!(detail.contains("0:7") && detail.contains("0:0 is the last"), "{detail}");
    let unknown = scene.json(&format!("{PATH}?min_offset=2:0&wait=60s"), 404).await;
    assert_eq!(unknown["code"], "unknown_partition");
    scene.tear_down().await;
}
