//! PostgreSQL: whether it answers and may be written, who else reports to it, and the pools' connections.

use std::sync::Arc;

use tokio::time::MissedTickBehavior;

use super::{EVERY, PATIENCE, WATCHER};
use crate::control::members;
use crate::database::Database;
use crate::fault::Dependency;
use crate::health::Health;
use crate::metrics::Metrics;

/// Looks at PostgreSQL for ever, and counts the pool's connections on the way.
pub async fn watch_postgres(database: Database, layer: &'static str, health: Arc<Health>, metrics: Arc<Metrics>) {
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let check = Dependency::Postgres.name();
        match tokio::time::timeout(PATIENCE, look_at_postgres(&database, layer, &metrics)).await {
            Ok(Ok(false)) => health.passes(check, WATCHER),
            Ok(Ok(true)) => {
                health.fails(check, WATCHER, "the server is read-only");
                database.reconnect();
            }
            Ok(Err(error)) => health.fails(check, WATCHER, &error.to_string()),
            Err(_) => {
                health.fails(check, WATCHER, "no answer within 3 s");
                database.reconnect();
            }
        }
    }
}

/// Answers whether the server is read-only.
async fn look_at_postgres(database: &Database, layer: &str, metrics: &Metrics) -> Result<bool, sqlx::Error> {
    for (name, pool) in database.pools() {
        let idle = pool.num_idle();
        let all = usize::try_from(pool.size()).unwrap_or(usize::MAX);
        for (state, count) in [("idle", idle), ("in_use", all.saturating_sub(idle))] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            metrics.pool_connections.with_label_values(&[name, state]).set(count);
        }
    }
    let pool = database.pool();
    let read_only: String = sqlx::query_scalar("show transaction_read_only").fetch_one(&pool).await?;
    metrics.members.set(members::count_alive(&pool, layer).await?);
    Ok(read_only == "on")
}
