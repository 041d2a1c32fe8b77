//! `…/changes`: for a copy that is to stay as its counters are.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use ordervault_runtime::error_set;
use ordervault_runtime::http::docs::ReadErrors;
use ordervault_runtime::http::extract::Wait;
use ordervault_runtime::http::{Problem, State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;
use utoipa::IntoParams;

use super::parameters::{Rows, USUAL_PAGE};
use crate::reads::changes::{self, Since};
use crate::reads::counter::Counter;

error_set! {
    /// What a list of changes can answer.
    pub ChangesErrors: ReadErrors + InvalidCursor + CursorOutdated + TooManyReads + QueryTooSlow
}

/// How often it is looked whether anything has changed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Since when, and how many.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChangesQuery {
    /// The `next` of the answer before, or the header `Ordervault-Changes-Cursor` of a list; without it every counter comes.
    since: Option<String>,
    /// How many rows at the most, 1 to 10,000; 100 unless said otherwise.
    #[param(inline)]
    limit: Option<Rows>,
    /// For how long to wait for the first change: `30s`, at most `60s`, not at all unless said otherwise.
    #[serde(default)]
    #[param(inline)]
    wait: Wait,
}

#[derive(Serialize)]
struct JsonChanges {
    items: Box<RawValue>,
    next: String,
    as_of: Option<DateTime<Utc>>,
}

/// Answers with what has changed, as soon as anything has, or the wait is over.
pub(super) async fn answer(state: &State, counter: &'static Counter, query: ChangesQuery) -> Result<Response, Problem> {
    let since = query.since.as_deref().map(|since| Since::read(counter, since)).transpose()?.unwrap_or_default();
    let limit = query.limit.map_or(USUAL_PAGE, Rows::get);
    let deadline = Instant::now() + query.wait.get();
    let mut waiting = None;
    loop {
        let read = changes::read(state, counter, &since, limit).await?;
        if !read.is_empty || Instant::now() >= deadline {
            let mut headers = HeaderMap::new();
            read.freshness.tell(state.metrics.lag(), &mut headers);
            let as_of = read.freshness.as_of();
            return Ok((headers, axum::Json(JsonChanges { items: read.items, next: read.next, as_of })).into_response());
        }
        if waiting.is_none() {
            waiting = Some(state.reads.wait()?);
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_EVERY)).await;
    }
}
