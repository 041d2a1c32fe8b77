//! How fresh an answer is: what was applied when it was read, by the same snapshot as its rows.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, ETAG, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, Utc};
use ordervault_runtime::http::{Problem, State};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use tokio::time::Instant;

use super::change_log;
use super::counter::Counter;
use super::form::Format;
use super::snapshot::Snapshot;
use super::statement::Statement;
use super::token;

/// The time of the newest record that is applied.
pub const AS_OF: HeaderName = HeaderName::from_static("ordervault-as-of");
/// The last applied offset of each partition, in the form that `min_offset` takes.
pub const APPLIED_OFFSETS: HeaderName = HeaderName::from_static("ordervault-applied-offsets");
/// Records that are not applied yet.
pub const LAG: HeaderName = HeaderName::from_static("ordervault-lag");
/// From here on `…/changes?since=` goes on.
pub const CHANGES_CURSOR: HeaderName = HeaderName::from_static("ordervault-changes-cursor");

/// Whoever asks each time whether anything is new is told at once when nothing is.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("private, max-age=0, must-revalidate");

/// Of so many answers a client may hold one that is still right; each is looked at by itself.
const TAGS: usize = 4;

/// How often it is looked whether an offset is applied.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What was applied when something was read.
#[derive(Clone, Debug)]
pub struct Freshness {
    /// Which transactions were seen.
    pub snapshot: Snapshot,
    /// Which database and which tables they belong to.
    pub identity: String,
    applied: Vec<Applied>,
}

/// A partition, the offset after the last one that is applied, and the time of the newest record.
type Applied = (i32, i64, DateTime<Utc>);

/// An offset that a client wants to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinOffset {
    /// The partition.
    pub partition: i32,
    /// The offset of a record in it.
    pub offset: i64,
}

impl Freshness {
    /// The columns from which [`Freshness::of_row`] is read.
    ///
    /// The identity changes with the server (another one, or the same after it was promoted, when transactions that were
    /// seen may be lost), the database, and the table's file, which a restored dump brings anew.
    #[must_use]
    pub fn columns(counter: &Counter, topic: &str) -> Statement {
        let table = counter.table;
        Statement::new(
            "pg_current_snapshot()::text as snapshot, \
             (select json_agg(json_build_array(partition, next_offset, record_time) order by partition) \
              from ops.applied_offsets where layer = 'cdm' and topic = ",
        )
        .value(topic, "text")
        .words(&format!(
            ") as applied, concat_ws('.', (select system_identifier from pg_control_system()), \
                case when pg_is_in_recovery() then 'standby' else left(pg_walfile_name(pg_current_wal_lsn()), 8) end, \
                (select oid from pg_database where datname = current_database()), '{table}'::regclass::oid, pg_relation_filenode('{table}')) as identity"
        ))
    }

    /// Reads the columns.
    pub fn of_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let snapshot: String = row.try_get("snapshot")?;
        let snapshot = snapshot.parse().map_err(|()| sqlx::Error::Protocol(format!("a snapshot {snapshot:?}")))?;
        let applied: Option<Json<Vec<Applied>>> = row.try_get("applied")?;
        let identity: String = row.try_get("identity")?;
        Ok(Self {
            snapshot,
            identity: token::digest(&identity),
            applied: applied.map(|applied| applied.0).unwrap_or_default(),
        })
    }

    /// The time of the newest record that was applied.
    #[must_use]
    pub fn as_of(&self) -> Option<DateTime<Utc>> {
        self.applied.iter().map(|(_, _, time)| *time).max()
    }

    /// Weak, since it says what was applied, and in which form it is shown, and not how that is written down. It bears the
    /// snapshot, so that it can be asked later whether anything has changed since: a transaction that began before and commits
    /// late is not in it.
    #[must_use]
    pub fn etag(&self, format: Format) -> String {
        format!("W/\"{}!{}\"", self.state(format), self.snapshot)
    }

    /// The headers that go with an answer, but for its tag.
    pub fn tell(&self, lag: Option<i64>, headers: &mut HeaderMap) {
        let mut tell = |name, value: String| {
            // Digits, letters and punctuation of ASCII.
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        if let Some(as_of) = self.as_of() {
            tell(AS_OF, as_of.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        }
        if let Some(lag) = lag {
            tell(LAG, lag.to_string());
        }
        let applied = self.applied.iter().map(|(partition, next, _)| format!("{partition}:{}", next - 1));
        tell(APPLIED_OFFSETS, applied.collect::<Vec<_>>().join(","));
        headers.insert(CACHE_CONTROL, ASK_AGAIN);
        headers.append(VARY, HeaderValue::from_static("accept"));
    }

    /// Which database this is, what was applied, and how it is shown.
    fn state(&self, format: Format) -> String {
        let applied: Vec<_> = self.applied.iter().map(|(partition, next, _)| (partition, next)).collect();
        token::digest(&format!("{} {applied:?} {format:?}", self.identity))
    }
}

/// Says whether what a client holds under these tags is still what it would get: then it is told which tag.
pub async fn unchanged(
    state: &State,
    counter: &'static Counter,
    format: Format,
    held: &HeaderValue,
) -> Result<Option<HeaderMap>, Problem> {
    for tag in held.to_str().unwrap_or_default().split(", ").take(TAGS) {
        let Some((applied, snapshot)) =
            tag.trim().strip_prefix("W/\"").and_then(|tag| tag.strip_suffix('"')).and_then(|tag| tag.split_once('!'))
        else {
            continue;
        };
        let Ok(snapshot) = snapshot.parse::<Snapshot>() else { continue };
        let statement = Statement::new("select ")
            .followed(&Freshness::columns(counter, &state.topic))
            .words(", exists (select ")
            .followed(&change_log::unseen(counter, &snapshot))
            .words(") or not ")
            .followed(&change_log::kept(counter, &snapshot))
            .words(" as changed");
        let turn = state.reads.turn().await?;
        let row = turn.ask(|pool| async move { statement.query().fetch_one(&pool).await }).await?;
        let (freshness, changed): (Freshness, bool) = (Freshness::of_row(&row)?, row.try_get("changed")?);
        if !changed && freshness.state(format) == applied {
            let mut headers = HeaderMap::new();
            freshness.tell(state.metrics.lag(), &mut headers);
            // The client goes on with the tag that it has.
            if let Ok(tag) = HeaderValue::try_from(tag.trim()) {
                headers.insert(ETAG, tag);
            }
            return Ok(Some(headers));
        }
    }
    Ok(None)
}

/// Waits until all these offsets are applied.
pub async fn applied(state: &State, wanted: &[MinOffset], wait: Duration) -> Result<(), Problem> {
    if wanted.is_empty() {
        return Ok(());
    }
    let deadline = Instant::now() + wait;
    let mut waiting = None;
    loop {
        let next = next_offsets(state).await?;
        let highest = state.metrics.lag_by_partition().into_iter().map(|(partition, _)| partition).max();
        let mut behind = Vec::new();
        for MinOffset { partition, offset } in wanted {
            let next = next.iter().find(|(other, _)| other == partition).map(|(_, next)| *next);
            // One without a leader may not be known.
            if let Some(highest) = highest.filter(|highest| next.is_none() && partition > highest) {
                return Err(Problem::no_such_partition("min_offset", *partition, highest));
            }
            if next.is_none_or(|next| next <= *offset) {
                let at = next
                    .map_or("nothing is".to_owned(), |next| format!("{partition}:{} is the last that is", next - 1));
                behind.push(format!("names {partition}:{offset}, which is not applied; {at}"));
            }
        }
        if behind.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Problem::offset_not_applied(&behind.join(", and it ")));
        }
        if waiting.is_none() {
            waiting = Some(state.reads.wait()?);
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_EVERY)).await;
    }
}

async fn next_offsets(state: &State) -> Result<Vec<(i32, i64)>, Problem> {
    let (turn, topic) = (state.reads.turn().await?, Arc::clone(&state.topic));
    let sql = "select partition, next_offset from ops.applied_offsets where layer = 'cdm' and topic = $1";
    turn.ask(|pool| async move { sqlx::query_as(sql).bind(&*topic).fetch_all(&pool).await }).await
}
