//! `/api/v1/operations`: who did what, when, why, and what became of it.

use std::str::FromStr;

use axum::extract::State as FromState;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::State;
use super::accepted::{self, Created, WaitFor};
use super::access::Actor;
use super::docs::{ChangeErrors, ReadErrors, tags};
use super::extract::{Json, Limit, Path, PathId, Query};
use super::fields::Text;
use super::problem::{Code, Problem};
use crate::control::operations::{self, Filter, Kind, Operation};
use crate::error_set;
use crate::jobs::lease;

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(cancel))
}

error_set!(OneErrors: ReadErrors + OperationNotFound);
error_set!(CancelErrors: ChangeErrors + OperationNotFound + OperationFinished + NotCancellable);

/// The id of an operation.
#[derive(Clone, Copy, Debug)]
struct OperationId(Uuid);

impl FromStr for OperationId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl PathId for OperationId {
    const NOT_FOUND: Code = Code::OperationNotFound;
}

/// Which operations are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only those of this kind.
    kind: Option<Kind>,
    /// Only those in this state.
    state: Option<operations::State>,
    /// How many at the most, 1 to 1000.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// A wish to cancel an operation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// Why.
    #[schema(example = "the wrong day, ticket 4711")]
    reason: Option<Text>,
}

/// A page of operations, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperationPage {
    /// The operations.
    items: Vec<Operation>,
    /// The cursor of the next page; null on the last one.
    next_cursor: Option<Uuid>,
}

/// List operations
///
/// The newest first. Operations are kept for `OPERATIONS_KEEP_DAYS` days, 90 by default.
#[utoipa::path(
    get, path = "/api/v1/operations", operation_id = "listOperations", tag = tags::OPERATIONS, params(ListQuery),
    responses((status = 200, description = "A page of operations.", body = OperationPage), ReadErrors)
)]
async fn list(
    FromState(state): FromState<State>,
    Query(query): Query<ListQuery>,
) -> Result<axum::Json<OperationPage>, Problem> {
    let filter = Filter { kind: query.kind, state: query.state, before: query.cursor };
    let mut items =
        state.database.ask(operations::list(&state.database.pool(), state.layer, filter, query.limit.rows())).await?;
    let next_cursor = query.limit.cut(&mut items, |operation| operation.id);
    Ok(axum::Json(OperationPage { items, next_cursor }))
}

/// One operation
///
/// With `wait` the answer comes once it is finished.
#[utoipa::path(
    get, path = "/api/v1/operations/{id}", operation_id = "getOperation", tag = tags::OPERATIONS,
    params(("id" = Uuid, Path, description = "The operation's id."), WaitFor),
    responses((status = 200, description = "The operation as it is.", body = Operation), OneErrors)
)]
async fn get(
    FromState(state): FromState<State>,
    Path(OperationId(id)): Path<OperationId>,
    Query(wait): Query<WaitFor>,
) -> Result<axum::Json<Operation>, Problem> {
    accepted::operation(&state, id, wait).await.map(axum::Json)
}

/// Cancel an operation
///
/// A replay or a republication stops after the records that it has in hand; a reset leaves the partitions that it has
/// not come to where they are; an audit drops what it asks, and repairs nothing. What is done stays done. Who cancelled it,
/// when and why stands in the operation; of several who do, the first counts.
#[utoipa::path(
    post, path = "/api/v1/operations/{id}/cancel", operation_id = "cancelOperation", tag = tags::OPERATIONS,
    params(("id" = Uuid, Path, description = "The operation's id."), WaitFor),
    request_body(content = Option<CancelRequest>, examples(
        ("a reason" = (summary = "With a reason", value = json!({"reason": "the wrong day, ticket 4711"}))),
        ("nothing" = (summary = "Without one", value = json!({})))
    )),
    responses(Created, CancelErrors)
)]
async fn cancel(
    FromState(state): FromState<State>,
    actor: Actor,
    Path(OperationId(id)): Path<OperationId>,
    Query(wait): Query<WaitFor>,
    Json(request): Json<CancelRequest>,
) -> Result<Response, Problem> {
    let pool = state.database.pool();
    let held = state
        .database
        .ask(operations::get(&pool, state.layer, id))
        .await?
        .ok_or_else(|| Problem::operation_not_found(id))?;
    if held.state.is_finished() {
        return Err(Problem::operation_finished(id, held.state.name()));
    }
    if !held.kind.is_cancellable() {
        return Err(Problem::not_cancellable(id, held.kind.name()));
    }
    let reason = request.reason.as_ref().map(Text::as_str);
    let Some(cancelled) = state.database.ask(lease::cancel(&pool, state.layer, id, &actor.0, reason)).await? else {
        let held = state.database.ask(operations::get(&pool, state.layer, id)).await?;
        return Err(Problem::operation_finished(id, held.map_or("done", |held| held.state.name())));
    };
    Ok(accepted::answer(&state, cancelled, wait).await)
}
