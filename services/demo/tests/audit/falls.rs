//! What becomes of an audit that is cancelled, or whose member is killed, in its middle.

use ordervault_demo::stage::OPERATOR;
use serde_json::{Value, json};
use sqlx::Executor as _;
use uuid::Uuid;

use super::scene::{PATIENCE, Scene, found};

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
