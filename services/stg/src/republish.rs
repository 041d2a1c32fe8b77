//! Stored orders as a job's source: sent onward again, so that DDS and CDM can be rebuilt when Kafka no longer has the
//! history.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, NaiveDateTime, Utc};
use futures_util::future::BoxFuture;
use ordervault_contracts::source_order::OBJECT_TYPE;
use ordervault_runtime::control::operations::Kind;
use ordervault_runtime::jobs::lease::Job;
use ordervault_runtime::jobs::{PORTION_BYTES, Portion, Source};
use ordervault_runtime::record::Record;
use ordervault_runtime::road::Origin;
use ordervault_runtime::whole::Whole;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::{PgConnection, PgPool, PgRow};
use sqlx::{Executor as _, FromRow};
use utoipa::ToSchema;

use crate::store::{READABLE, TABLE};

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

/// The conditions of a selection, whose values are `$1` to `$4`: those of the ids, and those of the times.
const IDS_FIT: &str = "($1::bigint is null or object_id >= $1) and ($2::bigint is null or object_id <= $2)";
const TIMES_FIT: &str = "($3::timestamp is null or sent_dttm >= $3) and ($4::timestamp is null or sent_dttm < $4)";

/// Orders that are looked at for one portion. No index knows the times, and those that fit may lie far apart.
const REACH: i64 = 10_000;

/// A request has about twice as long to be answered; a table may be too large to be counted by then.
const COUNT_WITHIN: &str = "set local statement_timeout = '5s'";
/// How the server says that it took longer.
const CANCELLED: &str = "57014";

/// How many stored orders are meant; where counting them takes too long, about how many, by the server's estimate.
pub async fn count(pool: &PgPool, selection: Selection) -> Result<u64, sqlx::Error> {
    let mut tx = pool.begin().await?;
    tx.execute(COUNT_WITHIN).await?;
    let counted: Result<i64, sqlx::Error> = ask(&mut tx, "select count(*)", selection).await;
    tx.rollback().await?;
    match counted {
        Err(sqlx::Error::Database(refusal)) if refusal.code().as_deref() == Some(CANCELLED) => {}
        counted => return counted.map(|count| u64::try_from(count).unwrap_or_default()),
    }
    let plan: Value = ask(&mut *pool.acquire().await?, "explain (format json) select", selection).await?;
    Ok(plan[0]["Plan"]["Plan Rows"].as_u64().unwrap_or_default())
}

async fn ask<T>(connection: &mut PgConnection, question: &str, selection: Selection) -> Result<T, sqlx::Error>
where
    T: Send + Unpin,
    (T,): for<'r> FromRow<'r, PgRow>,
{
    let (ids, sent) = (selection.ids.unwrap_or_default(), selection.sent.unwrap_or_default());
    let sql = format!("{question} from stg.order_events where {IDS_FIT} and {TIMES_FIT}");
    // The text is made of this file's own constants.
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(ids.from.map(Whole::get))
        .bind(ids.to.map(Whole::get))
        .bind(sent.from.map(|time| time.naive_utc()))
        .bind(sent.to.map(|time| time.naive_utc()))
        .fetch_one(connection)
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
        "select object_id, case when sent_dttm {READABLE} then sent_dttm end as sent_dttm, \
                case when version {READABLE} then version end as version, payload::text as payload \
         from (select *, sum(bytes) over (order by object_id) - bytes as before \
               from (select object_id, sent_dttm, coalesce(version, sent_dttm) as version, payload, \
                            octet_length(payload::text) as bytes \
                     from (select * from stg.order_events \
                           where {IDS_FIT} and ($5::bigint is null or object_id > $5) \
                           order by object_id limit $6) reach \
                     where {TIMES_FIT} order by object_id limit $7) most) added \
         where before < $8 order by object_id"
    );
    // The text is made of this file's own constants.
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(ids.from.map(Whole::get))
        .bind(ids.to.map(Whole::get))
        .bind(sent.from.map(|time| time.naive_utc()))
        .bind(sent.to.map(|time| time.naive_utc()))
        .bind(after)
        .bind(REACH)
        .bind(most)
        .bind(PORTION_BYTES)
        .fetch_all(pool)
        .await?;
    let end = match rows.last() {
        Some(last) => Some(last.object_id),
        None => reached(pool, ids, after).await?,
    };
    let topic = Arc::from(TABLE);
    let records = rows.iter().map(|row| row.record(&topic)).collect();
    Ok(end.map(|end| Portion { records, cursor: end.to_string() }))
}

/// The last of the orders that are looked at from a place on; `None` where there are no more.
async fn reached(pool: &PgPool, ids: IdRange, after: Option<i64>) -> Result<Option<i64>, sqlx::Error> {
    let sql = format!(
        "select max(object_id) from (select object_id from stg.order_events \
         where {IDS_FIT} and ($3::bigint is null or object_id > $3) order by object_id limit $4) reach"
    );
    // The text is made of this file's own constants.
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(ids.from.map(Whole::get))
        .bind(ids.to.map(Whole::get))
        .bind(after)
        .bind(REACH)
        .fetch_one(pool)
        .await
}

#[derive(FromRow)]
struct Row {
    object_id: i64,
    sent_dttm: Option<NaiveDateTime>,
    version: Option<NaiveDateTime>,
    payload: String,
}

impl Row {
    /// The record as it may have come. An order whose version is not its time of sending is left without one, so that
    /// its version comes from where it came from then: the payload, or the order's date. So is one whose time cannot be read.
    fn record(&self, topic: &Arc<str>) -> Record {
        let sent = match self.sent_dttm {
            Some(sent) if self.version == Some(sent) => {
                format!("\"sent_dttm\":\"{}\",", sent.format("%Y-%m-%d %H:%M:%S%.6f"))
            }
            _ => String::new(),
        };
        let (id, payload) = (self.object_id, &self.payload);
        let value = format!("{{\"object_id\":{id},\"object_type\":\"{OBJECT_TYPE}\",{sent}\"payload\":{payload}}}");
        Record {
            topic: Arc::clone(topic),
            partition: 0,
            offset: id,
            time: self.sent_dttm.unwrap_or_default().and_utc(),
            key: Some(id.to_string().into_bytes()),
            value: Some(Bytes::from(value)),
            headers: Vec::new(),
        }
    }
}
