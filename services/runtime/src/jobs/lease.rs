//! Who works on a job: one member, for as long as it says so again and again. How far it is is noted with the same
//! words, so that another can go on where it was.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::{PgConnection, PgPool};
use uuid::Uuid;

use crate::control::notify;
use crate::control::operations::{self, Kind, NewOperation, Operation};

/// A member that says nothing for so long, in seconds, has lost its job.
const LEASE: f64 = 15.0;

/// How often a member that works on a job says so.
pub const RENEW_EVERY: Duration = Duration::from_secs(5);
/// For how long it may try to: until its lease is nearly over, and another may take the job.
pub const RENEW_WITHIN: Duration = Duration::from_secs(9);

/// A job, as far as it is.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Job {
    /// Its operation.
    pub id: Uuid,
    /// The layer.
    pub layer: String,
    /// What it does.
    pub kind: Kind,
    /// What was asked for.
    pub request: Value,
    /// What is done, as its kind counts it.
    pub progress: Value,
    /// The place in its source at which it goes on.
    pub cursor: Option<String>,
    /// When it was asked for: what came later is not its affair.
    pub created_at: DateTime<Utc>,
}

/// Whose a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The member's that asks.
    Ours,
    /// Nobody's any more: it was cancelled.
    Cancelled,
    /// Another's.
    Lost,
}

/// Records a job as asked for; returns its operation as it is recorded.
pub async fn order(pool: &PgPool, new: NewOperation<'_>) -> Result<Operation, sqlx::Error> {
    let layer = new.layer;
    let mut tx = pool.begin().await?;
    let id = operations::insert(&mut tx, new).await?;
    notify(&mut tx, layer).await?;
    let operation = operations::recorded(&mut tx, layer, id).await?;
    tx.commit().await?;
    Ok(operation)
}

/// The oldest job of a kind becomes the member's, unless somebody works on it: of one kind, one is done at a time.
pub async fn claim(pool: &PgPool, layer: &str, kind: Kind, member: Uuid) -> Result<Option<Job>, sqlx::Error> {
    sqlx::query_as(
        "update ops.operations o \
         set runner = $3, lease_until = now() + make_interval(secs => $4), state = 'running' \
         from (select id from ops.operations \
               where id = (select id from ops.operations \
                           where layer = $1 and kind = $2 and state in ('accepted', 'running') order by id limit 1) \
                     and (lease_until is null or lease_until < now()) for update skip locked) free \
         where o.id = free.id \
         returning o.id, o.layer, o.kind, o.request, o.progress, o.cursor, o.created_at",
    )
    .bind(layer)
    .bind(kind)
    .bind(member)
    .bind(LEASE)
    .fetch_optional(pool)
    .await
}

/// Keeps the job, unless it was cancelled or given to another meanwhile.
pub async fn renew(pool: &PgPool, job: Uuid, member: Uuid) -> Result<Standing, sqlx::Error> {
    say(pool, job, member, None, None).await
}

/// Keeps the job likewise, and notes how far it is.
pub async fn note(pool: &PgPool, job: &Job, member: Uuid) -> Result<Standing, sqlx::Error> {
    say(pool, job.id, member, Some(&job.progress), job.cursor.as_deref()).await
}

/// What is left out stays as it was noted: a renewal that comes late must not take the job back to where it was.
async fn say(
    pool: &PgPool,
    job: Uuid,
    member: Uuid,
    progress: Option<&Value>,
    cursor: Option<&str>,
) -> Result<Standing, sqlx::Error> {
    let cancelled: Option<bool> = sqlx::query_scalar(
        "update ops.operations \
         set progress = coalesce($3, progress), cursor = coalesce($4, cursor), \
             lease_until = now() + make_interval(secs => $5), \
             state = case when cancelled_by is null then state else 'cancelled' end, \
             finished_at = case when cancelled_by is null then null else now() end \
         where id = $1 and runner = $2 and state = 'running' returning cancelled_by is not null",
    )
    .bind(job)
    .bind(member)
    .bind(progress)
    .bind(cursor)
    .bind(LEASE)
    .fetch_optional(pool)
    .await?;
    Ok(match cancelled {
        Some(false) => Standing::Ours,
        Some(true) => Standing::Cancelled,
        None => Standing::Lost,
    })
}

/// Notes that nothing is left to do, or why nothing can be done.
pub async fn finish(pool: &PgPool, job: &Job, member: Uuid, error: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update ops.operations \
         set state = case when $3::text is null then 'done' else 'failed' end, error = $3, finished_at = now() \
         where id = $1 and runner = $2 and state = 'running'",
    )
    .bind(job.id)
    .bind(member)
    .bind(error)
    .execute(pool)
    .await
    .map(|_| ())
}

/// Notes that the job is done, in the transaction of its last rows; false where it is no longer the member's, or was
/// cancelled meanwhile, and nothing of it may be committed.
pub async fn finish_with(tx: &mut PgConnection, job: &Job, member: Uuid) -> Result<bool, sqlx::Error> {
    let finished = sqlx::query(
        "update ops.operations set state = 'done', progress = $3, finished_at = now() \
         where id = $1 and runner = $2 and state = 'running' and cancelled_by is null",
    )
    .bind(job.id)
    .bind(member)
    .bind(&job.progress)
    .execute(tx)
    .await?;
    Ok(finished.rows_affected() == 1)
}

/// Asks that an operation be cancelled: whoever works on a job stops after its present portion, or within it where
/// that takes long. Returns it as it is then, if it was still under way. Of several who ask, the first is named.
pub async fn cancel(
    pool: &PgPool,
    layer: &str,
    id: Uuid,
    actor: &str,
    reason: Option<&str>,
) -> Result<Option<Operation>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    // A job that nobody has begun ends at once, and so does what is no member's own.
    let asked = sqlx::query(
        "update ops.operations \
         set cancelled_by = coalesce(cancelled_by, $3), cancelled_at = coalesce(cancelled_at, now()), \
             cancel_reason = case when cancelled_by is null then $4 else cancel_reason end, \
             state = case when runner is null then 'cancelled' else state end, \
             finished_at = case when runner is null then now() end \
         where id = $2 and layer = $1 and state in ('accepted', 'running')",
    )
    .bind(layer)
    .bind(id)
    .bind(actor)
    .bind(reason)
    .execute(&mut *tx)
    .await?;
    if asked.rows_affected() == 0 {
        return Ok(None);
    }
    notify(&mut tx, layer).await?;
    let operation = operations::recorded(&mut tx, layer, id).await?;
    tx.commit().await?;
    Ok(Some(operation))
}
