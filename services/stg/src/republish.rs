//! Stored orders as a job's source: sent onward again, so that DDS and CDM can be rebuilt when Kafka no longer has the
//! history.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, Utc};
use futures_util::future::BoxFuture;
use ordervault_contracts::source_order::OBJECT_TYPE;
use ordervault_runtime::control::operations::Kind;
use ordervault_runtime::jobs::lease::Job;
use ordervault_runtime::jobs::{Portion, Source};
use ordervault_runtime::record::Record;
use ordervault_runtime::road::Origin;
use ordervault_runtime::whole::Whole;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPool;
use utoipa::ToSchema;

/// Where these records lie, in the place of a topic: an order that lacks something from the dictionary becomes a dead
/// letter under this name, with its id as the offset.
const TABLE: &str = "stg.order_events";

/// Which stored orders are meant; what is left out does not matter.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// By id.
    pub ids: Option<IdRange>,
    /// By the time at which they were sent.
    pub sent: Option<TimeRange>,
}

/// The id of an order.
pub type OrderId = Whole<{ i64::MIN }, { i64::MAX }>;

/// A range of order ids, both ends included.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IdRange {
    /// The first.
    #[schema(inline)]
    pub from: Option<OrderId>,
    /// The last.
    #[schema(inline)]
    pub to: Option<OrderId>,
}

/// A range of time, RFC 3339.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeRange {
    /// At or after.
    pub from: Option<DateTime<Utc>>,
    /// Before.
    pub to: Option<DateTime<Utc>>,
}

/// The conditions of a selection, whose values are `$1` to `$4`.
const FITS: &str = "($1::bigint is null or object_id >= $1) and ($2::bigint is null or object_id <= $2) \
     and ($3::timestamp is null or sent_dttm >= $3) and ($4::timestamp is null or sent_dttm < $4)";

/// How many stored orders are meant.
pub async fn count(pool: &PgPool, selection: Selection) -> Result<i64, sqlx::Error> {
    let (ids, sent) = (selection.ids.unwrap_or_default(), selection.sent.unwrap_or_default());
    // The text is made of this file's own constants.
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from stg.order_events where {FITS}")))
        .bind(ids.from.map(Whole::get))
        .bind(ids.to.map(Whole::get))
        .bind(sent.from.map(|time| time.naive_utc()))
        .bind(sent.to.map(|time| time.naive_utc()))
        .fetch_one(pool)
        .await
}

/// Sends stored orders onward.
#[derive(Clone, Copy, Debug)]
pub struct StoredOrders;

impl Source for StoredOrders {
    fn kind(&self) -> Kind {
        Kind::Republish
    }

    fn origin(&self) -> Origin {
        Origin::Stored
    }

    fn next<'a>(
        &'a self,
        pool: &'a PgPool,
        job: &'a Job,
        most: i64,
    ) -> BoxFuture<'a, Result<Option<Portion>, sqlx::Error>> {
        Box::pin(next(pool, job, most))
    }
}

/// The orders in the order of their ids, from the place that the job has come to.
async fn next(pool: &PgPool, job: &Job, most: i64) -> Result<Option<Portion>, sqlx::Error> {
    let selection: Selection = serde_json::from_value(job.request["selection"].clone())
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let (ids, sent) = (selection.ids.unwrap_or_default(), selection.sent.unwrap_or_default());
    let after: Option<i64> = job.cursor.as_deref().and_then(|cursor| cursor.parse().ok());
    let sql = format!(
        "select object_id, sent_dttm, coalesce(version, sent_dttm) as version, payload::text as payload \
         from stg.order_events where {FITS} and ($5::bigint is null or object_id > $5) order by object_id limit $6"
    );
    // The text is made of this file's own constants.
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(ids.from.map(Whole::get))
        .bind(ids.to.map(Whole::get))
        .bind(sent.from.map(|time| time.naive_utc()))
        .bind(sent.to.map(|time| time.naive_utc()))
        .bind(after)
        .bind(most)
        .fetch_all(pool)
        .await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let cursor = last.object_id.to_string();
    let topic = Arc::from(TABLE);
    Ok(Some(Portion { records: rows.iter().map(|row| row.record(&topic)).collect(), cursor }))
}

#[derive(sqlx::FromRow)]
struct Row {
    object_id: i64,
    sent_dttm: NaiveDateTime,
    version: NaiveDateTime,
    payload: String,
}

impl Row {
    /// The record as it may have come. An order whose version is not its time of sending is left without one, so that
    /// its version comes from where it came from then: the payload, or the order's date.
    fn record(&self, topic: &Arc<str>) -> Record {
        let sent = if self.version == self.sent_dttm {
            format!("\"sent_dttm\":\"{}\",", self.sent_dttm.format("%Y-%m-%d %H:%M:%S%.6f"))
        } else {
            String::new()
        };
        let (id, payload) = (self.object_id, &self.payload);
        let value = format!("{{\"object_id\":{id},\"object_type\":\"{OBJECT_TYPE}\",{sent}\"payload\":{payload}}}");
        Record {
            topic: Arc::clone(topic),
            partition: 0,
            offset: id,
            time: self.sent_dttm.and_utc(),
            key: Some(id.to_string().into_bytes()),
            value: Some(Bytes::from(value)),
            headers: Vec::new(),
        }
    }
}
