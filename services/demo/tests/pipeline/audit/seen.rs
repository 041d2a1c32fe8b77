//! What is seen of audits by those who did not order them: the metrics of every replica, and the daily one.

use ordervault_demo::stage::{Service, until};
use serde_json::{Value, json};

use super::scene::{PATIENCE, Scene};

/// What a replica's metric says of a table, or of all where none is named.
async fn metric(service: &Service, name: &str, table: Option<&str>) -> Option<f64> {
    let text = service.get("/metrics").await.unwrap().1;
    let of_table = |line: &&str| table.is_none_or(|table| line.contains(&format!("table=\"{table}\"")));
    let line = text.lines().find(|line| line.starts_with(&format!("ordervault_audit_{name}{{")) && of_table(line))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Waits until every replica says that so many counters of dishes are wrong.
async fn shown_by_all(replicas: &[Service], wrong: f64) {
    for replica in replicas {
        until("the metrics", PATIENCE, async || {
            let shown = metric(replica, "wrong_rows", Some("cdm.user_product_counters")).await;
            Ok((shown == Some(wrong)).then_some(()))
        })
        .await
        .unwrap();
        assert_eq!(metric(replica, "behind_rows", Some("dds.s_order_status")).await, Some(0.));
        assert!(metric(replica, "last_success_timestamp_seconds", None).await > Some(1.7e9));
        assert!(metric(replica, "seconds", None).await > Some(0.));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_shows_what_the_newest_audit_found_also_one_that_was_started_later() {
    let mut scene = Scene::set("audit_metrics", 2, &[]).await;
    assert_eq!(metric(&scene.cdm[0], "wrong_rows", None).await, None, "there was no audit");
    scene
        .run(
            "update cdm.user_product_counters set order_cnt = order_cnt + 1 \
             where id = (select min(id) from cdm.user_product_counters)",
        )
        .await;
    scene.audit().await;
    shown_by_all(&scene.cdm, 1.).await;
    let later = scene.stage.start("cdm", &[]).unwrap();
    later.ready(PATIENCE).await.unwrap();
    scene.cdm.push(later);
    shown_by_all(&scene.cdm, 1.).await;
    scene.cdm[0].audit(&json!({"repair": true, "reason": "a test"})).await.unwrap();
    shown_by_all(&scene.cdm, 0.).await;
    assert_eq!(metric(&scene.dds, "last_success_timestamp_seconds", None).await, None, "DDS has no audits");
    scene.end().await;
}

/// The audits that the service ordered itself, once there are so many that are done.
async fn daily(scene: &Scene, done: usize) -> Vec<Value> {
    until("the daily audit", PATIENCE, async || {
        let list = scene.cdm[0].read("/api/v1/operations?kind=audit").await?;
        let items = list["items"].as_array().unwrap().clone();
        Ok((items.iter().filter(|item| item["state"] == "done").count() >= done).then_some(items))
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_is_ordered_every_day_and_also_when_its_time_was_missed() {
    let scene = Scene::set("audit_daily", 2, &[("AUDIT_DAILY_AT", "00:00")]).await;
    let audits = daily(&scene, 1).await;
    assert_eq!(audits.len(), 1, "{audits:?}");
    assert_eq!(
        (&audits[0]["actor"], &audits[0]["reason"]),
        (&json!("ordervault"), &json!("daily, at 00:00 UTC")),
        "{audits:?}"
    );
    scene.run("update ops.operations set created_at = created_at - interval '1 day'").await;
    assert_eq!(daily(&scene, 2).await.len(), 2);
    scene.end().await;
}
