//! Counters set to the ledger's sum. Neither ledger nor vault is ever changed by it.

use std::time::Duration;

use ordervault_runtime::control::outcomes::TableOutcome;
use ordervault_runtime::fault;
use ordervault_runtime::jobs::task::Stop;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnection, PgTransaction};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use uuid::Uuid;

use super::check::{self, EXAMPLES};
use super::counters::{COUNTERS, Counter};
use super::course::Course;

/// Batches wait meanwhile, so it neither waits nor works for long.
const BOUNDS: &str = "set local lock_timeout = '3s'; set local statement_timeout = '5min'";

/// No batch writes while these are held, and reads go on. A batch that changes the ledger does so before it touches a
/// counter, and one that only renames goes through the counters in this order: nobody can hold what is waited for here
/// and wait for what is held.
const LOCK: &str = "lock table cdm.order_ledger, cdm.user_product_counters, cdm.user_category_counters, \
     cdm.restaurant_category_counters in share row exclusive mode";

/// How often the locks are asked for.
const ATTEMPTS: u32 = 20;
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The ids of categories, and their names.
type Categories = (Vec<Uuid>, Vec<String>);

/// Repairs, and ends the audit, in one transaction that has the tables for itself.
pub(super) async fn repair(course: &Course<'_>, session: &mut PgConnection) -> Result<(), Stop> {
    let categories = categories_of_vault(session).await?;
    for _ in 0..ATTEMPTS {
        let mut tx = session.begin().await?;
        tx.execute(BOUNDS).await?;
        match tx.execute(LOCK).await {
            Ok(_) => return repair_all(course, tx, &categories).await,
            Err(error) if fault::is_locked_out(&error) => tx.rollback().await?,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
    Err(Stop::Failed("the tables could not be locked: some session has held one of them for a minute".to_owned()))
}

async fn repair_all(course: &Course<'_>, mut tx: PgTransaction<'_>, categories: &Categories) -> Result<(), Stop> {
    let mut outcomes = course.found.clone();
    for counter in &COUNTERS {
        outcomes.extend(set_to_sum(&mut tx, counter, categories).await?);
    }
    course.work.finish(&mut tx, &outcomes).await?;
    Ok(tx.commit().await?)
}

/// The names that the vault has for categories, where it may be read: they never change.
async fn categories_of_vault(session: &mut PgConnection) -> Result<Categories, sqlx::Error> {
    if check::lacking(session, &["dds.h_category"]).await?.is_some() {
        return Ok(Categories::default());
    }
    let named: Vec<(Uuid, String)> =
        sqlx::query_as("select h_category_pk, category_name from dds.h_category").fetch_all(session).await?;
    Ok(named.into_iter().unzip())
}

/// Sets every counter of a table that is not the ledger's sum to it; says what was changed.
async fn set_to_sum(
    tx: &mut PgConnection,
    counter: &Counter,
    categories: &Categories,
) -> Result<Option<TableOutcome>, sqlx::Error> {
    let Counter { table, ids: [one, other], add, .. } = counter;
    let rows = counter.rows();
    let sql = format!(
        "with wrong as materialized (select * from ({rows}) looked_at where wrong), \
              known as (select id, min(name) as name \
                        from (select category_id as id, category_name as name from cdm.user_category_counters \
                              union all select category_id, category_name from cdm.restaurant_category_counters \
                              union all select * from unnest($1::uuid[], $2::text[])) names group by id), \
              changed as (update {table} c set order_cnt = expected from wrong \
                          where c.{one} = wrong.{one} and c.{other} = wrong.{other} returning c.{one}, c.{other}), \
              added as ({add} returning {one}, {other}), \
              repaired as (select * from changed union all select * from added) \
         select (select count(*) from repaired), (select count(*) from wrong), \
                array(select jsonb_build_object('{one}', {one}, '{other}', {other}, 'before', held, 'after', expected) \
                      from wrong join repaired using ({one}, {other}) limit {EXAMPLES})"
    );
    // The text is made of constants.
    let (repaired, wrong, examples): (i64, i64, Vec<Value>) =
        sqlx::query_as(AssertSqlSafe(sql)).bind(&categories.0).bind(&categories.1).fetch_one(tx).await?;
    // What has no name anywhere cannot be made.
    let detail = json!({"repaired": repaired, "wrong": wrong - repaired, "examples": examples});
    Ok((wrong > 0).then_some(TableOutcome { table, outcome: "repaired", detail }))
}
