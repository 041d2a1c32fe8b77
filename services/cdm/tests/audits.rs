//! The daily audit is ordered once, however many members find it due, and one audit is done at a time.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::collections::BTreeSet;

use chrono::NaiveTime;
use futures_util::future::try_join_all;
use ordervault_demo::stage::Stage;
use ordervault_runtime::control::operations::Kind;
use ordervault_runtime::jobs::daily;
use ordervault_runtime::jobs::lease::{self, Job};
use sqlx::postgres::PgPool;
use uuid::Uuid;

/// So many members look whether it is time, all at once; returns how many audits there are then.
async fn looked(pool: &PgPool, members: usize) -> i64 {
    let look = |_| daily::order_if_due(pool, "cdm", Kind::Audit, NaiveTime::MIN);
    try_join_all((0..members).map(look)).await.unwrap();
    sqlx::query_scalar("select count(*) from ops.operations where kind = 'audit'").fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_members_that_find_the_daily_audit_due_one_orders_it() {
    let stage = Stage::build("daily", 1).await.unwrap();
    stage.migrate("cdm").await.unwrap();
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

/// So many members look for work, all at once; returns what they come by.
async fn claimed(pool: &PgPool, members: usize) -> Vec<(Job, Uuid)> {
    let claim = async |_| {
        let member = Uuid::now_v7();
        lease::claim(pool, "cdm", Kind::Audit, member).await.map(|job| job.map(|job| (job, member)))
    };
    try_join_all((0..members).map(claim)).await.unwrap().into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_audits_one_is_done_at_a_time_however_many_members_look_for_work() {
    let stage = Stage::build("claims", 1).await.unwrap();
    stage.migrate("cdm").await.unwrap();
    let ordered = "insert into ops.operations (id, layer, kind, state, actor, request) \
         select gen_random_uuid(), 'cdm', 'audit', 'accepted', 'a test', '{}' from generate_series(1, 3)";
    sqlx::query(ordered).execute(&stage.pool).await.unwrap();
    let mut done = BTreeSet::new();
    for _ in 0..3 {
        let claims = claimed(&stage.pool, 8).await;
        let [(job, member)] = claims.as_slice() else { panic!("{claims:?}") };
        assert!(claimed(&stage.pool, 8).await.is_empty(), "another is begun before {} has come to its end", job.id);
        // Its member is killed: another goes on with this one, before any other is begun.
        let expired = "update ops.operations set lease_until = now() - interval '1 second' where id = $1";
        sqlx::query(expired).bind(job.id).execute(&stage.pool).await.unwrap();
        let claims = claimed(&stage.pool, 8).await;
        let [(same, next)] = claims.as_slice() else { panic!("{claims:?}") };
        assert_eq!(same.id, job.id);
        assert_ne!(next, member);
        lease::finish(&stage.pool, same, *next, None).await.unwrap();
        done.insert(job.id);
    }
    assert_eq!(done.len(), 3);
    assert!(claimed(&stage.pool, 8).await.is_empty());
    stage.tear_down().await.unwrap();
}
