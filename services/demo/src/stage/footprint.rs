//! Everything by which one can tell that a layer has worked.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{LAYERS, Stage, until};
use crate::Error;

/// What a layer's work leaves behind. While two of them are equal, nothing was done between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// What the group has committed, by partition.
    pub committed: BTreeMap<i32, Option<i64>>,
    /// How far the layer says that its tables are, by partition.
    pub applied: BTreeMap<i32, i64>,
    /// The number of rows of each of its tables.
    pub rows: BTreeMap<String, i64>,
    /// Its dead letters: status, attempts, and when the next one is due.
    pub letters: BTreeMap<Uuid, (String, i32, Option<DateTime<Utc>>)>,
    /// The ends of the topic that it writes to.
    pub onward: Vec<i64>,
}

impl Stage {
    /// Records that a layer has applied, over all partitions; none while its tables are not there.
    pub async fn applied(&self, layer: &str) -> i64 {
        sqlx::query_scalar("select coalesce(sum(next_offset), 0)::bigint from ops.applied_offsets where layer = $1")
            .bind(layer)
            .fetch_one(&self.pool)
            .await
            .unwrap_or_default()
    }

    /// Waits until the layer has applied a record more than now, for at most `patience`.
    pub async fn works(&self, layer: &str, patience: Duration) -> Result<(), Error> {
        let before = self.applied(layer).await;
        until(layer, patience, async || Ok((self.applied(layer).await > before).then_some(()))).await
    }

    /// A layer's footprint as it is now.
    pub async fn footprint(&self, layer: &str) -> Result<Footprint, Error> {
        let standings = self.standings(layer).await?;
        let applied: Vec<(i32, i64)> =
            sqlx::query_as("select partition, next_offset from ops.applied_offsets where layer = $1")
                .bind(layer)
                .fetch_all(&self.pool)
                .await?;
        let tables: Vec<String> = sqlx::query_scalar("select tablename::text from pg_tables where schemaname = $1")
            .bind(layer)
            .fetch_all(&self.pool)
            .await?;
        let mut rows = BTreeMap::new();
        for table in tables {
            // Both names are the database's own.
            let count = AssertSqlSafe(format!("select count(*) from {layer}.{table}"));
            rows.insert(table, sqlx::query_scalar(count).fetch_one(&self.pool).await?);
        }
        let letters: Vec<(Uuid, String, i32, Option<DateTime<Utc>>)> =
            sqlx::query_as("select id, status, attempts, next_attempt_at from ops.dead_letters where layer = $1")
                .bind(layer)
                .fetch_all(&self.pool)
                .await?;
        let mut onward = Vec::new();
        if let Some(next) = LAYERS.iter().skip_while(|other| **other != layer).nth(1) {
            onward.extend(self.standings(next).await?.iter().map(|standing| standing.high));
        }
        Ok(Footprint {
            committed: standings.iter().map(|standing| (standing.partition, standing.committed)).collect(),
            applied: applied.into_iter().collect(),
            rows,
            letters: letters.into_iter().map(|(id, status, attempts, next)| (id, (status, attempts, next))).collect(),
            onward,
        })
    }

    /// Lets `time` pass for the layer: waits until every live member has reported once more after it, for at most
    /// `patience` beyond.
    pub async fn let_pass(&self, layer: &str, time: Duration, patience: Duration) -> Result<(), Error> {
        let begun: DateTime<Utc> = sqlx::query_scalar("select now()").fetch_one(&self.pool).await?;
        until(&format!("the members of {layer}"), time + patience, async || {
            let silent: i64 = sqlx::query_scalar(
                "select count(*) from ops.members \
                 where layer = $1 and heartbeat <= $2 + make_interval(secs => $3) \
                       and heartbeat > now() - interval '10 seconds'",
            )
            .bind(layer)
            .bind(begun)
            .bind(time.as_secs_f64())
            .fetch_one(&self.pool)
            .await?;
            let over: bool = sqlx::query_scalar("select now() > $1 + make_interval(secs => $2)")
                .bind(begun)
                .bind(time.as_secs_f64())
                .fetch_one(&self.pool)
                .await?;
            Ok((over && silent == 0).then_some(()))
        })
        .await
    }
}
