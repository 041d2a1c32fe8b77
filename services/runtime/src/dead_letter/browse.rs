//! Dead letters as a person looks at them: listed, counted, one of them whole.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use sqlx::postgres::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::stored::StoredRecord;
use crate::record::{Header, Record};

/// The states of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum LetterStatus {
    /// Somebody has to look at it.
    Open,
    /// Tried again by itself until the dictionary has what it needs.
    Waiting,
    /// Its record came to a good end after all.
    Resolved,
    /// Somebody gave it up.
    Discarded,
}

impl LetterStatus {
    /// As it is written in the table, and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Resolved => "resolved",
            Self::Discarded => "discarded",
        }
    }
}

/// Which dead letters are meant; what is left out does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LetterFilter {
    /// In this state.
    pub status: Option<LetterStatus>,
    /// With this code.
    #[schema(example = "missing:payload.user.id")]
    pub code: Option<String>,
    /// Of this partition.
    #[schema(minimum = 0)]
    pub partition: Option<i32>,
    /// First seen at or after, RFC 3339.
    pub from: Option<DateTime<Utc>>,
    /// First seen before, RFC 3339.
    pub to: Option<DateTime<Utc>>,
}

/// A dead letter without its record's content.
#[derive(Clone, Debug, Serialize, ToSchema, FromRow)]
pub struct Letter {
    /// `UUIDv7`: it grows with the time at which the record was first seen.
    pub id: Uuid,
    /// Where the record lies: the topic.
    pub topic: String,
    /// Where the record lies: the partition.
    pub partition: i32,
    /// Where the record lies: the offset.
    pub offset: i64,
    /// When the record entered Kafka, UTC.
    pub record_time: DateTime<Utc>,
    /// What is wrong: stable, names the field.
    #[schema(example = "missing:payload.user.id")]
    pub code: String,
    /// What is wrong, for people.
    pub message: String,
    /// What is to become of it.
    pub status: LetterStatus,
    /// How often the record was tried.
    pub attempts: i32,
    /// When the record was first found at fault, UTC.
    pub first_seen: DateTime<Utc>,
    /// When that was last so, or when it was resolved, UTC.
    pub last_seen: DateTime<Utc>,
    /// When a waiting one is tried again, UTC.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Who gave it up.
    pub closed_by: Option<String>,
    /// Why it was given up.
    pub closed_reason: Option<String>,
    /// The size of the record's value; null for a tombstone.
    pub value_bytes: Option<i32>,
}

/// A dead letter whole: the record byte for byte.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WholeLetter {
    /// All but the content.
    #[serde(flatten)]
    pub letter: Letter,
    /// The record's key.
    pub key: Option<Content>,
    /// The record's value.
    pub value: Option<Content>,
    /// The record's headers in their order.
    pub headers: Vec<HeaderContent>,
}

/// Bytes of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Content {
    /// The bytes.
    pub base64: String,
    /// The same as text, where they are UTF-8.
    pub text: Option<String>,
}

/// One header of a record.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HeaderContent {
    /// The name.
    pub name: String,
    /// The value's bytes; null where it has none.
    pub base64: Option<String>,
    /// The same as text, where they are UTF-8.
    pub text: Option<String>,
}

/// How many dead letters have the same code and status.
#[derive(Clone, Debug, Serialize, ToSchema, FromRow)]
pub struct LetterCount {
    /// What is wrong.
    pub code: String,
    /// What is to become of them.
    pub status: LetterStatus,
    /// How many there are.
    pub count: i64,
    /// When the first of them was first seen, UTC.
    pub first_seen: DateTime<Utc>,
    /// When the last of them was last seen, UTC.
    pub last_seen: DateTime<Utc>,
}

const COLUMNS: &str = r#"id, topic, partition, "offset", record_time, code, message, status, attempts, first_seen, last_seen,
    next_attempt_at, closed_by, closed_reason, octet_length(value) as value_bytes"#;

/// The conditions of a filter whose values are `$2` to `$6`, within a layer that is `$1`.
pub(crate) const FITS: &str = "layer = $1 and ($2::text is null or status = $2) and ($3::text is null or code = $3) \
     and ($4::int is null or partition = $4) and ($5::timestamptz is null or first_seen >= $5) \
     and ($6::timestamptz is null or first_seen < $6)";

/// A layer's dead letters, those first seen last first, older than `before`.
pub async fn list(
    pool: &PgPool,
    layer: &str,
    filter: &LetterFilter,
    before: Option<Uuid>,
    most: i64,
) -> Result<Vec<Letter>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS} from ops.dead_letters where {FITS} and ($7::uuid is null or id < $7) order by id desc limit $8"
    );
    // The text is made of this file's own constants.
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(layer)
        .bind(filter.status)
        .bind(&filter.code)
        .bind(filter.partition)
        .bind(filter.from)
        .bind(filter.to)
        .bind(before)
        .bind(most)
        .fetch_all(pool)
        .await
}

/// How many dead letters fit that are not closed.
pub async fn count_replayable(pool: &PgPool, layer: &str, filter: &LetterFilter) -> Result<i64, sqlx::Error> {
    let sql = format!("select count(*) from ops.dead_letters where {FITS} and status in ('open', 'waiting')");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(layer)
        .bind(filter.status)
        .bind(&filter.code)
        .bind(filter.partition)
        .bind(filter.from)
        .bind(filter.to)
        .fetch_one(pool)
        .await
}

/// One dead letter whole.
pub async fn get(pool: &PgPool, layer: &str, id: Uuid) -> Result<Option<WholeLetter>, sqlx::Error> {
    let sql = format!(
        "select {COLUMNS}, key, value, header_names, header_values from ops.dead_letters where layer = $1 and id = $2"
    );
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(layer).bind(id).fetch_optional(pool).await?;
    let Some(row) = row else { return Ok(None) };
    let letter = Letter::from_row(&row)?;
    let Record { key, value, headers, .. } = StoredRecord::from_row(&row)?.0;
    Ok(Some(WholeLetter {
        letter,
        key: key.as_deref().map(content),
        value: value.as_deref().map(content),
        headers: headers.into_iter().map(header).collect(),
    }))
}

/// Counts by code and status, the most frequent first.
pub async fn summary(pool: &PgPool, layer: &str) -> Result<Vec<LetterCount>, sqlx::Error> {
    sqlx::query_as(
        "select code, status, count(*) as count, min(first_seen) as first_seen, max(last_seen) as last_seen \
         from ops.dead_letters where layer = $1 group by code, status order by count(*) desc, code, status",
    )
    .bind(layer)
    .fetch_all(pool)
    .await
}

fn content(bytes: &[u8]) -> Content {
    Content { base64: BASE64_STANDARD.encode(bytes), text: std::str::from_utf8(bytes).ok().map(str::to_owned) }
}

fn header(header: Header) -> HeaderContent {
    let content = header.value.as_deref().map(content);
    let (base64, text) = content.map_or((None, None), |content| (Some(content.base64), content.text));
    HeaderContent { name: header.name, base64, text }
}
