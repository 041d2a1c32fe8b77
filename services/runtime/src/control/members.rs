//! `ops.members`: what each member of a layer says of itself, and who is gone.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::PgPool;
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::GONE_AFTER;
use crate::actual_state::{ActualState, LastBatch, MemberState};
use crate::version;

/// One member of a layer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Member {
    /// Made anew at each start.
    pub id: Uuid,
    /// The host, in Kubernetes the pod.
    #[schema(example = "ordervault-cdm-7d9c-x2x4v")]
    pub host: String,
    /// The program's version.
    pub version: String,
    /// What it is doing.
    pub state: MemberState,
    /// The partitions that it holds.
    pub partitions: Vec<i32>,
    /// The batch that it did last.
    pub last_batch: Option<LastBatch>,
    /// When it last finished a batch or found nothing to do, UTC.
    pub last_progress: Option<DateTime<Utc>>,
    /// What it last found wrong with its surroundings.
    pub last_error: Option<String>,
    /// When that was, UTC.
    pub last_error_at: Option<DateTime<Utc>>,
    /// When it started, UTC.
    pub started_at: DateTime<Utc>,
    /// When it last reported, UTC.
    pub heartbeat: DateTime<Utc>,
}

/// What a member reports.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Itself.
    pub id: Uuid,
    /// Its layer.
    pub layer: &'a str,
    /// Its host.
    pub host: &'a str,
    /// What its consumer does.
    pub actual: &'a ActualState,
    /// What it last found wrong.
    pub last_error: Option<(DateTime<Utc>, String)>,
}

/// Notes what a member says of itself.
pub async fn report(pool: &PgPool, report: &Report<'_>) -> Result<(), sqlx::Error> {
    let actual = report.actual;
    let (error_at, error) = report.last_error.clone().unzip();
    sqlx::query(
        "insert into ops.members (id, layer, host, version, state, generation, partitions, positions, last_batch, \
             last_progress, last_error, last_error_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         on conflict (id) do update \
         set state = excluded.state, generation = excluded.generation, partitions = excluded.partitions, \
             positions = excluded.positions, last_batch = excluded.last_batch, \
             last_progress = excluded.last_progress, last_error = excluded.last_error, \
             last_error_at = excluded.last_error_at, heartbeat = now()",
    )
    .bind(report.id)
    .bind(report.layer)
    .bind(report.host)
    .bind(version::VERSION)
    .bind(actual.state().name())
    .bind(actual.generation.unwrap_or(-1))
    .bind(actual.positions.keys().copied().collect::<Vec<_>>())
    .bind(actual.positions.values().map(|position| position.unwrap_or(-1)).collect::<Vec<_>>())
    .bind(actual.last_batch.clone().map(Json))
    .bind(actual.last_progress)
    .bind(error)
    .bind(error_at)
    .execute(pool)
    .await
    .map(|_| ())
}

/// Takes leave of a member at its orderly end.
pub async fn leave(pool: &PgPool, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from ops.members where id = $1").bind(id).execute(pool).await.map(|_| ())
}

/// All members of a layer, also those that are gone, in the order of their start.
pub async fn list(pool: &PgPool, layer: &str) -> Result<Vec<Member>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, host, version, partitions, last_batch, last_progress, last_error, last_error_at, started_at, \
                heartbeat, case when heartbeat < now() - make_interval(secs => $2) then 'gone' else state end as state \
         from ops.members where layer = $1 order by id",
    )
    .bind(layer)
    .bind(GONE_AFTER)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Row::member).collect())
}

/// Who holds a partition, and the next offset there, where the member has told it.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Holder {
    /// The partition.
    pub partition: i32,
    /// The next offset.
    pub position: Option<i64>,
    /// The member.
    pub member: Uuid,
}

/// How many members are alive.
pub async fn count_alive(pool: &PgPool, layer: &str) -> Result<i64, sqlx::Error> {
    let alive = "select count(*) from ops.members where layer = $1 and heartbeat >= now() - make_interval(secs => $2)";
    sqlx::query_scalar(alive).bind(layer).bind(GONE_AFTER).fetch_one(pool).await
}

/// The live holder of each partition.
pub async fn holders(pool: &PgPool, layer: &str) -> Result<Vec<Holder>, sqlx::Error> {
    // For a moment of a rebalance both the old and the new owner may say that they hold one: the later word counts.
    sqlx::query_as(
        "select distinct on (partition) partition, nullif(position, -1) as position, id as member \
         from ops.members, unnest(partitions, positions) held(partition, position) \
         where layer = $1 and heartbeat >= now() - make_interval(secs => $2) order by partition, heartbeat desc",
    )
    .bind(layer)
    .bind(GONE_AFTER)
    .fetch_all(pool)
    .await
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    host: String,
    version: String,
    state: String,
    partitions: Vec<i32>,
    last_batch: Option<Json<LastBatch>>,
    last_progress: Option<DateTime<Utc>>,
    last_error: Option<String>,
    last_error_at: Option<DateTime<Utc>>,
    started_at: DateTime<Utc>,
    heartbeat: DateTime<Utc>,
}

impl Row {
    fn member(self) -> Member {
        let state = match self.state.as_str() {
            "running" => MemberState::Running,
            "paused" => MemberState::Paused,
            "gone" => MemberState::Gone,
            _ => MemberState::Starting,
        };
        Member {
            id: self.id,
            host: self.host,
            version: self.version,
            state,
            partitions: self.partitions,
            last_batch: self.last_batch.map(|batch| batch.0),
            last_progress: self.last_progress,
            last_error: self.last_error,
            last_error_at: self.last_error_at,
            started_at: self.started_at,
            heartbeat: self.heartbeat,
        }
    }
}
