//! `/api/v1/consumer/offsets`: how far the group is, and taking it elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State as FromState;
use axum::http::HeaderMap;
use axum::http::header::{ETAG, IF_MATCH};
use axum::response::{IntoResponse as _, Response};
use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::State;
use super::accepted::{self, Accepted, WaitFor};
use super::access::Actor;
use super::docs::{ChangeErrors, ReadErrors, tags};
use super::extract::{Json, NoParameters, Query};
use super::fields::{Partition, Text, yes};
use super::problem::{Code, Problem};
use crate::control::members;
use crate::control::operations::Operation;
use crate::control::resets::{self, Ordered, ResetOrder};
use crate::error_set;
use crate::offsets::{self, Held, Plan, PlanError, Positions, Refusal, Target};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(positions)).routes(routes!(reset))
}

error_set!(OffsetsErrors: ReadErrors + KafkaAway);
error_set!(ResetErrors: ChangeErrors + KafkaAway + ResetUnderWay + PlanOutOfDate + WouldSkipRecords + UnknownPartition);

/// A wish to take the group elsewhere.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetRequest {
    /// Where to.
    to: Target,
    /// Which partitions, each meant once however often it is named; all of them unless said otherwise.
    #[schema(inline, example = json!([0]), min_items = 1)]
    partitions: Option<Vec<Partition>>,
    /// Only say what would be done; true unless said otherwise.
    #[serde(default = "yes")]
    #[schema(default = true)]
    dry_run: bool,
    /// Whether records may be skipped that were never processed.
    #[serde(default)]
    #[schema(default = false)]
    skip_records: bool,
    /// Why.
    #[schema(example = "replay of the last hour, ticket 4711")]
    reason: Option<Text>,
}

/// What a reset is answered with: the plan of a dry run, or the operation.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the answers, which are made one by one")]
enum ResetAnswer {
    /// Of a dry run.
    Plan(Plan),
    /// Finished while it was waited for.
    Operation(Box<Operation>),
}

/// Offsets and lag
///
/// Asked from the broker at this moment, so that they are right also while the layer is paused, and for partitions that
/// no member holds. `lag_seconds` is the age of the first record that is not yet processed.
#[utoipa::path(
    get, path = "/api/v1/consumer/offsets", operation_id = "getOffsets", tag = tags::CONSUMER,
    responses((status = 200, description = "Every partition of the topic.", body = Positions), OffsetsErrors)
)]
async fn positions(
    FromState(state): FromState<State>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<Positions>, Problem> {
    let holders = state.database.ask(members::holders(&state.database.pool(), state.layer)).await?;
    let held: BTreeMap<i32, Held> = holders
        .into_iter()
        .map(|holder| (holder.partition, Held { position: holder.position, member: holder.member.to_string() }))
        .collect();
    Ok(axum::Json(offsets::positions(state.broker()?, held).await?))
}

/// Reset offsets
///
/// Takes the running group elsewhere: each partition's member finishes what it has in flight, commits the target and goes
/// on there, once, also when members fall or partitions change hands meanwhile. A dry run, the default, answers with the
/// plan and its `ETag`; sent as `If-Match`, that tag refuses a plan that is out of date. Replayed records change nothing
/// that is right already. Records that were never processed are skipped only with `skip_records`.
#[utoipa::path(
    post, path = "/api/v1/consumer/offsets/reset", operation_id = "resetOffsets", tag = tags::CONSUMER,
    params(WaitFor, ("if-match" = Option<String>, Header, description = "The `ETag` of the plan that is to be done.")),
    request_body(content = ResetRequest, examples(
        ("a dry run" = (summary = "What a reset to an hour ago would do", value = json!({"to": {"duration": "PT1H"}}))),
        ("an hour ago" = (summary = "Back to an hour ago", value = json!(
            {"to": {"duration": "PT1H"}, "dry_run": false, "reason": "replay of the last hour, ticket 4711"}))),
        ("everything" = (summary = "Everything that Kafka has, once more", value = json!(
            {"to": "earliest", "dry_run": false, "reason": "rebuild"}))),
        ("one partition" = (summary = "One partition, ten records back", value = json!(
            {"to": {"shift_by": -10}, "partitions": [0], "dry_run": false, "reason": "a second look"})))
    )),
    responses(
        (status = 200, description = "The plan of a dry run, or, after a wait, the finished operation.", body = ResetAnswer,
         headers(("ETag" = String, description = "Of a plan: what `If-Match` takes."))),
        Accepted, ResetErrors
    )
)]
async fn reset(
    FromState(state): FromState<State>,
    actor: Actor,
    headers: HeaderMap,
    Query(wait): Query<WaitFor>,
    Json(request): Json<ResetRequest>,
) -> Result<Response, Problem> {
    let number = |partition: &Partition| i32::try_from(partition.get()).ok();
    let partitions: Option<BTreeSet<i32>> =
        request.partitions.as_ref().map(|partitions| partitions.iter().filter_map(number).collect());
    let plan = offsets::plan(state.broker()?, &request.to, partitions.as_ref(), Utc::now()).await?;
    let etag = plan.etag();
    if !matches(&headers, &etag) {
        return Err(Problem::plan_out_of_date());
    }
    if request.dry_run {
        return Ok(([(ETAG, etag)], axum::Json(plan)).into_response());
    }
    if plan.skips() && !request.skip_records {
        return Err(would_skip(&plan));
    }
    let asked = json!({
        "to": request.to, "partitions": request.partitions, "skip_records": request.skip_records, "plan": plan.partitions,
    });
    let order = ResetOrder {
        layer: state.layer,
        actor: &actor.0,
        reason: request.reason.as_ref().map(Text::as_str),
        request: asked,
        plan: &plan,
    };
    match state.database.ask(resets::order(&state.database.pool(), &order)).await? {
        Ordered::Accepted(operation) => Ok(accepted::answer(&state, *operation, wait).await),
        Ordered::Refused { under_way } => Err(Problem::reset_under_way(under_way)),
    }
}

/// Whether the client has named no plan, any plan, or this one.
fn matches(headers: &HeaderMap, etag: &str) -> bool {
    let mut named = headers.get_all(IF_MATCH).iter().peekable();
    named.peek().is_none()
        || named.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|one| {
            let one = one.trim();
            one == "*" || one == etag
        })
}

fn would_skip(plan: &Plan) -> Problem {
    let skipped: Vec<String> = plan
        .partitions
        .iter()
        .filter(|partition| partition.effect == offsets::Effect::Skip)
        .map(|partition| format!("{} of partition {}", partition.records, partition.partition))
        .collect();
    let detail = format!("the reset would skip records that were not processed: {}", skipped.join(", "));
    Problem::new(Code::WouldSkipRecords, detail).at("/skip_records", "takes true, if that is meant")
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Broker(error) => error.into(),
            PlanError::Refused(refusal @ Refusal::UnknownPartitions { .. }) => {
                Self::new(Code::UnknownPartition, refusal.to_string())
            }
            PlanError::Refused(refusal @ (Refusal::NotInOffsets { .. } | Refusal::NoPartitions)) => {
                Self::new(Code::InvalidField, refusal.to_string()).at("/partitions", refusal.to_string())
            }
        }
    }
}
