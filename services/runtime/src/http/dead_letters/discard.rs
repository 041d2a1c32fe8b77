//! Giving a dead letter up.

use axum::extract::State as FromState;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{CloseErrors, LetterId};
use crate::dead_letter::close::{self, Discarded};
use crate::http::State;
use crate::http::accepted::{self, Created, WaitFor};
use crate::http::access::Actor;
use crate::http::docs::tags;
use crate::http::extract::{Json, Path, Query};
use crate::http::fields::Text;
use crate::http::problem::Problem;

/// A wish to give a dead letter up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiscardRequest {
    /// Why.
    #[schema(example = "test order of the producer's team")]
    reason: Text,
}

/// Discard a dead letter
///
/// It stays, with who gave it up and why, and is not tried again, also when its record is read once more.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/discard", operation_id = "discardDeadLetter", tag = tags::DEAD_LETTERS,
    params(("id" = Uuid, Path, description = "The dead letter's id."), WaitFor),
    request_body(content = DiscardRequest, examples(
        ("a reason" = (summary = "A test's record", value = json!({"reason": "a test's record, ticket 4711"})))
    )),
    responses(Created, CloseErrors)
)]
pub(super) async fn discard(
    FromState(state): FromState<State>,
    actor: Actor,
    Path(LetterId(id)): Path<LetterId>,
    Query(wait): Query<WaitFor>,
    Json(request): Json<DiscardRequest>,
) -> Result<Response, Problem> {
    let pool = state.database.pool();
    match state.database.ask(close::discard(&pool, state.layer, id, &actor.0, request.reason.as_str())).await? {
        Discarded::Done(operation) => Ok(accepted::answer(&state, *operation, wait).await),
        Discarded::Closed(status) => Err(Problem::dead_letter_closed(id, status.name())),
        Discarded::NotFound => Err(Problem::dead_letter_not_found(id)),
    }
}
