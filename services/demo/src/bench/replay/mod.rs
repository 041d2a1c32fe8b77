//! The peer of a layer's drain: the very rows that it wrote, written again into an empty database by the best
//! set-based SQL, on as many connections, without Kafka and without decoding.

use std::time::Instant;

use chrono::NaiveDateTime;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Decode, Postgres, Row as _, Type};
use uuid::Uuid;

mod layers;

use crate::Error;
use crate::stage::Stage;

/// As many as a service works at once on three partitions.
const CONNECTIONS: usize = 3;
/// As large as a service's own batches.
const BATCH: usize = 2_000;

/// How the rows of one table are written again.
struct Table {
    /// Selects the rows of the orders `$1` (all rows where there is no such parameter), in key order.
    fetch: String,
    /// Writes them: each column is a parameter, a list.
    write: String,
    columns: Vec<Kind>,
}

/// What a layer writes.
struct Rows {
    /// The orders, in the order in which they came.
    orders: &'static str,
    /// Rows that are the same for many orders: they are written once, beforehand.
    shared: Vec<Table>,
    /// Rows of each batch's orders.
    own: Vec<Table>,
}

#[derive(Clone, Copy)]
enum Kind {
    Key,
    Number,
    Time,
    Text,
    /// A decimal number, which travels as its text.
    Amount,
}

impl Kind {
    const fn sent_as(self) -> &'static str {
        match self {
            Self::Key => "uuid",
            Self::Number => "bigint",
            Self::Time => "timestamp",
            Self::Text | Self::Amount => "text",
        }
    }

    const fn kept_as(self) -> &'static str {
        match self {
            Self::Amount => "numeric",
            other => other.sent_as(),
        }
    }
}

enum Column {
    Keys(Vec<Uuid>),
    Numbers(Vec<i64>),
    Times(Vec<NaiveDateTime>),
    Texts(Vec<String>),
}

/// A statement with everything that it is to be sent with.
struct Statement {
    write: String,
    columns: Vec<Column>,
}

/// Orders a second at which the rows that `layer` has written on `stage` can be written at all.
pub async fn rate(stage: &Stage, layer: &'static str) -> Result<f64, Error> {
    let rows = layers::rows(layer);
    let orders = sqlx::query(rows.orders).fetch_all(&stage.pool).await?;
    let mut batches = Vec::new();
    for chunk in orders.chunks(BATCH) {
        batches.push(statements(&stage.pool, &rows.own, Some(chunk)).await?);
    }
    let dimensions = statements(&stage.pool, &rows.shared, None).await?;

    let target = Stage::build("raw", 1).await?;
    target.migrate(layer).await?;
    let began = Instant::now();
    write(&target.pool, &dimensions).await?;
    let mut writers = tokio::task::JoinSet::new();
    let mut shares: Vec<Vec<Vec<Statement>>> = (0..CONNECTIONS).map(|_| Vec::new()).collect();
    for (place, batch) in batches.into_iter().enumerate() {
        shares[place % CONNECTIONS].push(batch);
    }
    for share in shares {
        let pool = target.pool.clone();
        writers.spawn(async move {
            for batch in &share {
                write(&pool, batch).await?;
            }
            Ok::<(), Error>(())
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    let seconds = began.elapsed().as_secs_f64();
    target.tear_down().await?;
    Ok(count(orders.len()) / seconds)
}

async fn write(pool: &PgPool, statements: &[Statement]) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    for statement in statements {
        let mut query = sqlx::query(AssertSqlSafe(statement.write.as_str()));
        for column in &statement.columns {
            query = match column {
                Column::Keys(values) => query.bind(values.as_slice()),
                Column::Numbers(values) => query.bind(values.as_slice()),
                Column::Times(values) => query.bind(values.as_slice()),
                Column::Texts(values) => query.bind(values.as_slice()),
            };
        }
        query.execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn statements(pool: &PgPool, tables: &[Table], orders: Option<&[PgRow]>) -> Result<Vec<Statement>, Error> {
    let mut statements = Vec::new();
    for table in tables {
        let query = sqlx::query(AssertSqlSafe(table.fetch.as_str()));
        let rows = match orders.map(ids).transpose()? {
            Some(Column::Keys(ids)) => query.bind(ids).fetch_all(pool).await?,
            Some(Column::Numbers(ids)) => query.bind(ids).fetch_all(pool).await?,
            Some(Column::Times(_) | Column::Texts(_)) | None => query.fetch_all(pool).await?,
        };
        let columns = table.columns.iter().enumerate().map(|(place, kind)| column(&rows, place, *kind));
        statements.push(Statement { write: table.write.clone(), columns: columns.collect::<Result<_, _>>()? });
    }
    Ok(statements)
}

/// Orders are known by a key in the vault and the marts, and by a number before them.
fn ids(orders: &[PgRow]) -> Result<Column, sqlx::Error> {
    column(orders, 0, Kind::Key).or_else(|_| column(orders, 0, Kind::Number))
}

fn column(rows: &[PgRow], place: usize, kind: Kind) -> Result<Column, sqlx::Error> {
    Ok(match kind {
        Kind::Key => Column::Keys(values(rows, place)?),
        Kind::Number => Column::Numbers(values(rows, place)?),
        Kind::Time => Column::Times(values(rows, place)?),
        Kind::Text | Kind::Amount => Column::Texts(values(rows, place)?),
    })
}

fn values<'r, T: Decode<'r, Postgres> + Type<Postgres>>(
    rows: &'r [PgRow],
    place: usize,
) -> Result<Vec<T>, sqlx::Error> {
    rows.iter().map(|row| row.try_get(place)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "orders are some ten thousands")]
fn count(orders: usize) -> f64 {
    orders as f64
}
