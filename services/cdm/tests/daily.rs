//! The daily audit is ordered once, however many members find it due.

#![expect(clippy::unwrap_used, reason = "tests may")]

use chrono::NaiveTime;
use futures_util::future::try_join_all;
use ordervault_demo::stage::Stage;
use ordervault_runtime::control::operations::Kind;
use ordervault_runtime::jobs::daily;
use sqlx::postgres::PgPool;

/// So many members look whether it is time, all at once; returns how many audits there are then.
async fn looked(pool: &PgPool, members: usize) -> i64 {
    let look = |_| daily::order_if_due(pool, "cdm", Kind::Audit, NaiveTime::MIN);
    try_join_all((0..members).map(look)).await.unwrap();
    sqlx::query_scalar("select count(*) from ops.operations where kind = 'audit'").fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_members_that_find_the_daily_audit_due_one_orders_it() {
    let stage = Stage::build("daily", 1).await.unwrap();
    let migrated = stage.command("cdm", &[]).unwrap().arg("migrate").status().await.unwrap();
    assert!(migrated.success());
    assert_eq!(looked(&stage.pool, 8).await, 1);
    assert_eq!(looked(&stage.pool, 1).await, 1);
    // Somebody's own audit is not the day's.
    let others = "update ops.operations set actor = 'alice'";
    sqlx::query(others).execute(&stage.pool).await.unwrap();
    assert_eq!(looked(&stage.pool, 8).await, 2);
    let yesterday = "update ops.operations set created_at = created_at - interval '1 day'";
    sqlx::query(yesterday).execute(&stage.pool).await.unwrap();
    assert_eq!(looked(&stage.pool, 8).await, 3);
    stage.tear_down().await.unwrap();
}
