//! `ops.operations`: who did what, when, why, and what became of it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::outcomes::{self, Outcome};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Kind {
    /// The layer was paused.
    Pause,
    /// The layer was set running.
    Resume,
    /// The group's offsets were set anew.
    OffsetReset,
    /// Dead letters were sent through the layer's road again.
    DeadLetterReplay,
    /// A dead letter was given up.
    DeadLetterDiscard,
    /// Stored orders were sent onward again.
    Republish,
    /// Tables were held against one another.
    Audit,
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum State {
    /// Nobody has begun it.
    Accepted,
    /// It is being done.
    Running,
    /// It is done.
    Done,
    /// It could not be done; `error` says why.
    Failed,
    /// It was cancelled before its end.
    Cancelled,
}

impl Kind {
    /// As it is written in the table, and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::OffsetReset => "offset_reset",
            Self::DeadLetterReplay => "dead_letter_replay",
            Self::DeadLetterDiscard => "dead_letter_discard",
            Self::Republish => "republish",
            Self::Audit => "audit",
        }
    }

    /// Whether it takes long enough to be cancelled.
    #[must_use]
    pub const fn is_cancellable(self) -> bool {
        matches!(self, Self::OffsetReset | Self::DeadLetterReplay | Self::Republish | Self::Audit)
    }
}

impl State {
    /// As it is written in the table, and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will become of it.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// One operation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Operation {
    /// `UUIDv7`: it grows with time.
    pub id: Uuid,
    /// The layer.
    #[schema(example = "cdm")]
    pub layer: String,
    /// What was done.
    pub kind: Kind,
    /// How far it is.
    pub state: State,
    /// The name of the token that asked for it, or `ordervault` for the service itself.
    #[schema(example = "alice")]
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// What was asked for.
    #[schema(value_type = Object)]
    pub request: Value,
    /// Counts of what is to be done and what is done; which depends on the kind.
    #[schema(value_type = Object)]
    pub progress: Value,
    /// What became of it, by member, by partition or by table, in the order of events.
    pub results: Vec<Outcome>,
    /// Why it failed.
    pub error: Option<String>,
    /// Who cancelled it.
    pub cancelled_by: Option<String>,
    /// When, UTC.
    pub cancelled_at: Option<DateTime<Utc>>,
    /// Why it was cancelled.
    pub cancel_reason: Option<String>,
    /// When it was asked for, UTC.
    pub created_at: DateTime<Utc>,
    /// When it came to its end, UTC.
    pub finished_at: Option<DateTime<Utc>>,
}

/// An operation that is to be recorded.
#[derive(Debug)]
pub struct NewOperation<'a> {
    /// The layer.
    pub layer: &'a str,
    /// What is to be done.
    pub kind: Kind,
    /// Who asks.
    pub actor: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
    /// What is asked for.
    pub request: Value,
    /// Counts to begin with.
    pub progress: Value,
}

/// Records an operation as accepted; returns its id. [`recorded`] reads it before the transaction ends.
pub async fn insert(tx: &mut PgConnection, new: NewOperation<'_>) -> Result<Uuid, sqlx::Error> {
    let id = Uuid::now_v7();
    sqlx::query(
        "insert into ops.operations (id, layer, kind, state, actor, reason, request, progress) \
         values ($1, $2, $3, 'accepted', $4, $5, $6, $7)",
    )
    .bind(id)
    .bind(new.layer)
    .bind(new.kind)
    .bind(new.actor)
    .bind(new.reason)
    .bind(new.request)
    .bind(new.progress)
    .execute(tx)
    .await?;
    Ok(id)
}

/// Which operations are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Of this kind.
    pub kind: Option<Kind>,
    /// In this state.
    pub state: Option<State>,
    /// Older than this one.
    pub before: Option<Uuid>,
}

/// A layer's operations, newest first.
pub async fn list(pool: &PgPool, layer: &str, filter: Filter, most: i64) -> Result<Vec<Operation>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let rows: Vec<Row> = sqlx::query_as(
        "select id, layer, kind, state, actor, reason, request, progress, error, cancelled_by, \
                cancelled_at, cancel_reason, created_at, finished_at \
         from ops.operations \
         where layer = $1 and ($2::text is null or kind = $2) and ($3::text is null or state = $3) \
               and ($4::uuid is null or id < $4) \
         order by id desc limit $5",
    )
    .bind(layer)
    .bind(filter.kind)
    .bind(filter.state)
    .bind(filter.before)
    .bind(most)
    .fetch_all(&mut *connection)
    .await?;
    with_outcomes(&mut connection, rows).await
}

/// One operation of a layer.
pub async fn get(pool: &PgPool, layer: &str, id: Uuid) -> Result<Option<Operation>, sqlx::Error> {
    find(&mut *pool.acquire().await?, layer, id).await
}

/// An operation as its transaction is about to leave it: what whoever asked for it can be told once it is committed,
/// whether or not it can be read again.
pub async fn recorded(tx: &mut PgConnection, layer: &str, id: Uuid) -> Result<Operation, sqlx::Error> {
    find(tx, layer, id).await?.ok_or(sqlx::Error::RowNotFound)
}

async fn find(connection: &mut PgConnection, layer: &str, id: Uuid) -> Result<Option<Operation>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, layer, kind, state, actor, reason, request, progress, error, cancelled_by, \
                cancelled_at, cancel_reason, created_at, finished_at \
         from ops.operations where layer = $1 and id = $2",
    )
    .bind(layer)
    .bind(id)
    .fetch_all(&mut *connection)
    .await?;
    Ok(with_outcomes(connection, rows).await?.pop())
}

async fn with_outcomes(connection: &mut PgConnection, rows: Vec<Row>) -> Result<Vec<Operation>, sqlx::Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut outcomes = outcomes::of(connection, &ids).await?;
    let mut operations: Vec<Operation> = rows.into_iter().map(Row::operation).collect();
    for operation in &mut operations {
        operation.results = outcomes.remove(&operation.id).unwrap_or_default();
    }
    Ok(operations)
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    layer: String,
    kind: Kind,
    state: State,
    actor: String,
    reason: Option<String>,
    request: Value,
    progress: Value,
    error: Option<String>,
    cancelled_by: Option<String>,
    cancelled_at: Option<DateTime<Utc>>,
    cancel_reason: Option<String>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl Row {
    fn operation(self) -> Operation {
        Operation {
            id: self.id,
            layer: self.layer,
            kind: self.kind,
            state: self.state,
            actor: self.actor,
            reason: self.reason,
            request: self.request,
            progress: self.progress,
            results: Vec::new(),
            error: self.error,
            cancelled_by: self.cancelled_by,
            cancelled_at: self.cancelled_at,
            cancel_reason: self.cancel_reason,
            created_at: self.created_at,
            finished_at: self.finished_at,
        }
    }
}
