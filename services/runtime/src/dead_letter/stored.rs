//! The record of a dead letter, as it was when it came from Kafka.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row as _};

use crate::record::{Header, Record};

/// The size of a row's record. The server knows it without reading the values.
pub(crate) const BYTES: &str = "(coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0) \
     + coalesce((select sum(octet_length(name) + coalesce(octet_length(content), 0)) \
                 from unnest(header_names, header_values) header(name, content)), 0))";

/// A record read from `topic, partition, "offset", record_time, key, value, header_names, header_values`.
pub struct StoredRecord(pub Record);

impl<'r> FromRow<'r, sqlx::postgres::PgRow> for StoredRecord {
    fn from_row(row: &'r sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        let names: Vec<String> = row.try_get("header_names")?;
        let values: Vec<Option<Vec<u8>>> = row.try_get("header_values")?;
        Ok(Self(Record {
            topic: Arc::from(row.try_get::<String, _>("topic")?),
            partition: row.try_get("partition")?,
            offset: row.try_get("offset")?,
            time: row.try_get::<DateTime<Utc>, _>("record_time")?,
            key: row.try_get("key")?,
            value: row.try_get::<Option<Vec<u8>>, _>("value")?.map(Bytes::from),
            headers: names.into_iter().zip(values).map(|(name, value)| Header { name, value }).collect(),
        }))
    }
}
