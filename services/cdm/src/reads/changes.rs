//! What has changed since a cursor: every row written by a transaction that the cursor's snapshot has not seen, whenever
//! that one began and however late it committed, each at its present value.
//!
//! A cursor is a snapshot: all that it saw has been given out. What is more than a page is given out in a round of pages, in
//! the order of the transactions; the round ends with the snapshot of its first page as the new cursor, so that whatever
//! committed meanwhile comes in the next one, once more rather than not at all.

use ordervault_runtime::http::{Problem, State};
use serde_json::value::RawValue;
use sqlx::Row as _;
use uuid::Uuid;

use super::counter::Counter;
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
    /// The last row of its last page: the transaction and the row's id, or the key of a sum.
    place: (u64, String),
}

/// A cursor as it is written down: its counter, its database, the snapshot, the round.
type Written = (String, String, Option<String>, Option<(String, u64, String)>);

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
            Some((began, transaction, row)) => {
                let fits = if counter.is_table() { row.parse::<i64>().is_ok() } else { row.parse::<Uuid>().is_ok() };
                let fits = fits && i64::try_from(transaction).is_ok();
                Some(Round { began: snapshot(began)?, place: fits.then_some((transaction, row)).ok_or_else(refused)? })
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
    let statement = statement(counter, &since.cursor, &state.topic, limit);
    let row = turn.ask(statement.query().fetch_one(&turn.pool())).await?;
    let freshness = Freshness::of_row(&row)?;
    if since.identity.as_ref().is_some_and(|identity| *identity != freshness.identity) {
        return Err(Problem::cursor_outdated());
    }
    let (items, last): (String, Option<Vec<String>>) = (row.try_get("items")?, row.try_get("last")?);
    let began = since.cursor.round.as_ref().map_or_else(|| freshness.snapshot.clone(), |round| round.began.clone());
    let last = last.as_deref().and_then(|last| Some((last.first()?.parse().ok()?, last.get(1)?.clone())));
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

fn statement(counter: &Counter, cursor: &Cursor, topic: &str, limit: i64) -> Statement {
    let fields = counter.columns.iter().map(|column| format!("page.{column}")).collect::<Vec<_>>().join(", ");
    Statement::new("with page as materialized (")
        .followed(&changed(counter, cursor))
        .words(&format!(" limit {}) select ", limit + 1))
        .followed(&Freshness::columns(counter, topic))
        .words(&format!(
            ", (select coalesce(json_agg(row), '[]')::text from (select {fields} from page limit {limit}) row) as items, \
               (select array[transaction::text, row_id::text] from page \
                where (select count(*) from page) > {limit} offset {} limit 1) as last",
            limit - 1
        ))
}

/// The changed rows with their places, in the order of these.
fn changed(counter: &Counter, cursor: &Cursor) -> Statement {
    let Counter { source, table, unique, .. } = counter;
    let columns = counter.columns.iter().map(|column| format!("c.{column}")).collect::<Vec<_>>().join(", ");
    let place = cursor.round.as_ref().map(|round| &round.place);
    if counter.is_table() {
        let words = format!("select {columns}, c.changed_in as transaction, c.id as row_id from {source} where true");
        let mut rows = unseen(Statement::new(&words), "c", cursor.since.as_ref());
        if let Some((transaction, id)) = place {
            rows = rows.words(" and (c.changed_in, c.id) > (").value(transaction.to_string(), "xid8");
            rows = rows.words(", ").value(id, "bigint").words(")");
        }
        return rows.words(" order by c.changed_in, c.id");
    }
    // A sum has changed where one of its rows has.
    let words = format!("select {columns}, 0 as transaction, c.{unique} as row_id from {source} where true");
    let mut sums = Statement::new(&words);
    if cursor.since.is_some() {
        let rows = Statement::new(&format!("select k.{unique} from {table} k where true"));
        sums = sums.words(&format!(" and c.{unique} in ")).nested(&unseen(rows, "k", cursor.since.as_ref()));
    }
    if let Some((_, key)) = place {
        sums = sums.words(&format!(" and c.{unique} > ")).value(key, "uuid");
    }
    sums.words(&format!(" order by c.{unique}"))
}

/// Only rows that this snapshot has not seen. The index finds all that come into question by the lowest of those that
/// were running.
fn unseen(rows: Statement, alias: &str, since: Option<&Snapshot>) -> Statement {
    let Some(since) = since else { return rows };
    rows.words(&format!(" and {alias}.changed_in >= "))
        .value(since.lowest.to_string(), "xid8")
        .words(&format!(" and not pg_visible_in_snapshot({alias}.changed_in, "))
        .value(since.to_string(), "pg_snapshot")
        .words(")")
}

fn written(counter: &Counter, freshness: &Freshness, cursor: &Cursor) -> String {
    let round = cursor.round.as_ref().map(|round| {
        let (transaction, row) = &round.place;
        (round.began.to_string(), *transaction, row.clone())
    });
    let (name, identity) = (counter.name.to_owned(), freshness.identity.clone());
    let written: Written = (name, identity, cursor.since.as_ref().map(ToString::to_string), round);
    token::write(&written)
}
