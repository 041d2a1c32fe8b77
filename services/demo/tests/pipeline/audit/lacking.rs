//! A CDM that has no vault beside it, or may not read it, audits what it has.

use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Service, Stage};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::scene::{PATIENCE, TABLES, reports};

/// The tables of which an audit says why they were skipped, after those that are right.
async fn skipped(cdm: &Service) -> Vec<String> {
    let audit = cdm.audit(&json!({})).await.unwrap();
    assert_eq!((&audit["state"], &audit["progress"]["done"]), (&json!("done"), &json!(9)), "{audit}");
    let results: Vec<&Value> = audit["results"].as_array().unwrap().iter().collect();
    let tables: Vec<&str> = results.iter().map(|result| result["table"].as_str().unwrap()).collect();
    assert_eq!(tables, TABLES, "{audit}");
    assert!(results[..3].iter().all(|result| result["outcome"] == "equal"), "{audit}");
    assert!(results[3..].iter().all(|result| result["outcome"] == "skipped"), "{audit}");
    results[3..].iter().map(|result| result["detail"]["reason"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_not_there_or_may_not_be_read_is_skipped_with_the_reason() {
    let stage = Stage::build("audit_lacking", 1).await.unwrap();
    let cdm = stage.start("cdm", &[]).unwrap();
    cdm.ready(PATIENCE).await.unwrap();
    let messages = reports().into_iter().map(|report| serde_json::to_vec(&report).unwrap());
    let messages = messages.map(|payload| Produced { key: None, partition: None, payload });
    stage.produce("cdm", messages).await.unwrap();
    stage.drained("cdm", PATIENCE).await.unwrap();
    for reason in skipped(&cdm).await {
        assert!(reason.starts_with("there is no dds."), "{reason}");
    }
    drop(cdm);

    let dds = stage.start("dds", &[]).unwrap();
    dds.ready(PATIENCE).await.unwrap();
    let role = format!("{}_role", stage.name);
    let rights = format!(
        "create role {role} login password 'narrow'; grant usage on schema cdm, ops to {role}; \
         grant all on all tables in schema cdm, ops to {role}; grant all on all sequences in schema cdm, ops to {role}"
    );
    sqlx::raw_sql(AssertSqlSafe(rights)).execute(&stage.pool).await.unwrap();
    let settings = [("PG_WAREHOUSE_USER", role.as_str()), ("PG_WAREHOUSE_PASSWORD", "narrow")];
    let cdm = stage.start("cdm", &settings).unwrap();
    cdm.ready(PATIENCE).await.unwrap();
    for reason in skipped(&cdm).await {
        assert!(reason.ends_with("may not be read by this role"), "{reason}");
    }
    let wrong = "update cdm.user_category_counters set order_cnt = order_cnt + 1; \
         delete from cdm.restaurant_category_counters where id = (select min(id) from cdm.restaurant_category_counters)";
    sqlx::raw_sql(wrong).execute(&stage.pool).await.unwrap();
    let repair = cdm.audit(&json!({"repair": true, "reason": "with no more rights than that"})).await.unwrap();
    assert_eq!(repair["state"], "done", "{repair}");
    skipped(&cdm).await;
    drop((cdm, dds));
    let dropped = format!("drop owned by {role}; drop role {role}");
    sqlx::raw_sql(AssertSqlSafe(dropped)).execute(&stage.pool).await.unwrap();
    stage.tear_down().await.unwrap();
}
