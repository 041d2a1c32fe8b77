//! `ops.dead_letters`: records that were proven to be at fault, or that wait for the dictionary.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnection, PgPool};
use uuid::Uuid;

pub mod stored;
pub mod browse;
pub mod close;

use stored::{BYTES, StoredRecord};

use crate::fault::RecordFault;
use crate::record::{Header, Record};

/// Pauses between the attempts at a waiting record: from one second, doubling, to five minutes.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// For how long a claimed record is left to the replica that claimed it.
const CLAIM: Duration = Duration::from_mins(1);

/// What is to become of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Somebody has to look at it.
    Open,
    /// Tried again by itself until the dictionary has what it needs.
    Waiting,
}

impl Status {
    /// As it is written in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting => "waiting",
        }
    }
}

/// A record with what is wrong with it.
#[derive(Clone, Debug)]
pub struct DeadLetter<'r> {
    /// The record, whole.
    pub record: &'r Record,
    /// What is wrong.
    pub fault: RecordFault,
    /// Whether it is tried again by itself.
    pub status: Status,
}

/// Stores dead letters, at most one a record. The same record twice is one: its attempts are counted, its fault is the
/// newest. One that was resolved comes back; one that was discarded stays as it was.
pub async fn store(tx: &mut PgConnection, layer: &str, letters: &[DeadLetter<'_>]) -> Result<(), sqlx::Error> {
    if letters.is_empty() {
        return Ok(());
    }
    let records: Vec<&Record> = letters.iter().map(|letter| letter.record).collect();
    // A list of lists must be a rectangle in PostgreSQL, so all headers travel in one list with their record's place.
    let headers: Vec<(i64, &Header)> = (1..)
        .zip(&records)
        .flat_map(|(place, record)| record.headers.iter().map(move |header| (place, header)))
        .collect();
    // PostgreSQL's text cannot hold the one character that a message may quote from a bad record.
    let message = |letter: &DeadLetter<'_>| letter.fault.message.replace('\0', "\\u0000");
    sqlx::query(
        r#"with header as (
               select place, array_agg(name order by nth) as names, array_agg(value order by nth) as values
               from unnest($11::bigint[], $12::text[], $13::bytea[]) with ordinality h(place, name, value, nth)
               group by place)
           insert into ops.dead_letters as d
               (id, layer, topic, partition, "offset", record_time, key, value, header_names, header_values,
                code, message, status, next_attempt_at)
           select id, $1, topic, partition, "offset", time, key, value, coalesce(names, '{}'), coalesce(header.values, '{}'),
                  code, message, status, case when status = 'waiting' then now() + make_interval(secs => $14) end
           from unnest($2::uuid[], $3::text[], $4::int[], $5::bigint[], $6::timestamptz[], $7::bytea[], $8::bytea[],
                       $9::text[], $10::text[], $15::text[])
                with ordinality r(id, topic, partition, "offset", time, key, value, code, message, status, place)
           left join header using (place)
           order by topic, partition, "offset"
           on conflict on constraint dead_letters_record_key do update
           set code = excluded.code, message = excluded.message, attempts = d.attempts + 1, last_seen = now(),
               status = excluded.status,
               next_attempt_at = case when excluded.status = 'waiting' then
                   now() + make_interval(secs => least($16, $14 * power(2, least(d.attempts, 30)))) end
           where d.status <> 'discarded'"#,
    )
    .bind(layer)
    .bind(letters.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(records.iter().map(|record| &*record.topic).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.partition).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.offset).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.time).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.key.as_deref()).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.value.as_deref()).collect::<Vec<_>>())
    .bind(letters.iter().map(|letter| letter.fault.code.as_str()).collect::<Vec<_>>())
    .bind(letters.iter().map(message).collect::<Vec<_>>())
    .bind(headers.iter().map(|(place, _)| *place).collect::<Vec<_>>())
    .bind(headers.iter().map(|(_, header)| header.name.as_str()).collect::<Vec<_>>())
    .bind(headers.iter().map(|(_, header)| header.value.as_deref()).collect::<Vec<_>>())
    .bind(FIRST_PAUSE.as_secs_f64())
    .bind(letters.iter().map(|letter| letter.status.name()).collect::<Vec<_>>())
    .bind(LONGEST_PAUSE.as_secs_f64())
    .execute(tx)
    .await
    .map(|_| ())
}

/// What a record of a partition is known by: its offset and, since a topic that is made anew counts from 0 again, its
/// Kafka time.
pub type Place = (i64, DateTime<Utc>);

/// The records of a partition that have an unresolved dead letter, and whether it was given up.
pub type Unresolved = BTreeMap<Place, bool>;

/// The unresolved dead letters of a partition's records from `first` to `last`.
pub async fn unresolved(pool: &PgPool, layer: &str, first: &Record, last: &Record) -> Result<Unresolved, sqlx::Error> {
    let found: Vec<(i64, DateTime<Utc>, bool)> = sqlx::query_as(
        r#"select "offset", record_time, status = 'discarded' from ops.dead_letters
           where layer = $1 and topic = $2 and partition = $3 and "offset" between $4 and $5 and status <> 'resolved'"#,
    )
    .bind(layer)
    .bind(&*first.topic)
    .bind(first.partition)
    .bind(first.offset)
    .bind(last.offset)
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(|(offset, time, is_discarded)| ((offset, time), is_discarded)).collect())
}

/// Those of the records whose dead letter was given up.
pub async fn given_up(pool: &PgPool, layer: &str, records: &[Record]) -> Result<Unresolved, sqlx::Error> {
    let found: Vec<Place> = sqlx::query_as(
        r#"select d."offset", d.record_time
           from unnest($2::text[], $3::int[], $4::bigint[], $5::timestamptz[]) r(topic, partition, "offset", time)
           join ops.dead_letters d on d.layer = $1 and d.topic = r.topic and d.partition = r.partition
                and d."offset" = r."offset" and d.record_time = r.time
           where d.status = 'discarded'"#,
    )
    .bind(layer)
    .bind(records.iter().map(|record| &*record.topic).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.partition).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.offset).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.time).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(|place| (place, true)).collect())
}

/// Notes that records have succeeded after all. What was given up while they were on their way stays so.
pub async fn resolve(pool: &PgPool, layer: &str, records: &[&Record]) -> Result<(), sqlx::Error> {
    sqlx::query(
        r#"update ops.dead_letters d set status = 'resolved', last_seen = now(), next_attempt_at = null
           from unnest($2::text[], $3::int[], $4::bigint[], $5::timestamptz[]) r(topic, partition, "offset", time)
           where d.layer = $1 and d.topic = r.topic and d.partition = r.partition and d."offset" = r."offset"
                 and d.record_time = r.time and d.status in ('open', 'waiting')"#,
    )
    .bind(layer)
    .bind(records.iter().map(|record| &*record.topic).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.partition).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.offset).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.time).collect::<Vec<_>>())
    .execute(pool)
    .await
    .map(|_| ())
}

/// Claims waiting records whose time has come, oldest first, so that two replicas do not take the same: at most `most`, and
/// none more once they have `bytes`.
pub async fn claim_waiting(pool: &PgPool, layer: &str, most: i64, bytes: i64) -> Result<Vec<Record>, sqlx::Error> {
    let sql = format!(
        r#"update ops.dead_letters d set next_attempt_at = now() + make_interval(secs => $3)
           from (select id, sum(bytes) over (order by next_attempt_at, id) - bytes as before
                 from (select id, next_attempt_at, {BYTES} as bytes from ops.dead_letters
                       where layer = $1 and status = 'waiting' and next_attempt_at <= now()
                       order by next_attempt_at limit $2 for update skip locked) most) due
           where d.id = due.id and due.before < $4
           returning d.topic, d.partition, d."offset", d.record_time, d.key, d.value, d.header_names, d.header_values"#
    );
    // The text is made of constants.
    let rows = sqlx::query_as::<_, StoredRecord>(sqlx::AssertSqlSafe(sql))
        .bind(layer)
        .bind(most)
        .bind(CLAIM.as_secs_f64())
        .bind(bytes)
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(|stored| stored.0).collect())
}

/// Dead letters that are alike.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Counted {
    /// `open`, `waiting`, `resolved` or `discarded`.
    pub status: String,
    /// What is wrong with them.
    pub code: String,
    /// How many there are.
    pub letters: i64,
    /// How long ago the first of them was first seen.
    pub oldest_age_seconds: f64,
}

/// Counts the dead letters of a layer.
pub async fn count(connection: &mut PgConnection, layer: &str) -> Result<Vec<Counted>, sqlx::Error> {
    sqlx::query_as(
        "select status, code, count(*) as letters, \
                extract(epoch from now() - min(first_seen))::float8 as oldest_age_seconds \
         from ops.dead_letters where layer = $1 group by status, code",
    )
    .bind(layer)
    .fetch_all(connection)
    .await
}
