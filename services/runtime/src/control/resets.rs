//! `ops.reset_targets`: where a reset takes each partition of the running group, and that it takes it there once.
//!
//! The commit of a partition's target bears the operation's id as its metadata, and no partition is worked before it was
//! asked here whether a reset wants it elsewhere. So whoever owns the partition next, after a crash or a rebalance
//! between the commit and the note of it, finds the commit and does not do it again.

use serde_json::json;
use sqlx::postgres::PgPool;
use uuid::Uuid;

use super::notify;
use super::operations::{self, Kind, NewOperation, Operation};
use crate::offsets::Plan;

/// A partition that a reset has still to take to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Pending {
    /// The reset.
    pub operation: Uuid,
    /// The partition.
    pub partition: i32,
    /// The offset at which it is to go on.
    pub target: i64,
}

/// What a reset is asked to do.
#[derive(Debug)]
pub struct ResetOrder<'a> {
    /// The layer.
    pub layer: &'a str,
    /// Who asks.
    pub actor: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
    /// What was asked for, as it was written.
    pub request: serde_json::Value,
    /// What is to be done.
    pub plan: &'a Plan,
}

/// What became of an order.
#[derive(Clone, Debug)]
pub enum Ordered {
    /// It is under way, as this operation.
    Accepted(Box<Operation>),
    /// Another one is.
    Refused {
        /// That other one.
        under_way: Uuid,
    },
}

/// Records a reset; the members do the rest. One at a time.
pub async fn order(pool: &PgPool, order: &ResetOrder<'_>) -> Result<Ordered, sqlx::Error> {
    let partitions = &order.plan.partitions;
    let mut tx = pool.begin().await?;
    // Two that are ordered at the same moment follow one another here.
    sqlx::query("insert into ops.layers (layer) values ($1) on conflict do nothing")
        .bind(order.layer)
        .execute(&mut *tx)
        .await?;
    sqlx::query("select from ops.layers where layer = $1 for update").bind(order.layer).execute(&mut *tx).await?;
    let under_way: Option<Uuid> = sqlx::query_scalar(
        "select id from ops.operations \
         where layer = $1 and kind = 'offset_reset' and state in ('accepted', 'running')",
    )
    .bind(order.layer)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(under_way) = under_way {
        return Ok(Ordered::Refused { under_way });
    }
    let new = NewOperation {
        layer: order.layer,
        kind: Kind::OffsetReset,
        actor: order.actor,
        reason: order.reason,
        request: order.request.clone(),
        progress: json!({"partitions_total": partitions.len(), "partitions_done": 0}),
    };
    let id = operations::insert(&mut tx, new).await?;
    sqlx::query(
        "insert into ops.reset_targets (operation_id, partition, target, clamped) \
         select $1, partition, target, clamped from unnest($2::int[], $3::bigint[], $4::bool[]) r(partition, target, clamped)",
    )
    .bind(id)
    .bind(partitions.iter().map(|one| one.partition).collect::<Vec<_>>())
    .bind(partitions.iter().map(|one| one.target).collect::<Vec<_>>())
    .bind(partitions.iter().map(|one| one.clamped).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    notify(&mut tx, order.layer).await?;
    let operation = operations::recorded(&mut tx, order.layer, id).await?;
    tx.commit().await?;
    Ok(Ordered::Accepted(Box::new(operation)))
}

/// What the reset that is under way has still to do.
pub async fn pending(pool: &PgPool, layer: &str) -> Result<Vec<Pending>, sqlx::Error> {
    sqlx::query_as(
        "select o.id as operation, t.partition, t.target from ops.operations o \
         join ops.reset_targets t on t.operation_id = o.id and not t.done \
         where o.layer = $1 and o.kind = 'offset_reset' and o.state in ('accepted', 'running') order by t.partition",
    )
    .bind(layer)
    .fetch_all(pool)
    .await
}

/// What the reset that is under way has still to do with this partition.
pub async fn pending_of(pool: &PgPool, layer: &str, partition: i32) -> Result<Option<Pending>, sqlx::Error> {
    Ok(pending(pool, layer).await?.into_iter().find(|pending| pending.partition == partition))
}

/// Notes that a partition is where it is to be, and, after the last one, that the reset is done. The first word counts.
pub async fn applied(pool: &PgPool, pending: Pending, member: Uuid) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    // Notes of one reset follow one another, so that the last of them sees that it is the last.
    let layer: Option<String> = sqlx::query_scalar("select layer from ops.operations where id = $1 for update")
        .bind(pending.operation)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(layer) = layer else { return Ok(()) };
    sqlx::query(
        r#"with noted as (
               update ops.reset_targets set done = true
               where operation_id = $1 and partition = $2 and not done returning target, clamped)
           insert into ops.operation_results (operation_id, member, partition, outcome, "offset")
           select $1, $3, $2, case when clamped then 'clamped' else 'applied' end, target from noted"#,
    )
    .bind(pending.operation)
    .bind(pending.partition)
    .bind(member)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update ops.operations o \
         set progress = jsonb_build_object('partitions_total', c.total, 'partitions_done', c.done), \
             state = case when c.done = c.total then 'done' else 'running' end, \
             finished_at = case when c.done = c.total then now() end \
         from (select count(*) as total, count(*) filter (where done) as done \
               from ops.reset_targets where operation_id = $1) c \
         where o.id = $1 and o.state in ('accepted', 'running')",
    )
    .bind(pending.operation)
    .execute(&mut *tx)
    .await?;
    notify(&mut tx, &layer).await?;
    tx.commit().await
}

/// Notes that a member lost a partition before it could take it to its target; the next owner will.
pub async fn lost(pool: &PgPool, operation: Uuid, partition: i32, member: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into ops.operation_results (operation_id, member, partition, outcome) \
         select $1, $3, $2, 'lost' from ops.reset_targets where operation_id = $1 and partition = $2 and not done",
    )
    .bind(operation)
    .bind(partition)
    .bind(member)
    .execute(pool)
    .await
    .map(|_| ())
}
