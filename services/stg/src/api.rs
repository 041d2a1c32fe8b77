//! What STG serves beside what every layer does.

use std::num::ParseIntError;
use std::str::FromStr;

use axum::extract::State as FromState;
use axum::response::{IntoResponse as _, Response};
use ordervault_runtime::control::operations::{Kind, NewOperation, Operation};
use ordervault_runtime::error_set;
use ordervault_runtime::http::accepted::{self, Accepted, WaitFor};
use ordervault_runtime::http::docs::{ChangeErrors, ReadErrors, tags};
use ordervault_runtime::http::extract::{Json, NoParameters, Path, PathId, Query, object_or_null};
use ordervault_runtime::http::fields::{Cap, Rate, Text, USUAL_RATE, yes};
use ordervault_runtime::http::{Actor, Code, Problem, State};
use ordervault_runtime::jobs::{Progress, lease};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::OpenApiBuilder;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::republish::{self, IdRange, Selection, TimeRange};
use crate::store::{self, OrderEvent};

const ORDER_EVENTS: &str = "order events";

/// The table of contents.
#[must_use]
pub fn router() -> OpenApiRouter<State> {
    let about = tags::tag(ORDER_EVENTS, "The orders as they came, and sending them onward again.");
    let description = OpenApiBuilder::new().tags(Some([about])).build();
    OpenApiRouter::with_openapi(description).routes(routes!(get_order_event)).routes(routes!(republish_orders))
}

error_set!(OneErrors: ReadErrors + OrderEventNotFound);

/// The number of an order at the source.
#[derive(Clone, Copy, Debug)]
struct OrderNumber(i64);

impl FromStr for OrderNumber {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

impl PathId for OrderNumber {
    const NOT_FOUND: Code = Code::OrderEventNotFound;
}

/// One stored order
///
/// The newest version of it that came, its payload to the letter, and the record that brought it. Of records that say the same
/// that is the one that was processed first.
#[utoipa::path(
    get, path = "/api/v1/order-events/{id}", operation_id = "getOrderEvent", tag = ORDER_EVENTS,
    params(("id" = i64, Path, description = "The order's number at the source.", example = 1)),
    responses((status = 200, description = "The order as it came.", body = OrderEvent), OneErrors)
)]
async fn get_order_event(
    FromState(state): FromState<State>,
    Path(OrderNumber(id)): Path<OrderNumber>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<OrderEvent>, Problem> {
    let held = state.database.ask(store::find(&state.database.pool(), id)).await?;
    held.map(axum::Json).ok_or_else(|| Problem::order_event_not_found(id))
}

/// A wish to send stored orders onward again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RepublishRequest {
    /// Which, by id; both ends are included.
    #[schema(example = json!({"from": 1, "to": 20000}))]
    #[serde(default, deserialize_with = "object_or_null")]
    ids: Option<IdRange>,
    /// Which, by the time at which they were sent.
    #[schema(example = json!({"from": "2020-01-01T00:00:00Z"}))]
    #[serde(default, deserialize_with = "object_or_null")]
    sent: Option<TimeRange>,
    /// Only count them; true unless said otherwise.
    #[serde(default = "yes")]
    #[schema(default = true)]
    dry_run: bool,
    /// Orders a second at the most; 100 unless said otherwise.
    #[schema(inline)]
    max_per_second: Option<Rate>,
    /// Orders at the most.
    #[schema(inline)]
    limit: Option<Cap>,
    /// Why.
    #[schema(example = "rebuild of the vault")]
    reason: Option<Text>,
}

/// How many orders a republication would send.
#[derive(Debug, Serialize, ToSchema)]
pub struct RepublishCount {
    /// Always true: nothing was done.
    dry_run: bool,
    /// How many fit; `limit` says how many of them are sent at the most. Of a table that cannot be counted within 5 s the
    /// database's estimate.
    count: u64,
}

/// What a republication is answered with.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the answers, which are made one by one")]
enum RepublishAnswer {
    /// Of a dry run.
    Count(RepublishCount),
    /// Finished while it was waited for.
    Operation(Box<Operation>),
}

/// Republish stored orders
///
/// Sends stored orders onward again, in the order of their ids, so that DDS and CDM can be rebuilt when Kafka no longer
/// has the history. Each goes with the version that is stored, so that nothing newer is undone. An order that lacks
/// something from the dictionary becomes a waiting dead letter of the topic `stg.order_events`. A dry run, the default,
/// counts them.
#[utoipa::path(
    post, path = "/api/v1/order-events/republish", operation_id = "republishOrderEvents", tag = ORDER_EVENTS,
    params(WaitFor), request_body(content = Option<RepublishRequest>, examples(
        ("a dry run" = (summary = "How many there are of these", value = json!({"ids": {"from": 1, "to": 1000}}))),
        ("all" = (summary = "All, at 500 a second", value = json!(
            {"dry_run": false, "max_per_second": 500, "reason": "rebuild of CDM, ticket 4711"})))
    )),
    responses((status = 200, description = "The dry run's count, or, after a wait, the finished operation.",
               body = RepublishAnswer), Accepted, ChangeErrors)
)]
async fn republish_orders(
    FromState(state): FromState<State>,
    actor: Actor,
    Query(wait): Query<WaitFor>,
    Json(request): Json<RepublishRequest>,
) -> Result<Response, Problem> {
    let selection = Selection { ids: request.ids, sent: request.sent };
    let pool = state.database.pool();
    let count = state.database.ask(republish::count(&pool, selection)).await?;
    if request.dry_run {
        return Ok(axum::Json(RepublishCount { dry_run: true, count }).into_response());
    }
    let new = NewOperation {
        layer: state.layer,
        kind: Kind::Republish,
        actor: &actor.0,
        reason: request.reason.as_ref().map(Text::as_str),
        request: json!({
            "selection": selection, "max_per_second": request.max_per_second.unwrap_or(USUAL_RATE), "limit": request.limit,
        }),
        progress: Progress::before(count),
    };
    let operation = state.database.ask(lease::order(&pool, new)).await?;
    Ok(accepted::answer(&state, operation, wait).await)
}
