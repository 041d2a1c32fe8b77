//! What is current after A→B→A: the newest version says so, in whatever order the versions come.

use std::time::Duration;

use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Stage, until};
use serde_json::json;

const PATIENCE: Duration = Duration::from_mins(1);

/// An order as STG sends it onward, whose user's name and status are those of `version`: A, B and A again.
fn message(order: i64, user: &str, version: u32) -> Vec<u8> {
    let (name, status) = if version == 2 { ("B", "CANCELLED") } else { ("A", "CLOSED") };
    let at = format!("2023-05-0{version} 10:00:00");
    json!({
        "object_id": order, "object_type": "order",
        "payload": {
            "id": order, "date": "2023-05-01 09:00:00", "cost": 300.5, "payment": 300, "status": status, "update_ts": at,
            "restaurant": {"id": "r1", "name": "Кофейня №1", "update_ts": "2023-01-01 00:00:00"},
            "user": {"id": user, "name": name, "login": "login", "update_ts": at},
            "products": [{"id": "p1", "price": 300, "quantity": 1, "name": "РОЛЛ", "category": "Выпечка"}],
        },
    })
    .to_string()
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn current_views_show_the_newest_version_after_a_b_a_in_every_order_of_arrival() {
    let stage = Stage::build("renaming", 3).await.unwrap();
    let orders = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    // Each user's versions come in an order of their own: once on one partition, once scattered over three.
    let mut messages = Vec::new();
    for (place, versions) in orders.iter().enumerate() {
        for scattered in [false, true] {
            let id = i64::try_from(place).unwrap() + if scattered { 100 } else { 0 };
            for (turn, version) in (0_i32..).zip(versions) {
                let payload = message(id, &format!("u{id}"), *version);
                messages.push(Produced { key: None, partition: Some(if scattered { turn } else { 0 }), payload });
            }
        }
    }
    let total = i64::try_from(messages.len()).unwrap();
    // A batch a record, so that a version meets rows that are committed and not only those of its own batch.
    for settings in [[("BATCH_MAX_RECORDS", "1")], [("BATCH_MAX_RECORDS", "1000")]] {
        stage.produce("dds", messages.clone()).await.unwrap();
        let mut service = stage.start("dds", &settings).unwrap();
        until("DDS", PATIENCE, async || Ok((stage.lag("dds").await? == 0).then_some(()))).await.unwrap();
        service.stop(Duration::from_secs(10)).await.unwrap();
        let names: Vec<(String, String)> =
            sqlx::query_as("select user_id, username from dds.s_user_names_current join dds.h_user using (h_user_pk)")
                .fetch_all(&stage.pool)
                .await
                .unwrap();
        assert_eq!(names.len(), 12);
        assert!(names.iter().all(|(_, name)| name == "A"), "{names:?}");
        let statuses: Vec<(i64, String)> = sqlx::query_as(
            "select order_id, status from dds.s_order_status_current join dds.h_order using (h_order_pk)",
        )
        .fetch_all(&stage.pool)
        .await
        .unwrap();
        assert_eq!(statuses.len(), 12);
        assert!(statuses.iter().all(|(_, status)| status == "CLOSED"), "{statuses:?}");
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from dds.s_user_names").fetch_one(&stage.pool).await.unwrap();
    assert_eq!(rows, 24, "a row for each name that each user ever had");
    assert_eq!(total, 36);
    stage.tear_down().await.unwrap();
}
