//! `ops.layers` and `ops.pauses`: whether a layer is to run. Every change is one transaction, with the operation that
//! records it, and gives the desired state its next generation.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::postgres::{PgConnection, PgPool};

use super::operations::{self, Kind, NewOperation, Operation};
use super::{FORGOTTEN_AFTER, ITSELF, notify};
use crate::desired_state::{DesiredState, Pause, PauseKind};

/// What is desired of the layer, and how long until that changes by itself.
pub async fn load(pool: &PgPool, layer: &str) -> Result<(DesiredState, Option<Duration>), sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select l.generation, p.kind, p.reason, p.actor, p.since, p.until, \
                extract(epoch from p.until - now())::float8 as ends_in \
         from (select coalesce(max(generation), 0) as generation from ops.layers where layer = $1) l \
         left join ops.pauses p on p.layer = $1 and (p.until is null or p.until > now()) \
         order by p.kind desc",
    )
    .bind(layer)
    .fetch_all(pool)
    .await?;
    let generation = rows.first().map_or(0, |row| row.generation);
    let ends_in = rows.iter().filter_map(|row| row.ends_in).reduce(f64::min);
    let pauses = rows.into_iter().filter_map(Row::pause).collect();
    Ok((DesiredState { generation, pauses }, ends_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())))
}

/// Somebody's wish that a layer be paused.
#[derive(Clone, Debug)]
pub struct PauseOrder<'a> {
    /// The layer.
    pub layer: &'a str,
    /// Which kind of reason it is; an earlier one of the kind is replaced.
    pub kind: PauseKind,
    /// Who asks.
    pub actor: &'a str,
    /// Why.
    pub reason: &'a str,
    /// When it is to end by itself; in the past: at once.
    pub until: Option<DateTime<Utc>>,
}

/// Pauses the layer; returns the operation as it is recorded. Pausing a paused layer brings its reason up to date.
pub async fn pause(pool: &PgPool, order: &PauseOrder<'_>) -> Result<Operation, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let generation = next_generation(&mut tx, order.layer).await?;
    sqlx::query(
        "insert into ops.pauses as p (layer, kind, reason, actor, until) values ($1, $2, $3, $4, $5) \
         on conflict (layer, kind) do update \
         set reason = excluded.reason, actor = excluded.actor, until = excluded.until, \
             since = case when p.until <= now() then now() else p.since end",
    )
    .bind(order.layer)
    .bind(order.kind.name())
    .bind(order.reason)
    .bind(order.actor)
    .bind(order.until)
    .execute(&mut *tx)
    .await?;
    let request = json!({"reason": order.reason, "until": order.until});
    let change = Change { kind: Kind::Pause, actor: order.actor, reason: Some(order.reason), request, generation };
    let operation = record(&mut tx, order.layer, change).await?;
    tx.commit().await?;
    Ok(operation)
}

/// Has the layer run again, whatever it was paused for; returns the operation as it is recorded.
pub async fn resume(pool: &PgPool, layer: &str, actor: &str, reason: Option<&str>) -> Result<Operation, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let generation = next_generation(&mut tx, layer).await?;
    sqlx::query("delete from ops.pauses where layer = $1").bind(layer).execute(&mut *tx).await?;
    let change = Change { kind: Kind::Resume, actor, reason, request: json!({"reason": reason}), generation };
    let operation = record(&mut tx, layer, change).await?;
    tx.commit().await?;
    Ok(operation)
}

/// Removes pauses whose time is up, and records that as the service's own resume.
pub async fn expire(pool: &PgPool, layer: &str) -> Result<(), sqlx::Error> {
    let over: bool = sqlx::query_scalar("select exists (select from ops.pauses where layer = $1 and until <= now())")
        .bind(layer)
        .fetch_one(pool)
        .await?;
    if !over {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    let generation = next_generation(&mut tx, layer).await?;
    let ended: Vec<String> =
        sqlx::query_scalar("delete from ops.pauses where layer = $1 and until <= now() returning reason")
            .bind(layer)
            .fetch_all(&mut *tx)
            .await?;
    // Another replica may have been here first; then the generation goes back with the transaction.
    if ended.is_empty() {
        return tx.rollback().await;
    }
    let reason = format!("the time of the pause is up: {}", ended.join("; "));
    let change = Change { kind: Kind::Resume, actor: ITSELF, reason: Some(&reason), request: json!({}), generation };
    record(&mut tx, layer, change).await?;
    tx.commit().await
}

struct Change<'a> {
    kind: Kind,
    actor: &'a str,
    reason: Option<&'a str>,
    request: Value,
    generation: i64,
}

/// Locks the layer's row, so that changes of its desired state follow one another.
async fn next_generation(tx: &mut PgConnection, layer: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "insert into ops.layers as l (layer, generation) values ($1, 1) \
         on conflict (layer) do update set generation = l.generation + 1 returning generation",
    )
    .bind(layer)
    .fetch_one(tx)
    .await
}

/// The operation, with every member as one who has still to do it: also those that have lately fallen silent, who may
/// do so because PostgreSQL was away, and still work.
async fn record(tx: &mut PgConnection, layer: &str, change: Change<'_>) -> Result<Operation, sqlx::Error> {
    let Change { kind, actor, reason, request, generation } = change;
    let operation = NewOperation { layer, kind, actor, reason, request, progress: json!({}) };
    let id = operations::insert(tx, operation).await?;
    sqlx::query("update ops.operations set generation = $2, state = 'running' where id = $1")
        .bind(id)
        .bind(generation)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "insert into ops.operation_results (operation_id, member, outcome) \
         select $1, id, 'pending' from ops.members \
         where layer = $2 and heartbeat > now() - make_interval(secs => $3) order by id",
    )
    .bind(id)
    .bind(layer)
    .bind(FORGOTTEN_AFTER)
    .execute(&mut *tx)
    .await?;
    notify(tx, layer).await?;
    operations::recorded(tx, layer, id).await
}

#[derive(sqlx::FromRow)]
struct Row {
    generation: i64,
    kind: Option<String>,
    reason: Option<String>,
    actor: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    ends_in: Option<f64>,
}

impl Row {
    fn pause(self) -> Option<Pause> {
        let kind = match self.kind?.as_str() {
            "dead_letter_breaker" => PauseKind::DeadLetterBreaker,
            _ => PauseKind::Operator,
        };
        Some(Pause { kind, reason: self.reason?, actor: self.actor?, since: self.since?, until: self.until })
    }
}
