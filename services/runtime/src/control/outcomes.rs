//! `ops.operation_results`: what became of an operation, by member, by partition or by table.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

/// What became of an operation with one member, partition or table.
#[derive(Clone, Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct Outcome {
    /// The member that did it.
    pub member: Option<Uuid>,
    /// The partition that it was done to.
    pub partition: Option<i32>,
    /// The table that was looked at.
    #[schema(example = "cdm.user_product_counters")]
    pub table: Option<String>,
    /// `pending`, `done`, `gone` of a member; `applied`, `clamped`, `lost` of a partition; `equal`, `different`, `behind`,
    /// `skipped`, `repaired` of a table.
    #[schema(example = "applied")]
    pub outcome: String,
    /// The offset at which the partition goes on.
    pub offset: Option<i64>,
    /// What was found in the table: how many rows were looked at, how many are wrong or only behind, and some of those
    /// that are wrong.
    #[schema(value_type = Option<Object>)]
    pub detail: Option<Value>,
    /// When, UTC.
    pub at: DateTime<Utc>,
}

/// What became of an operation with one table, to be recorded.
#[derive(Clone, Debug)]
pub struct TableOutcome {
    /// The table.
    pub table: &'static str,
    /// In a word.
    pub outcome: &'static str,
    /// What was found.
    pub detail: Value,
}

/// What became of operations, in the order of events.
pub(super) async fn of(
    connection: &mut PgConnection,
    operations: &[Uuid],
) -> Result<BTreeMap<Uuid, Vec<Outcome>>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        r#"select operation_id, member, partition, subject as "table", outcome, "offset", detail, at
           from ops.operation_results where operation_id = any($1) order by operation_id, nth"#,
    )
    .bind(operations)
    .fetch_all(connection)
    .await?;
    let mut outcomes: BTreeMap<Uuid, Vec<Outcome>> = BTreeMap::new();
    for row in rows {
        outcomes.entry(row.operation_id).or_default().push(row.outcome);
    }
    Ok(outcomes)
}

/// Records what became of an operation with some tables.
pub async fn record(tx: &mut PgConnection, operation: Uuid, tables: &[TableOutcome]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into ops.operation_results (operation_id, subject, outcome, detail) \
         select $1, subject, outcome, detail \
         from unnest($2::text[], $3::text[], $4::jsonb[]) with ordinality r(subject, outcome, detail, place) order by place",
    )
    .bind(operation)
    .bind(tables.iter().map(|table| table.table).collect::<Vec<_>>())
    .bind(tables.iter().map(|table| table.outcome).collect::<Vec<_>>())
    .bind(tables.iter().map(|table| &table.detail).collect::<Vec<_>>())
    .execute(tx)
    .await
    .map(|_| ())
}

#[derive(sqlx::FromRow)]
struct Row {
    operation_id: Uuid,
    #[sqlx(flatten)]
    outcome: Outcome,
}
