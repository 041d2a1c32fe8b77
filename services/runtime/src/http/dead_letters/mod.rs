//! `/api/v1/dead-letters`: what became of records that were at fault; replay and discard.

use std::str::FromStr;

use axum::extract::State as FromState;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

mod replay;
mod discard;

use super::State;
use super::docs::{ChangeErrors, ReadErrors, tags};
use super::extract::{Limit, NoParameters, Path, PathId, Query};
use super::fields::{Partition, Text};
use super::problem::{Code, Problem};
use crate::dead_letter::browse::{self, Letter, LetterCount, LetterFilter, LetterStatus, WholeLetter};
use crate::error_set;

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(summary))
        .routes(routes!(get))
        .routes(routes!(replay::many))
        .routes(routes!(replay::one))
        .routes(routes!(discard::discard))
}

error_set!(OneErrors: ReadErrors + DeadLetterNotFound);
error_set!(CloseErrors: ChangeErrors + DeadLetterNotFound + DeadLetterClosed);

/// The id of a dead letter.
#[derive(Clone, Copy, Debug)]
struct LetterId(Uuid);

impl FromStr for LetterId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl PathId for LetterId {
    const NOT_FOUND: Code = Code::DeadLetterNotFound;
}

/// Which dead letters are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those in this state.
    status: Option<LetterStatus>,
    /// Only those with this code.
    #[param(example = "missing:payload.user.id")]
    code: Option<Text>,
    /// Only those of this partition.
    #[param(inline)]
    partition: Option<Partition>,
    /// First seen at or after, RFC 3339.
    from: Option<DateTime<Utc>>,
    /// First seen before, RFC 3339.
    to: Option<DateTime<Utc>>,
    /// How many at the most, 1 to 1000.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// A page of dead letters, those first seen last first.
#[derive(Debug, Serialize, ToSchema)]
pub struct LetterPage {
    /// The dead letters, without their records' content.
    items: Vec<Letter>,
    /// The cursor of the next page; null on the last one.
    next_cursor: Option<Uuid>,
}

/// Dead letters counted.
#[derive(Debug, Serialize, ToSchema)]
pub struct LetterSummary {
    /// By code and status, the most frequent first.
    items: Vec<LetterCount>,
}

/// List dead letters
///
/// Those first seen last first, without their records' content.
#[utoipa::path(
    get, path = "/api/v1/dead-letters", operation_id = "listDeadLetters", tag = tags::DEAD_LETTERS, params(ListQuery),
    responses((status = 200, description = "A page of dead letters.", body = LetterPage), ReadErrors)
)]
async fn list(
    FromState(state): FromState<State>,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<LetterPage>, Problem> {
    let filter = LetterFilter {
        status: query.status,
        code: query.code.map(|code| code.as_str().to_owned()),
        partition: number(query.partition),
        from: query.from,
        to: query.to,
    };
    let pool = state.database.pool();
    let mut items =
        state.database.ask(browse::list(&pool, state.layer, &filter, query.cursor, query.limit.rows())).await?;
    let next_cursor = query.limit.cut(&mut items, |letter| letter.id);
    Ok(axum::Json(LetterPage { items, next_cursor }))
}

/// Count dead letters
///
/// By code and status, the most frequent first: after a producer's release this says what it broke.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/summary", operation_id = "summariseDeadLetters", tag = tags::DEAD_LETTERS,
    responses((status = 200, description = "The counts.", body = LetterSummary), ReadErrors)
)]
async fn summary(
    FromState(state): FromState<State>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<LetterSummary>, Problem> {
    let items = state.database.ask(browse::summary(&state.database.pool(), state.layer)).await?;
    Ok(axum::Json(LetterSummary { items }))
}

/// One dead letter whole
///
/// The record byte for byte: key, value and headers as base64 and, where they are UTF-8, as text.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/{id}", operation_id = "getDeadLetter", tag = tags::DEAD_LETTERS,
    params(("id" = Uuid, Path, description = "The dead letter's id.")),
    responses((status = 200, description = "The dead letter.", body = WholeLetter), OneErrors)
)]
async fn get(
    FromState(state): FromState<State>,
    Path(LetterId(id)): Path<LetterId>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<WholeLetter>, Problem> {
    let letter = state.database.ask(browse::get(&state.database.pool(), state.layer, id)).await?;
    letter.map(axum::Json).ok_or_else(|| Problem::dead_letter_not_found(id))
}

/// The number as the table has it.
fn number(partition: Option<Partition>) -> Option<i32> {
    partition.and_then(|partition| i32::try_from(partition.get()).ok())
}
