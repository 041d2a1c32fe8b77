//! `stg.order_events`: the newest version of each order, as it came.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ordervault_contracts::source_order::OBJECT_TYPE;
use ordervault_runtime::fault::StoreError;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::FromRow;
use sqlx::postgres::{PgConnection, PgPool};
use utoipa::ToSchema;

use crate::domain::Order;

/// Where records lie that are made of the table's rows, in the place of a topic, with the order's id as the offset: one that
/// lacks something from the dictionary becomes a dead letter under this name.
pub const TABLE: &str = "stg.order_events";

/// What a message can bear of a time: rows that are taken over may hold one that is infinite, or of no calendar's year.
pub const READABLE: &str = "between '0001-01-01' and '9999-12-31 23:59:59.999999'";

/// Rows of one statement. Each connection keeps a buffer as large as the largest statement that it ever sent, and the
/// payloads make these rows large.
const ROWS_AT_ONCE: usize = 500;

/// An order as it is stored: its newest version.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct OrderEvent {
    /// The order's number at the source.
    #[schema(example = 1)]
    object_id: i64,
    /// Always `order`.
    #[schema(example = "order")]
    object_type: String,
    /// The version, UTC: when the order last changed, else when it was sent, else its date. Null where a row that was taken over
    /// has none that can be read.
    version: Option<DateTime<Utc>>,
    /// When it was sent, UTC; where the message did not say, when its record entered Kafka. Null like the version.
    sent_dttm: Option<DateTime<Utc>>,
    /// When this version was stored, UTC. Like topic, partition and offset it is null in a row that was taken over or written by
    /// an older release.
    stored_at: Option<DateTime<Utc>>,
    /// Where the record lies that brought this version: the topic.
    #[schema(example = "order-service_orders")]
    topic: Option<String>,
    /// Where that record lies: the partition.
    #[schema(example = 0)]
    partition: Option<i32>,
    /// Where that record lies: the offset.
    #[schema(example = 42)]
    offset: Option<i64>,
    /// The payload to the letter, numbers as they were written.
    #[sqlx(json)]
    #[schema(value_type = Object)]
    payload: Box<RawValue>,
}

/// The order of this number.
pub async fn find(pool: &PgPool, id: i64) -> Result<Option<OrderEvent>, sqlx::Error> {
    let sql = format!(
        "select object_id, object_type, \
                case when version {READABLE} then version end at time zone 'UTC' as version, \
                case when sent_dttm {READABLE} then sent_dttm end at time zone 'UTC' as sent_dttm, \
                stored_at, topic, partition::integer, place as \"offset\", payload \
         from (select object_id, object_type, coalesce(version, sent_dttm), sent_dttm, stored_at, source_topic, \
                      source_partition, source_offset, payload \
               from stg.order_events where object_id = $1) \
             e(object_id, object_type, version, sent_dttm, stored_at, topic, partition, place, payload)"
    );
    // The text is made of constants.
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await
}

/// Writes a batch. Of equal versions the record processed later wins, unless it says the same.
pub async fn apply(tx: &mut PgConnection, orders: &[&Order]) -> Result<(), StoreError> {
    let mut newest: BTreeMap<i64, &Order> = BTreeMap::new();
    // What was read from the table is there, and only there it is known where it came from.
    for order in orders.iter().filter(|order| *order.topic != *TABLE) {
        let held = newest.entry(order.message.object_id).or_insert(order);
        if order.replaces(held) {
            *held = order;
        }
    }
    let newest: Vec<(i64, &Order)> = newest.into_iter().collect();
    for rows in newest.chunks(ROWS_AT_ONCE) {
        write(tx, rows).await?;
    }
    Ok(())
}

async fn write(tx: &mut PgConnection, rows: &[(i64, &Order)]) -> Result<(), StoreError> {
    sqlx::query(
        "insert into stg.order_events as e \
             (object_id, object_type, sent_dttm, payload, version, stored_at, source_topic, source_partition, source_offset) \
         select id, $8, sent, payload::json, version, now(), topic, partition, place \
         from unnest($1::bigint[], $2::timestamp[], $3::text[], $4::timestamp[], $5::text[], $6::int[], $7::bigint[]) \
             r(id, sent, payload, version, topic, partition, place) \
         on conflict (object_id) do update \
         set object_type = excluded.object_type, sent_dttm = excluded.sent_dttm, payload = excluded.payload, \
             version = excluded.version, stored_at = excluded.stored_at, source_topic = excluded.source_topic, \
             source_partition = excluded.source_partition, source_offset = excluded.source_offset \
         where coalesce(e.version, e.sent_dttm) < excluded.version \
             or coalesce(e.version, e.sent_dttm) = excluded.version \
                and (e.stored_at is null or e.sent_dttm <> excluded.sent_dttm or e.payload::text <> excluded.payload::text)",
    )
    .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.sent).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.payload_text()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.version).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| &*row.1.topic).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.partition).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.offset).collect::<Vec<_>>())
    .bind(OBJECT_TYPE)
    .execute(tx)
    .await?;
    Ok(())
}
