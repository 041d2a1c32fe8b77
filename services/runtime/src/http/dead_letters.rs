//! `/api/v1/dead-letters`: what became of records that were at fault; replay and discard.

use std::str::FromStr;

use axum::extract::State as FromState;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::State;
use super::accepted::{self, Accepted, Created, WaitFor};
use super::access::Actor;
use super::docs::{ChangeErrors, ReadErrors, tags};
use super::extract::{Json, Limit, NoParameters, Path, PathId, Query};
use super::fields::{Cap, Partition, Rate, Text, USUAL_RATE, yes};
use super::problem::{Code, Problem};
use crate::control::operations::{Kind, NewOperation, Operation};
use crate::dead_letter::browse::{self, Letter, LetterCount, LetterFilter, LetterStatus, WholeLetter};
use crate::dead_letter::close::{self, Discarded};
use crate::error_set;
use crate::jobs::Progress;
use crate::jobs::lease;
use crate::jobs::letters::Wanted;

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(summary))
        .routes(routes!(get))
        .routes(routes!(replay_many))
        .routes(routes!(replay))
        .routes(routes!(discard))
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

/// A wish to try many dead letters again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Which: those that are open or waiting, and fit.
    #[serde(default)]
    #[schema(example = json!({"status": "open", "code": "missing:payload.user.id"}))]
    filter: FilterRequest,
    /// Only count them; true unless said otherwise.
    #[serde(default = "yes")]
    #[schema(default = true)]
    dry_run: bool,
    /// Records a second at the most; 100 unless said otherwise.
    #[schema(inline)]
    max_per_second: Option<Rate>,
    /// Records at the most.
    #[schema(inline)]
    limit: Option<Cap>,
    /// Why.
    #[schema(example = "producer mended, release 1.4.2")]
    reason: Option<Text>,
}

/// Which dead letters are meant; what is left out does not matter.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterRequest {
    /// In this state: `open` or `waiting`.
    status: Option<LetterStatus>,
    /// With this code.
    code: Option<Text>,
    /// Of this partition.
    #[schema(inline)]
    partition: Option<Partition>,
    /// First seen at or after, RFC 3339.
    from: Option<DateTime<Utc>>,
    /// First seen before, RFC 3339.
    to: Option<DateTime<Utc>>,
}

/// How many dead letters a replay would try again.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayCount {
    /// Always true: nothing was done.
    dry_run: bool,
    /// How many fit.
    count: u64,
}

/// What a replay of many is answered with.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the answers, which are made one by one")]
enum ReplayAnswer {
    /// Of a dry run.
    Count(ReplayCount),
    /// Finished while it was waited for.
    Operation(Box<Operation>),
}

/// A wish to try one dead letter again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayOneRequest {
    /// Why.
    #[schema(example = "producer mended, release 1.4.2")]
    reason: Option<Text>,
}

/// A wish to give a dead letter up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardRequest {
    /// Why.
    #[schema(example = "test order of the producer's team")]
    reason: Text,
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
    let mut items = browse::list(&pool, state.layer, &filter, query.cursor, query.limit.rows()).await?;
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
    let items = browse::summary(&state.database.pool(), state.layer).await?;
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
    let letter = browse::get(&state.database.pool(), state.layer, id).await?;
    letter.map(axum::Json).ok_or_else(|| Problem::dead_letter_not_found(id))
}

/// Replay many dead letters
///
/// Sends those that are open or waiting and fit the filter through the layer's own road once more, so that a newer
/// version that came meanwhile is not undone. Those that come to a good end are resolved. A dry run counts them.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/replays", operation_id = "replayDeadLetters", tag = tags::DEAD_LETTERS,
    params(WaitFor), request_body = Option<ReplayRequest>,
    responses((status = 200, description = "The dry run's count, or, after a wait, the finished operation.",
               body = ReplayAnswer), Accepted, ChangeErrors)
)]
async fn replay_many(
    FromState(state): FromState<State>,
    actor: Actor,
    Query(wait): Query<WaitFor>,
    Json(request): Json<ReplayRequest>,
) -> Result<Response, Problem> {
    let FilterRequest { status, code, partition, from, to } = request.filter;
    if let Some(closed @ (LetterStatus::Resolved | LetterStatus::Discarded)) = status {
        let detail = format!("holds {:?}, takes \"open\" or \"waiting\"", closed.name());
        return Err(Problem::invalid_field("/filter/status", detail));
    }
    let filter = LetterFilter {
        status,
        code: code.map(|code| code.as_str().to_owned()),
        partition: number(partition),
        from,
        to,
    };
    let pool = state.database.pool();
    let count = browse::count_replayable(&pool, state.layer, &filter).await?;
    let count = u64::try_from(count).unwrap_or_default();
    if request.dry_run {
        return Ok(axum::Json(ReplayCount { dry_run: true, count }).into_response());
    }
    let wanted = Wanted { filter, dead_letter: None };
    let reason = request.reason.as_ref().map(Text::as_str);
    let mut asked = json!(wanted);
    asked["max_per_second"] = json!(request.max_per_second.unwrap_or(USUAL_RATE));
    asked["limit"] = json!(request.limit);
    let new = NewOperation {
        layer: state.layer,
        kind: Kind::DeadLetterReplay,
        actor: &actor.0,
        reason,
        request: asked,
        progress: Progress::before(count),
    };
    let id = lease::order(&pool, new).await?;
    accepted::answer(&state, id, wait).await
}

/// Replay one dead letter
///
/// Sends its record through the layer's own road once more; it is resolved where that comes to a good end, and open as
/// before where it does not.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/replay", operation_id = "replayDeadLetter", tag = tags::DEAD_LETTERS,
    params(("id" = Uuid, Path, description = "The dead letter's id."), WaitFor), request_body = Option<ReplayOneRequest>,
    responses(Created, CloseErrors)
)]
async fn replay(
    FromState(state): FromState<State>,
    actor: Actor,
    Path(LetterId(id)): Path<LetterId>,
    Query(wait): Query<WaitFor>,
    Json(request): Json<ReplayOneRequest>,
) -> Result<Response, Problem> {
    let pool = state.database.pool();
    let held = browse::get(&pool, state.layer, id).await?.ok_or_else(|| Problem::dead_letter_not_found(id))?;
    if let closed @ (LetterStatus::Resolved | LetterStatus::Discarded) = held.letter.status {
        return Err(Problem::dead_letter_closed(id, closed.name()));
    }
    let wanted = Wanted { filter: LetterFilter::default(), dead_letter: Some(id) };
    let mut asked = json!(wanted);
    asked["max_per_second"] = json!(1);
    let new = NewOperation {
        layer: state.layer,
        kind: Kind::DeadLetterReplay,
        actor: &actor.0,
        reason: request.reason.as_ref().map(Text::as_str),
        request: asked,
        progress: Progress::before(1),
    };
    let id = lease::order(&pool, new).await?;
    accepted::answer(&state, id, wait).await
}

/// Discard a dead letter
///
/// It stays, with who gave it up and why, and is not tried again, also when its record is read once more.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/discard", operation_id = "discardDeadLetter", tag = tags::DEAD_LETTERS,
    params(("id" = Uuid, Path, description = "The dead letter's id."), WaitFor), request_body = DiscardRequest,
    responses(Created, CloseErrors)
)]
async fn discard(
    FromState(state): FromState<State>,
    actor: Actor,
    Path(LetterId(id)): Path<LetterId>,
    Query(wait): Query<WaitFor>,
    Json(request): Json<DiscardRequest>,
) -> Result<Response, Problem> {
    let pool = state.database.pool();
    match close::discard(&pool, state.layer, id, &actor.0, request.reason.as_str()).await? {
        Discarded::Done(operation) => accepted::answer(&state, operation, wait).await,
        Discarded::Closed(status) => Err(Problem::dead_letter_closed(id, status.name())),
        Discarded::NotFound => Err(Problem::dead_letter_not_found(id)),
    }
}

/// The number as the table has it.
fn number(partition: Option<Partition>) -> Option<i32> {
    partition.and_then(|partition| i32::try_from(partition.get()).ok())
}
