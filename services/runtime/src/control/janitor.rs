//! Removes what nobody needs any more: from `ops` operations past their time and members long gone, from the layer's schema
//! what the layer says.

use std::time::Duration;

use crate::database::Database;
use crate::fault::Fault;

const EVERY: Duration = Duration::from_mins(10);
/// Soon after the start, so that services that never live for long tidy up as well.
const FIRST: Duration = Duration::from_mins(1);
/// Removed by one statement, so that none takes long after years in which nothing was removed.
const AT_ONCE: u32 = 1_000;

/// Tidies up until it is dropped. Finished operations are kept for `days`; `own` is the layer's own SQL for it.
pub async fn tidy(layer: &'static str, database: Database, days: u32, own: Option<&'static str>) {
    let mut pause = FIRST;
    loop {
        tokio::time::sleep(pause).await;
        pause = EVERY;
        if let Err(fault) = remove(&database, layer, days).await {
            tracing::warn!(%fault, "what nobody needs any more could not be removed from ops");
        }
        if let Some(sql) = own
            && let Err(fault) = database.attempt(sqlx::query(sql).execute(&database.pool())).await
        {
            tracing::warn!(%fault, "what nobody needs any more could not be removed from the layer's schema");
        }
    }
}

/// Removes the layer's operations that were finished more than `days` ago, and members gone for a day.
async fn remove(database: &Database, layer: &str, days: u32) -> Result<(), Fault> {
    while remove_operations(database, layer, days).await? == u64::from(AT_ONCE) {}
    let pool = database.pool();
    let members = sqlx::query("delete from ops.members where layer = $1 and heartbeat < now() - interval '1 day'")
        .bind(layer)
        .execute(&pool);
    database.attempt(members).await.map(|_| ())
}

/// Removes those that were finished first; returns how many.
async fn remove_operations(database: &Database, layer: &str, days: u32) -> Result<u64, Fault> {
    let pool = database.pool();
    let removed = sqlx::query(
        "delete from ops.operations where id in ( \
             select id from ops.operations \
             where layer = $1 and finished_at < now() - make_interval(days => $2) order by finished_at limit $3)",
    )
    .bind(layer)
    .bind(i32::try_from(days).unwrap_or(i32::MAX))
    .bind(i64::from(AT_ONCE))
    .execute(&pool);
    Ok(database.attempt(removed).await?.rows_affected())
}
