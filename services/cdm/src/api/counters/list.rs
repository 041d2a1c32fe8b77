//! A list of counters: what is asked for in one request, and its answer in the form that the client takes.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use ordervault_runtime::error_set;
use ordervault_runtime::http::docs::ReadErrors;
use ordervault_runtime::http::{Problem, State};
use serde::Serialize;
use serde_json::value::RawValue;

use super::parameters::USUAL_PAGE;
use crate::reads::changes::Since;
use crate::reads::form::{Csv, Format};
use crate::reads::freshness::{self, CHANGES_CURSOR, Freshness, MinOffset};
use crate::reads::page::{self, Count};
use crate::reads::selection::{Place, Selection};
use crate::reads::stream::{self, Lines, Wanted};

error_set! {
    /// What a list of counters can answer.
    pub ListErrors: ReadErrors
        + InvalidCursor
        + UnknownPartition
        + NotAcceptable
        + TooManyReads
        + QueryTooSlow
        + OffsetNotApplied
}

/// How many rows all pages together have.
const ALL_ROWS: HeaderName = HeaderName::from_static("ordervault-count");

/// One request for a list.
pub(super) struct ListRequest {
    pub selection: Selection,
    pub limit: Option<i64>,
    pub cursor: Option<String>,
    pub count: Count,
    pub format: Option<Format>,
    pub csv: Csv,
    pub min_offset: Vec<MinOffset>,
    pub wait: Duration,
    /// Whether all that it shows stands in counters, so that an answer can be told to be unchanged.
    pub is_tracked: bool,
}

/// A page as JSON.
#[derive(Serialize)]
struct JsonPage {
    items: Box<RawValue>,
    next_cursor: Option<String>,
    as_of: Option<DateTime<Utc>>,
    count: Option<i64>,
}

/// Answers a request.
pub(super) async fn answer(
    state: &State,
    headers: &HeaderMap,
    uri: &Uri,
    request: ListRequest,
) -> Result<Response, Problem> {
    let format = Format::chosen(request.format, headers)?;
    let after = request.cursor.as_deref().map(|cursor| request.selection.place(cursor)).transpose()?;
    freshness::applied(state, &request.min_offset, request.wait).await?;
    if let Some(held) = headers.get(IF_NONE_MATCH).filter(|_| request.is_tracked)
        && let Some(headers) = freshness::unchanged(state, request.selection.counter, format, held).await?
    {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    match format {
        Format::Json => json(state, uri, request, after).await,
        Format::Ndjson => lines(state, uri, request, after, Lines::Json, format).await,
        Format::Csv => {
            let csv = request.csv;
            lines(state, uri, request, after, Lines::Csv(csv), format).await
        }
    }
}

async fn json(state: &State, uri: &Uri, request: ListRequest, after: Option<Place>) -> Result<Response, Problem> {
    let turn = state.reads.turn().await?;
    let limit = request.limit.unwrap_or(USUAL_PAGE);
    let page = page::read(&turn, &request.selection, &state.topic, after.as_ref(), limit, request.count).await?;
    drop(turn);
    let next_cursor = page.next.as_ref().map(|place| request.selection.cursor(place));
    let headers = headers(state, uri, &request, &page.freshness, Format::Json, next_cursor.as_deref(), page.count);
    let as_of = page.freshness.as_of();
    let page = JsonPage { items: page.items, next_cursor, as_of, count: page.count };
    Ok((headers, axum::Json(page)).into_response())
}

async fn lines(
    state: &State,
    uri: &Uri,
    request: ListRequest,
    after: Option<Place>,
    lines: Lines,
    format: Format,
) -> Result<Response, Problem> {
    let turn = state.reads.stream_turn().await?;
    let count = match request.count {
        Count::None => None,
        Count::Estimated => Some(page::estimate(&turn, &request.selection).await?),
        Count::Exact => Some(page::exactly(&turn, &request.selection).await?),
    };
    let wanted = Wanted { selection: request.selection.clone(), after, limit: request.limit, lines };
    let stream = stream::begin(turn, state, wanted).await?;
    let next_cursor = stream.next.as_ref().map(|place| request.selection.cursor(place));
    let mut headers = headers(state, uri, &request, &stream.freshness, format, next_cursor.as_deref(), count);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    Ok((headers, stream.body).into_response())
}

fn headers(
    state: &State,
    uri: &Uri,
    request: &ListRequest,
    freshness: &Freshness,
    format: Format,
    next_cursor: Option<&str>,
    count: Option<i64>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    freshness.tell(state.metrics.lag(), &mut headers);
    if request.is_tracked {
        let cursor = Since::now(request.selection.counter, freshness);
        let tracked = [(ETAG, freshness.etag(format)), (CHANGES_CURSOR, cursor)];
        headers
            .extend(tracked.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))));
    }
    headers.extend(count.map(|count| (ALL_ROWS, HeaderValue::from(count))));
    let link = next_cursor.and_then(|cursor| HeaderValue::try_from(link(uri, cursor)).ok());
    headers.extend(link.map(|link| (LINK, link)));
    headers
}

/// The same request for the next page, as RFC 8288 has it. It is relative: what stands in front of the service may be known
/// to its clients by another name.
fn link(uri: &Uri, cursor: &str) -> String {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs.filter(|(name, _)| name != "cursor"))
        .append_pair("cursor", cursor)
        .finish();
    format!("<{}?{query}>; rel=\"next\"", uri.path())
}
