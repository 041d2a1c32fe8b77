//! Removes what nobody needs any more from `ops`: operations past their time, members long gone.

use std::time::Duration;

use sqlx::postgres::PgPool;

use crate::database::Database;

const EVERY: Duration = Duration::from_hours(1);
/// Soon after the start, so that services that never live for an hour tidy up as well.
const FIRST: Duration = Duration::from_mins(1);

/// Tidies up until it is dropped. Finished operations are kept for `days`.
pub async fn tidy(layer: &'static str, database: Database, days: u32) {
    let mut pause = FIRST;
    loop {
        tokio::time::sleep(pause).await;
        pause = EVERY;
        if let Err(error) = remove(&database.pool(), layer, days).await {
            tracing::debug!(%error, "old operations could not be removed");
        }
    }
}

/// Removes the layer's operations that were finished more than `days` ago, and members gone for a day.
pub async fn remove(pool: &PgPool, layer: &str, days: u32) -> Result<(), sqlx::Error> {
    sqlx::query("delete from ops.operations where layer = $1 and finished_at < now() - make_interval(days => $2)")
        .bind(layer)
        .bind(i32::try_from(days).unwrap_or(i32::MAX))
        .execute(pool)
        .await?;
    sqlx::query("delete from ops.members where layer = $1 and heartbeat < now() - interval '1 day'")
        .bind(layer)
        .execute(pool)
        .await?;
    Ok(())
}
