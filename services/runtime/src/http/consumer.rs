//! `/api/v1/consumer`: what is desired of the layer, what its members do, pause and resume.

use axum::extract::State as FromState;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::State;
use super::accepted::{self, Created, WaitFor};
use super::access::Actor;
use super::docs::{ChangeErrors, ReadErrors, tags};
use super::extract::{Json, NoParameters, Query};
use super::fields::Text;
use super::problem::Problem;
use crate::actual_state::MemberState;
use crate::control::members::{self, Member};
use crate::control::pauses::{self, PauseOrder};
use crate::desired_state::{Pause, PauseKind};

pub(super) fn routes() -> OpenApiRouter<State> {
    OpenApiRouter::new().routes(routes!(consumer)).routes(routes!(pause)).routes(routes!(resume))
}

/// What is desired of a layer and what it does.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsumerReport {
    /// The layer.
    #[schema(example = "cdm")]
    layer: &'static str,
    /// Its consumer group.
    group: String,
    /// The topic that it reads.
    topic: String,
    /// What is desired of it.
    desired_state: DesiredName,
    /// What its members do, all of them together.
    actual_state: ActualName,
    /// Why it is to be paused; empty while it is to run.
    reasons: Vec<Pause>,
    /// Its members, in the order of their start, also those that are gone.
    members: Vec<Member>,
}

/// What can be desired of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DesiredName {
    /// To work.
    Running,
    /// To begin nothing.
    Paused,
}

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActualName {
    /// Every live member works.
    Running,
    /// No live member works.
    Paused,
    /// Some members have still to finish what is in flight.
    Pausing,
    /// Some members have still to begin.
    Resuming,
    /// There is no live member.
    Gone,
}

/// A wish to pause.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// Why: it stands in the account of operations, and in every answer about the layer.
    #[schema(example = "menu migration, ticket 4711")]
    reason: Text,
    /// When the pause is to end by itself, RFC 3339; without it, it lasts until somebody resumes.
    #[schema(example = "2030-01-01T06:00:00Z")]
    until: Option<DateTime<Utc>>,
}

/// A wish to go on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// Why.
    #[schema(example = "migration done")]
    reason: Option<Text>,
}

/// Desired and actual state
///
/// What is desired of the layer, for which reasons, and what each of its members does. A member that has not reported
/// for ten seconds is shown as gone.
#[utoipa::path(
    get, path = "/api/v1/consumer", operation_id = "getConsumer", tag = tags::CONSUMER,
    responses((status = 200, description = "The state of the layer and its members.", body = ConsumerReport), ReadErrors)
)]
async fn consumer(
    FromState(state): FromState<State>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<ConsumerReport>, Problem> {
    let pool = state.database.pool();
    let (desired, _) = state.database.ask(pauses::load(&pool, state.layer)).await?;
    let members = state.database.ask(members::list(&pool, state.layer)).await?;
    let paused = desired.is_paused();
    Ok(axum::Json(ConsumerReport {
        layer: state.layer,
        group: state.group.to_string(),
        topic: state.topic.to_string(),
        desired_state: if paused { DesiredName::Paused } else { DesiredName::Running },
        actual_state: actual(paused, &members),
        reasons: desired.pauses,
        members,
    }))
}

/// Pause
///
/// Every member finishes what it has in flight and begins nothing more; it stays in its group and keeps its partitions,
/// is live and ready. Holds for members that come later, and until somebody resumes or the given time. Pausing a paused
/// layer brings reason and time up to date.
#[utoipa::path(
    post, path = "/api/v1/consumer/pause", operation_id = "pauseConsumer", tag = tags::CONSUMER, params(WaitFor),
    request_body(content = PauseRequest, examples(
        ("a pause" = (summary = "Until somebody resumes", value = json!(
            {"reason": "the warehouse moves, ticket 4711"}))),
        ("until a time" = (summary = "Until a time, or until somebody resumes before", value = json!(
            {"reason": "the warehouse moves, ticket 4711", "until": "2030-01-01T06:00:00Z"})))
    )),
    responses(Created, ChangeErrors)
)]
async fn pause(
    FromState(state): FromState<State>,
    actor: Actor,
    Query(wait): Query<WaitFor>,
    Json(request): Json<PauseRequest>,
) -> Result<Response, Problem> {
    let order = PauseOrder {
        layer: state.layer,
        kind: PauseKind::Operator,
        actor: &actor.0,
        reason: request.reason.as_str(),
        until: request.until,
    };
    let operation = state.database.ask(pauses::pause(&state.database.pool(), &order)).await?;
    Ok(accepted::answer(&state, operation, wait).await)
}

/// Resume
///
/// Removes every reason for a pause, the dead-letter breaker's as well.
#[utoipa::path(
    post, path = "/api/v1/consumer/resume", operation_id = "resumeConsumer", tag = tags::CONSUMER, params(WaitFor),
    request_body(content = Option<ResumeRequest>, examples(
        ("a reason" = (summary = "With a reason", value = json!({"reason": "the warehouse has moved"}))),
        ("nothing" = (summary = "Without one", value = json!({})))
    )),
    responses(Created, ChangeErrors)
)]
async fn resume(
    FromState(state): FromState<State>,
    actor: Actor,
    Query(wait): Query<WaitFor>,
    Json(request): Json<ResumeRequest>,
) -> Result<Response, Problem> {
    let reason = request.reason.as_ref().map(Text::as_str);
    let operation = state.database.ask(pauses::resume(&state.database.pool(), state.layer, &actor.0, reason)).await?;
    Ok(accepted::answer(&state, operation, wait).await)
}

fn actual(to_pause: bool, members: &[Member]) -> ActualName {
    let live = || members.iter().filter(|member| member.state != MemberState::Gone);
    let all = |wanted| live().all(|member| member.state == wanted);
    match to_pause {
        _ if live().next().is_none() => ActualName::Gone,
        _ if all(MemberState::Paused) => ActualName::Paused,
        _ if all(MemberState::Running) => ActualName::Running,
        true => ActualName::Pausing,
        false => ActualName::Resuming,
    }
}
