//! What has changed since a cursor: every row written by a transaction that the cursor's snapshot has not seen, whenever
//! that one began and however late it committed, each at its present value.
//!
//! A cursor is a snapshot: all that it saw has been given out. What is more than a page is given out in a round of pages, in
//! the order of the rows' ids; the round ends with the snapshot of its first page as the new cursor, so that whatever was
//! committed meanwhile comes in the next one, once more rather than not at all. Without a cursor, and for one that is older
//! than what the log of changes has, the round goes through every row.

use ordervault_runtime::http::{Problem, State};
use serde_json::value::RawValue;
use sqlx::Row as _;
use uuid::fmt::Hyphenated;

use super::change_log;
use super::counter::{Counter, type_of};
use super::freshness::Freshness;
use super::snapshot::Snapshot;
use super::statement::Statement;
use super::token;

/// Where a client's copy is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// What this saw has been given out; nothing where there is none.
    since: Option<Snapshot>,
    /// The round that is under way.
    round: Option<Round>,
}

/// A round of pages.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Round {
    /// The snapshot of its first page.
    began: Snapshot,
    /// The id of the last row of its last page, or the key of a sum.
    place: String,
}

/// A cursor as it is written down: its counter, its database, the snapshot, the round.
type Written = (String, String, Option<String>, Option<(String, String)>);

/// Changed rows.
#[derive(Debug)]
pub struct Changes {
    /// A JSON array of rows.
    pub items: Box<RawValue>,
    /// Whether there are none.
    pub is_empty: bool,
    /// Where the client's copy is once it has these.
    pub next: String,
    /// What was applied.
    pub freshness: Freshness,
}

/// A cursor, and of which database it is.
#[derive(Clone, Debug, Default)]
pub struct Since {
    identity: Option<String>,
    cursor: Cursor,
}

impl Since {
    /// Reads what was given out as `next`.
    pub fn read(counter: &Counter, text: &str) -> Result<Self, Problem> {
        let refused = || Problem::invalid_cursor_in("since");
        let (name, identity, since, round): Written = token::read(text).ok_or_else(refused)?;
        if name != counter.name {
            return Err(refused());
        }
        let snapshot = |text: String| text.parse::<Snapshot>().map_err(|()| refused());
        let round = match round {
            None => None,
            Some((began, place)) => {
                let fits =
                    if counter.is_table() { place.parse::<i64>().is_ok() } else { place.parse::<Hyphenated>().is_ok() };
                Some(Round { began: snapshot(began)?, place: fits.then_some(place).ok_or_else(refused)? })
            }
        };
        Ok(Self { identity: Some(identity), cursor: Cursor { since: since.map(snapshot).transpose()?, round } })
    }

    /// The cursor of a copy that was made in this state.
    #[must_use]
    pub fn now(counter: &Counter, freshness: &Freshness) -> String {
        let cursor = Cursor { since: Some(freshness.snapshot.clone()), round: None };
        written(counter, freshness, &cursor)
    }
}

/// Reads at most `limit` changed rows.
pub async fn read(state: &State, counter: &'static Counter, since: &Since, limit: i64) -> Result<Changes, Problem> {
    let turn = state.reads.turn().await?;
    let ask = async |of: Of<'_>| {
        let statement = statement(counter, &since.cursor, of, &state.topic, limit);
        turn.ask(|pool| async move { statement.query().fetch_one(&pool).await }).await
    };
    let mut row = ask(since.cursor.since.as_ref().map_or(Of::All, Of::Unseen)).await?;
    if !row.try_get::<bool, _>("is_shorter")? {
        row = ask(Of::All).await?;
    }
    let freshness = Freshness::of_row(&row)?;
    if since.identity.as_ref().is_some_and(|identity| *identity != freshness.identity) {
        return Err(Problem::cursor_outdated());
    }
    let (items, last): (String, Option<String>) = (row.try_get("items")?, row.try_get("last")?);
    let began = since.cursor.round.as_ref().map_or_else(|| freshness.snapshot.clone(), |round| round.began.clone());
    let next = match last {
        Some(place) => Cursor { since: since.cursor.since.clone(), round: Some(Round { began, place }) },
        None => Cursor { since: Some(began), round: None },
    };
    Ok(Changes {
        is_empty: items == "[]",
        items: RawValue::from_string(items).map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        next: written(counter, &freshness, &next),
        freshness,
    })
}

/// Which rows come into question.
#[derive(Clone, Copy)]
enum Of<'a> {
    All,
    Unseen(&'a Snapshot),
}

fn statement(counter: &Counter, cursor: &Cursor, of: Of<'_>, topic: &str, limit: i64) -> Statement {
    let fields = counter.columns.iter().map(|column| format!("page.{column}")).collect::<Vec<_>>().join(", ");
    let shorter = match of {
        Of::All => Statement::new("true"),
        Of::Unseen(since) => change_log::is_shorter(counter, since),
    };
    Statement::new("with log as materialized (select ")
        .followed(&shorter)
        .words(" as is_shorter), page as materialized (")
        .followed(&changed(counter, of, cursor.round.as_ref().map(|round| round.place.as_str())))
        .words(&format!(" limit {}) select ", limit + 1))
        .followed(&Freshness::columns(counter, topic))
        .words(&format!(
            ", (select is_shorter from log), (select coalesce(json_agg(row), '[]')::text from (select {fields} from page limit {limit}) row) as items, \
               (select {}::text from page where (select count(*) from page) > {limit} offset {} limit 1) as last",
            counter.unique,
            limit - 1
        ))
}

/// The changed rows behind a place, in the order of their ids or keys.
fn changed(counter: &Counter, of: Of<'_>, after: Option<&str>) -> Statement {
    let Counter { source, table, unique, .. } = counter;
    let columns = counter.columns.iter().map(|column| format!("c.{column}")).collect::<Vec<_>>().join(", ");
    let ids = |since| {
        let ids = Statement::new("select unnest(ids) as id ").followed(&change_log::unseen(counter, since));
        ids.words(" and (select is_shorter from log)")
    };
    let mut rows = Statement::new(&format!("select {columns} from {source} where true"));
    if let Of::Unseen(since) = of {
        let keys = if counter.is_table() {
            ids(since)
        } else {
            // A sum has changed where one of its rows has.
            Statement::new(&format!("select k.{unique} from {table} k where k.id in ")).nested(&ids(since))
        };
        rows = rows.words(&format!(" and c.{unique} in ")).nested(&keys);
    }
    if let Some(place) = after {
        rows = rows.words(&format!(" and c.{unique} > ")).value(place, type_of(unique));
    }
    rows.words(&format!(" order by c.{unique}"))
}

fn written(counter: &Counter, freshness: &Freshness, cursor: &Cursor) -> String {
    let round = cursor.round.as_ref().map(|round| (round.began.to_string(), round.place.clone()));
    let (name, identity) = (counter.name.to_owned(), freshness.identity.clone());
    let written: Written = (name, identity, cursor.since.as_ref().map(ToString::to_string), round);
    token::write(&written)
}
