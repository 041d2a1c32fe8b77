//! What is only on its way is behind, and not wrong.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::scene::{PATIENCE, Scene, differing, found, orders, wrong};

/// So many rows of the ledger that are behind, and what the audit says of why any may be.
fn behind(audit: &Value, rows: i64) -> Option<&str> {
    let expected = BTreeMap::from([("cdm.order_ledger".to_owned(), (0, rows))]);
    assert_eq!(differing(audit), expected, "{audit}");
    found(audit, "cdm.order_ledger", "behind")["under_way"].as_str()
}

/// The ledger without one of its orders that counts nothing.
async fn without_an_order(name: &str) -> Scene {
    let scene = Scene::set(name, 1, &[]).await;
    scene
        .run(
            "create table taken as select * from cdm.order_ledger where status = 'CANCELLED' limit 1; \
             delete from cdm.order_ledger where order_id in (select order_id from taken)",
        )
        .await;
    let audit = scene.audit().await;
    assert_eq!(differing(&audit), wrong(&[("cdm.order_ledger", 1)]), "{audit}");
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_and_versions_that_a_paused_cdm_has_still_to_take_are_behind() {
    let scene = Scene::set("audit_paused", 1, &[]).await;
    scene.cdm[0].pause(&json!({"reason": "a look"})).await.unwrap();
    let known = orders();
    let newer = known.iter().map(|order| {
        let mut order = order.clone();
        (order["payload"]["status"], order["payload"]["update_ts"]) = (json!("RETURNED"), json!("2030-01-01 00:00:00"));
        order
    });
    let unknown = known.iter().map(|order| {
        let mut order = order.clone();
        let id = json!(order["payload"]["id"].as_i64().unwrap() + 100_000);
        (order["object_id"], order["payload"]["id"]) = (id.clone(), id);
        order
    });
    scene.produce("dds", &newer.chain(unknown).collect::<Vec<_>>()).await;
    scene.stage.drained("dds", PATIENCE).await.unwrap();
    scene.age().await;
    let audit = scene.audit().await;
    let rows = i64::try_from(known.len()).unwrap();
    let expected = ["cdm.order_ledger", "dds.s_order_status"].map(|table| (table.to_owned(), (0, rows)));
    assert_eq!(differing(&audit), BTreeMap::from(expected), "{audit}");
    assert_eq!(audit["progress"]["behind"], 2 * rows, "{audit}");
    let why = found(&audit, "cdm.order_ledger", "behind")["under_way"].as_str().unwrap();
    assert!(why.contains("on its topic"), "{why}");

    scene.cdm[0].resume().await.unwrap();
    scene.drained().await;
    let audit = scene.audit().await;
    assert_eq!(differing(&audit), BTreeMap::new(), "{audit}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_the_vault_has_only_just_got_is_behind() {
    let scene = without_an_order("audit_young").await;
    scene
        .run(
            "update dds.s_order_status set load_dt = now() at time zone 'utc' \
             where h_order_pk in (select order_id from taken)",
        )
        .await;
    assert_eq!(behind(&scene.audit().await, 1), None);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_cdm_has_set_aside_is_behind_until_it_is_given_up() {
    let scene = without_an_order("audit_letter").await;
    scene
        .run(
            "insert into ops.dead_letters (id, layer, topic, partition, \"offset\", record_time, key, value, header_names, \
                                           header_values, code, message, status) \
             select gen_random_uuid(), 'cdm', 'elsewhere', 0, 0, now(), convert_to(order_id::text, 'UTF8'), null, '{}', \
                    '{}', 'a', 'a', 'open' from taken",
        )
        .await;
    assert_eq!(behind(&scene.audit().await, 1), None);
    scene.run("update ops.dead_letters set key = convert_to(gen_random_uuid()::text, 'UTF8')").await;
    let audit = scene.audit().await;
    assert_eq!(differing(&audit), wrong(&[("cdm.order_ledger", 1)]), "another order's letter: {audit}");
    scene.run("update ops.dead_letters set key = null").await;
    assert!(behind(&scene.audit().await, 1).unwrap().contains("dead letter"));
    scene.run("update ops.dead_letters set status = 'discarded'").await;
    let audit = scene.audit().await;
    assert_eq!(differing(&audit), wrong(&[("cdm.order_ledger", 1)]), "{audit}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dds_that_is_gone_may_not_have_sent_is_behind() {
    let mut scene = without_an_order("audit_dds").await;
    scene.dds.kill().await.unwrap();
    scene.run("update ops.members set heartbeat = now() - interval '1 minute' where layer = 'dds'").await;
    assert!(behind(&scene.audit().await, 1).unwrap().contains("DDS is paused, away or just back"));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stg_is_still_sending_onward_again_is_behind() {
    let scene = without_an_order("audit_republish").await;
    scene
        .run(
            "insert into ops.operations (id, layer, kind, state, actor, request) \
             values (gen_random_uuid(), 'stg', 'republish', 'running', 'a test', '{}')",
        )
        .await;
    assert!(behind(&scene.audit().await, 1).unwrap().contains("sent onward again"));
    scene.run("update ops.operations set state = 'done' where kind = 'republish'").await;
    let audit = scene.audit().await;
    assert_eq!(differing(&audit), wrong(&[("cdm.order_ledger", 1)]), "{audit}");
    scene.end().await;
}
