//! One page of rows as JSON: rows, the place of the next page and the freshness, all of one snapshot, by one statement.

use ordervault_runtime::http::Problem;
use ordervault_runtime::reads::Turn;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sqlx::Row as _;
use utoipa::ToSchema;

use super::freshness::Freshness;
use super::selection::{Place, Selection};
use super::statement::Statement;

/// Whether the rows of all pages together are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// No.
    #[default]
    None,
    /// By the database's estimate, which costs nothing.
    Estimated,
    /// One by one.
    Exact,
}

/// A page.
#[derive(Debug)]
pub struct Page {
    /// A JSON array of rows.
    pub items: Box<RawValue>,
    /// The place of its last row, where there are rows behind it.
    pub next: Option<Place>,
    /// How many rows all pages have, if that was asked for.
    pub count: Option<i64>,
    /// What was applied.
    pub freshness: Freshness,
}

/// Reads a page of at most `limit` rows behind a place.
pub async fn read(
    turn: &Turn,
    selection: &Selection,
    topic: &str,
    after: Option<&Place>,
    limit: i64,
    count: Count,
) -> Result<Page, Problem> {
    let fields = selection.fields.iter().map(|field| format!("page.{field}")).collect::<Vec<_>>().join(", ");
    let mut statement = cut(selection, after, limit)
        .words("select ")
        .followed(&Freshness::columns(selection.counter, topic))
        .words(&format!(
            ", (select coalesce(json_agg(row), '[]')::text from (select {fields} from page limit {limit}) row) as items, "
        ))
        .words(&last(selection, limit));
    if count == Count::Exact {
        statement = statement.words(", (").followed(&selection.rows("count(*)", None)).words(") as count");
    }
    let row = turn.ask(|pool| async move { statement.query().fetch_one(&pool).await }).await?;
    let (items, place): (String, Option<Vec<String>>) = (row.try_get("items")?, row.try_get("last")?);
    let count = match count {
        Count::None => None,
        Count::Exact => Some(row.try_get("count")?),
        Count::Estimated => Some(estimate(turn, selection).await?),
    };
    Ok(Page {
        items: RawValue::from_string(items).map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        next: place.and_then(|place| place.try_into().ok()),
        count,
        freshness: Freshness::of_row(&row)?,
    })
}

/// The place of the last of `limit` rows, where there are rows behind it.
pub(super) fn bounds(selection: &Selection, after: Option<&Place>, limit: i64) -> Statement {
    cut(selection, after, limit).words("select ").words(&last(selection, limit))
}

/// `with page as (…)`: one row more than the page has says whether there is a next one.
fn cut(selection: &Selection, after: Option<&Place>, limit: i64) -> Statement {
    let mut columns = selection.fields.clone();
    for needed in [selection.sort.column, selection.counter.unique] {
        if !columns.contains(&needed) {
            columns.push(needed);
        }
    }
    let columns = columns.iter().map(|column| format!("c.{column}")).collect::<Vec<_>>().join(", ");
    let order = selection.order("c");
    Statement::new("with page as materialized (")
        .followed(&selection.rows(&columns, after))
        .words(&format!("{order} limit {}) ", limit + 1))
}

fn last(selection: &Selection, limit: i64) -> String {
    let (sort, unique) = (selection.sort.column, selection.counter.unique);
    format!(
        "(select array[{sort}::text, {unique}::text] from page where (select count(*) from page) > {limit} \
          offset {} limit 1) as last",
        limit - 1
    )
}

/// How many rows there are by the database's estimate.
pub async fn estimate(turn: &Turn, selection: &Selection) -> Result<i64, Problem> {
    let statement = Statement::new("explain (format json) ").followed(&selection.rows("*", None));
    let row = turn.ask(|pool| async move { statement.query().fetch_one(&pool).await }).await?;
    let plan: Value = row.try_get(0)?;
    Ok(plan[0]["Plan"]["Plan Rows"].as_i64().unwrap_or_default())
}

/// How many rows there are.
pub async fn exactly(turn: &Turn, selection: &Selection) -> Result<i64, Problem> {
    let statement = selection.rows("count(*)", None);
    let row = turn.ask(|pool| async move { statement.query().fetch_one(&pool).await }).await?;
    Ok(row.try_get(0)?)
}
