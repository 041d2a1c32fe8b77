//! What becomes of an audit that is cancelled, or that loses its member, its connection or its question, in its middle.

use std::collections::BTreeMap;

use ordervault_demo::proxy::Cut;
use ordervault_demo::stage::{OPERATOR, until};
use serde_json::{Value, json};
use sqlx::Executor as _;
use uuid::Uuid;

use crate::proxied::behind_a_proxy;

use super::scene::{AUDIT_WAITS, PATIENCE, Scene, differing, found};

const NO_SESSION: &str = "select not exists (select from pg_stat_activity where datname = current_database() \
     and application_name = 'ordervault-cdm-audit')";

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_audit_ends_with_what_it_was_asking_and_the_next_one_is_done() {
    let scene = Scene::set("audit_cancelled", 1, &[]).await;
    scene.run("update cdm.user_product_counters set order_cnt = order_cnt + 1").await;
    let mut held = scene.stage.pool.begin().await.unwrap();
    held.execute("lock table cdm.restaurant_category_counters in access exclusive mode").await.unwrap();
    let repair = json!({"repair": true, "reason": "changed by hand"});
    let audit = scene.audit_in_its_middle(&repair).await;
    let path = format!("/api/v1/operations/{}/cancel?wait=60s", audit["id"].as_str().unwrap());
    let (status, cancelled) = scene.cdm[0].post(&path, &json!({"reason": "not now"})).await.unwrap();
    assert_eq!((status.as_u16(), &cancelled["state"]), (200, &json!("cancelled")), "{cancelled}");
    assert_eq!((&cancelled["cancelled_by"], &cancelled["results"]), (&json!(OPERATOR), &json!([])), "{cancelled}");
    // The server does not go on with what nobody waits for.
    scene.true_of("the end of the session", NO_SESSION).await;
    held.rollback().await.unwrap();
    let next = scene.audit().await;
    found(&next, "cdm.user_product_counters", "different");
    assert_eq!(scene.cdm[0].get("/readyz").await.unwrap().0, 200);
    scene.end().await;
}

async fn runner(scene: &Scene, audit: &Value) -> Uuid {
    let id: Uuid = audit["id"].as_str().unwrap().parse().unwrap();
    let runner = sqlx::query_scalar("select runner from ops.operations where id = $1").bind(id);
    runner.fetch_one(&scene.stage.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_whose_member_is_killed_is_done_by_another() {
    let mut scene = Scene::set("audit_killed", 2, &[]).await;
    scene.run("update cdm.user_product_counters set order_cnt = order_cnt + 1").await;
    let members: Vec<Uuid> = sqlx::query_scalar("select id from ops.members where layer = 'cdm' order by id")
        .fetch_all(&scene.stage.pool)
        .await
        .unwrap();
    let mut held = scene.stage.pool.begin().await.unwrap();
    held.execute("lock table dds.l_order_user in access exclusive mode").await.unwrap();
    let repair = json!({"repair": true, "reason": "changed by hand"});
    let audit = scene.audit_in_its_middle(&repair).await;
    let first = runner(&scene, &audit).await;
    let place = members.iter().position(|member| *member == first).unwrap();
    scene.cdm.remove(place).kill().await.unwrap();
    held.rollback().await.unwrap();
    let done = scene.cdm[0].finished(&audit, PATIENCE).await.unwrap();
    assert_eq!(done["state"], "done", "{done}");
    assert_ne!(runner(&scene, &audit).await, first);
    let repaired = &found(&done, "cdm.user_product_counters", "repaired")["repaired"];
    assert_eq!(repaired, &found(&done, "cdm.user_product_counters", "different")["wrong"], "{done}");
    assert_eq!(done["results"].as_array().unwrap().len(), 10, "{done}");
    scene.end().await;
}

/// Has the server do something to the session of the audit.
async fn done_to_session(scene: &Scene, what: &str) {
    scene
        .run(&format!(
            "select {what}(pid) from pg_stat_activity \
             where datname = current_database() and application_name = 'ordervault-cdm-audit'"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_whose_connection_is_lost_is_begun_anew_and_the_next_one_waits_for_its_end() {
    let scene = Scene::set("audit_lost", 1, &[]).await;
    let mut held = scene.stage.pool.begin().await.unwrap();
    held.execute("lock table dds.l_order_user in access exclusive mode").await.unwrap();
    let audit = scene.audit_in_its_middle(&json!({})).await;
    let (_, next) = scene.cdm[0].post("/api/v1/audit", &json!({})).await.unwrap();
    done_to_session(&scene, "pg_terminate_backend").await;
    scene.true_of("the end of the session", NO_SESSION).await;
    scene.true_of("a further attempt", AUDIT_WAITS).await;
    assert_eq!(scene.cdm[0].operation(&next["id"]).await.unwrap()["state"], "accepted");
    held.rollback().await.unwrap();
    for audit in [audit, next] {
        let done = scene.cdm[0].finished(&audit, PATIENCE).await.unwrap();
        assert_eq!(done["state"], "done", "{done}");
        assert_eq!(differing(&done), BTreeMap::new(), "{done}");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_is_begun_anew_where_the_servers_host_died_without_a_word_in_its_middle() {
    let (_, proxy) = behind_a_proxy("PG_WAREHOUSE_HOST", "PG_WAREHOUSE_PORT").await;
    let port = proxy.address.port().to_string();
    let scene = Scene::set("audit_silent", 1, &[("PG_WAREHOUSE_PORT", &port)]).await;
    let asks = b") looked_at";
    proxy.cut_when(Cut::Silently, 1, move |piece| piece.windows(asks.len()).any(|window| window == asks));
    let (_, audit) = scene.cdm[0].post("/api/v1/audit", &json!({})).await.unwrap();
    until("the silence", PATIENCE, async || Ok((proxy.cuts_left() == 0).then_some(()))).await.unwrap();
    // The next server has never heard of the session.
    done_to_session(&scene, "pg_terminate_backend").await;
    let done = scene.cdm[0].finished(&audit, PATIENCE).await.unwrap();
    assert_eq!((&done["state"], differing(&done)), (&json!("done"), BTreeMap::new()), "{done}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_whose_question_is_ended_by_the_server_fails_and_says_so() {
    let scene = Scene::set("audit_ended", 1, &[]).await;
    let mut held = scene.stage.pool.begin().await.unwrap();
    held.execute("lock table dds.l_order_user in access exclusive mode").await.unwrap();
    let audit = scene.audit_in_its_middle(&json!({})).await;
    done_to_session(&scene, "pg_cancel_backend").await;
    let failed = scene.cdm[0].finished(&audit, PATIENCE).await.unwrap();
    assert_eq!((&failed["state"], &failed["results"]), (&json!("failed"), &json!([])), "{failed}");
    assert!(failed["error"].as_str().unwrap().contains("canceling statement"), "{failed}");
    assert_eq!(failed["progress"]["done"], 6, "{failed}");
    held.rollback().await.unwrap();
    scene.audit().await;
    scene.end().await;
}
