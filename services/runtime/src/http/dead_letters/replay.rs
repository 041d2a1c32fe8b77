//! Trying dead letters again, many or one.

use axum::extract::State as FromState;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{CloseErrors, LetterId, number};
use crate::control::operations::{Kind, NewOperation, Operation};
use crate::dead_letter::browse::{self, LetterFilter, LetterStatus};
use crate::http::State;
use crate::http::accepted::{self, Accepted, Created, WaitFor};
use crate::http::access::Actor;
use crate::http::docs::{ChangeErrors, tags};
use crate::http::extract::{Json, Path, Query, object};
use crate::http::fields::{Cap, Partition, Rate, Text, USUAL_RATE, yes};
use crate::http::problem::Problem;
use crate::jobs::letters::Wanted;
use crate::jobs::{Progress, lease};

/// A wish to try many dead letters again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Which: those that are open or waiting, and fit.
    #[serde(default, deserialize_with = "object")]
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

/// The states from which a dead letter can be replayed.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayableStatus {
    /// Somebody has to look at it.
    Open,
    /// Tried again by itself until the dictionary has what it needs.
    Waiting,
}

impl From<ReplayableStatus> for LetterStatus {
    fn from(status: ReplayableStatus) -> Self {
        match status {
            ReplayableStatus::Open => Self::Open,
            ReplayableStatus::Waiting => Self::Waiting,
        }
    }
}

/// Which dead letters are meant; what is left out does not matter.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterRequest {
    /// In this state.
    status: Option<ReplayableStatus>,
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
    /// How many fit; `limit` says how many of them are tried at the most.
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

/// Replay many dead letters
///
/// Sends those that are open or waiting and fit the filter through the layer's own road once more, so that a newer
/// version that came meanwhile is not undone. Those that come to a good end are resolved. A dry run counts them.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/replays", operation_id = "replayDeadLetters", tag = tags::DEAD_LETTERS,
    params(WaitFor), request_body(content = Option<ReplayRequest>, examples(
        ("a dry run" = (summary = "How many there are of one code", value = json!(
            {"filter": {"code": "invalid_json"}}))),
        ("all" = (summary = "All, at 500 a second", value = json!(
            {"dry_run": false, "max_per_second": 500, "reason": "the producer is mended, ticket 4711"})))
    )),
    responses((status = 200, description = "The dry run's count, or, after a wait, the finished operation.",
               body = ReplayAnswer), Accepted, ChangeErrors)
)]
pub(super) async fn many(
    FromState(state): FromState<State>,
    actor: Actor,
    Query(wait): Query<WaitFor>,
    Json(request): Json<ReplayRequest>,
) -> Result<Response, Problem> {
    let FilterRequest { status, code, partition, from, to } = request.filter;
    let filter = LetterFilter {
        status: status.map(LetterStatus::from),
        code: code.map(|code| code.as_str().to_owned()),
        partition: number(partition),
        from,
        to,
    };
    let pool = state.database.pool();
    let count = state.database.ask(browse::count_replayable(&pool, state.layer, &filter)).await?;
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
    let operation = state.database.ask(lease::order(&pool, new)).await?;
    Ok(accepted::answer(&state, operation, wait).await)
}

/// Replay one dead letter
///
/// Sends its record through the layer's own road once more; it is resolved where that comes to a good end, and open as
/// before where it does not.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/replay", operation_id = "replayDeadLetter", tag = tags::DEAD_LETTERS,
    params(("id" = Uuid, Path, description = "The dead letter's id."), WaitFor),
    request_body(content = Option<ReplayOneRequest>, examples(
        ("a reason" = (summary = "With a reason", value = json!({"reason": "its restaurant is known now"}))),
        ("nothing" = (summary = "Without one", value = json!({})))
    )),
    responses(Created, CloseErrors)
)]
pub(super) async fn one(
    FromState(state): FromState<State>,
    actor: Actor,
    Path(LetterId(id)): Path<LetterId>,
    Query(wait): Query<WaitFor>,
    Json(request): Json<ReplayOneRequest>,
) -> Result<Response, Problem> {
    let pool = state.database.pool();
    let held = state
        .database
        .ask(browse::get(&pool, state.layer, id))
        .await?
        .ok_or_else(|| Problem::dead_letter_not_found(id))?;
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
    let operation = state.database.ask(lease::order(&pool, new)).await?;
    Ok(accepted::answer(&state, operation, wait).await)
}
