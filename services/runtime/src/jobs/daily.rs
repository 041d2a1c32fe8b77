//! Jobs that the service orders itself, once a day, whichever of its members is first.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, Utc};
use serde_json::json;
use sqlx::postgres::{PgConnection, PgPool};

use crate::control::operations::{self, Kind, NewOperation};
use crate::control::{ITSELF, notify};
use crate::database::Database;

/// How often it is looked whether it is time.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Orders a job of this kind every day, until it is dropped.
pub async fn keep_ordering(layer: &'static str, kind: Kind, at: NaiveTime, database: Database) {
    loop {
        if let Err(fault) = database.attempt(order_if_due(&database.pool(), layer, kind, at)).await {
            tracing::debug!(%fault, "the daily job could not be ordered yet");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Orders the day's job, unless that was done since its time: also where the time was missed, because nobody was there.
pub async fn order_if_due(pool: &PgPool, layer: &str, kind: Kind, at: NaiveTime) -> Result<(), sqlx::Error> {
    if !is_due(&mut *pool.acquire().await?, layer, kind, at).await? {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    // Members that come at the same moment follow one another here, and only the first finds it due.
    sqlx::query("insert into ops.layers (layer) values ($1) on conflict do nothing")
        .bind(layer)
        .execute(&mut *tx)
        .await?;
    sqlx::query("select from ops.layers where layer = $1 for update").bind(layer).execute(&mut *tx).await?;
    if !is_due(&mut tx, layer, kind, at).await? {
        return tx.rollback().await;
    }
    let reason = format!("daily, at {} UTC", at.format("%H:%M"));
    let new =
        NewOperation { layer, kind, actor: ITSELF, reason: Some(&reason), request: json!({}), progress: json!({}) };
    operations::insert(&mut tx, new).await?;
    notify(&mut tx, layer).await?;
    tx.commit().await
}

/// By the database's clock, which is the same for all members.
async fn is_due(connection: &mut PgConnection, layer: &str, kind: Kind, at: NaiveTime) -> Result<bool, sqlx::Error> {
    let (now, last): (DateTime<Utc>, Option<DateTime<Utc>>) = sqlx::query_as(
        "select now(), (select created_at from ops.operations where layer = $1 and kind = $2 and actor = $3 \
                        order by id desc limit 1)",
    )
    .bind(layer)
    .bind(kind)
    .bind(ITSELF)
    .fetch_one(connection)
    .await?;
    Ok(last.is_none_or(|last| last < last_time(now, at)))
}

/// When it was last time.
fn last_time(now: DateTime<Utc>, at: NaiveTime) -> DateTime<Utc> {
    let today = now.date_naive().and_time(at).and_utc();
    if today <= now { today } else { today - Days::new(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_is_today_once_it_has_come_and_else_yesterday() {
        let at = NaiveTime::from_hms_opt(3, 30, 0).unwrap();
        let last = |now: &str| last_time(now.parse().unwrap(), at).to_rfc3339();
        assert_eq!(last("2026-03-01T03:29:59.999Z"), "2026-02-28T03:30:00+00:00");
        assert_eq!(last("2026-03-01T03:30:00Z"), "2026-03-01T03:30:00+00:00");
        assert_eq!(last("2026-03-01T23:59:59Z"), "2026-03-01T03:30:00+00:00");
    }
}
