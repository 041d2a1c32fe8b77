//! What a repair mends, what it leaves alone, and what is recorded of it.

use std::collections::BTreeMap;

use ordervault_demo::stage::OPERATOR;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

use super::scene::{AUDIT_WAITS, PATIENCE, Scene, differing, found};

const AUDIT_HOLDS_A_LOCK: &str = "select exists (select from pg_locks join pg_stat_activity using (pid) \
     where application_name = 'ordervault-cdm-audit' and pg_stat_activity.datname = current_database() \
           and mode = 'ShareRowExclusiveLock' and granted)";
const AUDIT_WAITS_NO_MORE: &str = "select not exists (select from pg_stat_activity where datname = current_database() \
     and application_name = 'ordervault-cdm-audit' and wait_event_type = 'Lock')";

fn repair() -> Value {
    json!({"repair": true, "reason": "changed by hand, ticket 4711"})
}

/// What the counters say, but for those that say nothing; and digests of what no repair may touch.
async fn held(scene: &Scene) -> BTreeMap<&'static str, String> {
    let mut held = BTreeMap::new();
    for (what, rows) in [
        (
            "dishes",
            "select user_id, product_id, product_name, order_cnt from cdm.user_product_counters where order_cnt > 0",
        ),
        (
            "categories",
            "select user_id, category_id, category_name, order_cnt from cdm.user_category_counters where order_cnt > 0",
        ),
        (
            "restaurants",
            "select restaurant_id, restaurant_name, category_id, category_name, order_cnt \
                         from cdm.restaurant_category_counters where order_cnt > 0",
        ),
        ("ledger", "select * from cdm.order_ledger"),
        ("orders", "select * from dds.h_order"),
        ("statuses", "select * from dds.s_order_status"),
        ("links", "select * from dds.l_product_category"),
    ] {
        let sql = format!("select md5(string_agg(r::text, chr(10) order by r::text)) from ({rows}) r");
        held.insert(what, sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&scene.stage.pool).await.unwrap());
    }
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_sets_every_counter_to_the_ledgers_sum_and_says_what_it_has_changed() {
    let scene = Scene::set("audit_repair", 1, &[]).await;
    let before = held(&scene).await;
    scene
        .run(
            "update cdm.user_product_counters set order_cnt = order_cnt + 5 \
                 where id = (select min(id) from cdm.user_product_counters where order_cnt > 0); \
             delete from cdm.user_product_counters \
                 where id = (select max(id) from cdm.user_product_counters where order_cnt > 0); \
             insert into cdm.user_product_counters (user_id, product_id, product_name, order_cnt) \
                 values (gen_random_uuid(), gen_random_uuid(), 'Never ordered', 2); \
             delete from cdm.user_category_counters where category_name = 'Of its own'; \
             delete from cdm.restaurant_category_counters where category_name = 'Of its own'",
        )
        .await;
    let audit = scene.cdm[0].audit(&repair()).await.unwrap();
    assert_eq!(
        (&audit["kind"], &audit["state"], &audit["actor"], &audit["reason"], &audit["request"]["repair"]),
        (&json!("audit"), &json!("done"), &json!(OPERATOR), &repair()["reason"], &json!(true)),
        "{audit}"
    );
    for (table, rows) in
        [("cdm.user_product_counters", 3), ("cdm.user_category_counters", 1), ("cdm.restaurant_category_counters", 1)]
    {
        assert_eq!(found(&audit, table, "different")["wrong"], rows, "{audit}");
        let repaired = found(&audit, table, "repaired");
        assert_eq!((&repaired["repaired"], &repaired["wrong"]), (&json!(rows), &json!(0)), "{audit}");
        for example in repaired["examples"].as_array().unwrap() {
            assert_ne!(example["before"], example["after"], "{example}");
        }
    }
    let surplus = found(&audit, "cdm.user_product_counters", "repaired")["examples"].as_array().unwrap();
    assert!(surplus.iter().any(|each| (&each["before"], &each["after"]) == (&json!(2), &json!(0))), "{audit}");
    assert_eq!(held(&scene).await, before);
    let again = scene.cdm[0].audit(&repair()).await.unwrap();
    assert_eq!(differing(&again), BTreeMap::new(), "{again}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_only_looks_mends_nothing_and_a_repair_says_why() {
    let scene = Scene::set("audit_why", 1, &[]).await;
    scene.run("update cdm.user_category_counters set order_cnt = order_cnt + 1").await;
    let before = held(&scene).await;
    scene.audit().await;
    assert_eq!(held(&scene).await, before);
    for request in [json!({"repair": true}), json!({"repair": true, "reason": null})] {
        let (status, problem) = scene.cdm[0].post("/api/v1/audit", &request).await.unwrap();
        assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("invalid_field")), "{problem}");
        assert_eq!(problem["errors"][0]["pointer"], "/reason", "{problem}");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_gives_way_to_who_holds_the_tables_and_asks_again() {
    let scene = Scene::set("audit_locks", 1, &[]).await;
    scene.run("update cdm.user_category_counters set order_cnt = order_cnt + 1").await;
    let mut held = scene.stage.pool.begin().await.unwrap();
    held.execute("lock table cdm.user_product_counters in row exclusive mode").await.unwrap();
    let audit = scene.audit_in_its_middle(&repair()).await;
    scene.true_of("a lock that is given back", AUDIT_WAITS_NO_MORE).await;
    assert!(!sqlx::query_scalar::<_, bool>(AUDIT_HOLDS_A_LOCK).fetch_one(&scene.stage.pool).await.unwrap());
    scene.true_of("a further attempt", AUDIT_WAITS).await;
    held.rollback().await.unwrap();
    let audit = scene.cdm[0].finished(&audit, PATIENCE).await.unwrap();
    assert_eq!(found(&audit, "cdm.user_category_counters", "repaired")["wrong"], 0, "{audit}");
    let again = scene.audit().await;
    assert_eq!(differing(&again), BTreeMap::new(), "{again}");
    scene.end().await;
}
