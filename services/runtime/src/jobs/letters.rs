//! Dead letters as a job's source: those that fitted when the replay was asked for, in the order in which they were
//! first seen.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPool;
use sqlx::{FromRow as _, Row as _};
use uuid::Uuid;

use super::lease::Job;
use super::{PORTION_BYTES, Portion, Source};
use crate::control::operations::Kind;
use crate::dead_letter::browse::{FITS, LetterFilter};
use crate::dead_letter::stored::{BYTES, StoredRecord};
use crate::road::Origin;

/// Replays dead letters.
#[derive(Clone, Copy, Debug)]
pub struct Letters;

/// Which dead letters a replay is about, as its operation records it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// Those that fit.
    pub filter: LetterFilter,
    /// This one alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<Uuid>,
}

impl Source for Letters {
    fn kind(&self) -> Kind {
        Kind::DeadLetterReplay
    }

    fn origin(&self) -> Origin {
        Origin::Replay
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

async fn next(pool: &PgPool, job: &Job, most: i64) -> Result<Option<Portion>, sqlx::Error> {
    let wanted: Wanted =
        serde_json::from_value(job.request.clone()).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let after = job.cursor.as_deref().and_then(|cursor| cursor.parse::<Uuid>().ok());
    // One that is closed by now, or that came after the request, is none of the job's.
    let sql = format!(
        r#"select id, topic, partition, "offset", record_time, key, value, header_names, header_values
           from (select *, sum(bytes) over (order by id) - bytes as before
                 from (select *, {BYTES} as bytes from ops.dead_letters
                       where {FITS} and status in ('open', 'waiting') and first_seen <= $7
                             and ($8::uuid is null or id > $8) and ($9::uuid is null or id = $9)
                       order by id limit $10) most) added
           where before < $11 order by id"#
    );
    // The text is made of constants.
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&job.layer)
        .bind(wanted.filter.status)
        .bind(&wanted.filter.code)
        .bind(wanted.filter.partition)
        .bind(wanted.filter.from)
        .bind(wanted.filter.to)
        .bind(job.created_at)
        .bind(after)
        .bind(wanted.dead_letter)
        .bind(most)
        .bind(PORTION_BYTES)
        .fetch_all(pool)
        .await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let cursor = last.try_get::<Uuid, _>("id")?.to_string();
    let records =
        rows.iter().map(|row| StoredRecord::from_row(row).map(|stored| stored.0)).collect::<Result<_, _>>()?;
    Ok(Some(Portion { records, cursor }))
}
