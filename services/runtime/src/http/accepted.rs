//! The answer to whoever has asked for an operation: 202 with it as it is, or, after a wait, 200 once it is finished.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{self, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses};
use uuid::Uuid;

use super::State;
use super::extract::Wait;
use super::problem::Problem;
use crate::control::operations::{self, Operation};

/// What is done soon is seen soon, and what takes long is not asked for as often.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long to wait for an operation.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitFor {
    /// Answer once the operation is finished, but after this time at the latest: `30s`, at most `60s`.
    #[serde(default)]
    #[param(inline)]
    pub wait: Wait,
    /// The query is read when the request arrives, so that what is done before the wait is taken off it.
    #[serde(skip, default = "Instant::now")]
    arrived: Instant,
}

impl WaitFor {
    fn deadline(self) -> Instant {
        self.arrived + self.wait.get()
    }
}

/// The operation, once it is finished or the wait is over.
pub(crate) async fn operation(state: &State, id: Uuid, wait: WaitFor) -> Result<Operation, Problem> {
    let known = state.database.ask(operations::get(&state.database.pool(), state.layer, id)).await?;
    let known = known.ok_or_else(|| Problem::operation_not_found(id))?;
    Ok(followed(state, known, wait).await)
}

/// The answer to the request that made the operation. That is never an error: the operation is there, and a client that
/// was not told would ask for it once more.
pub async fn answer(state: &State, made: Operation, wait: WaitFor) -> Response {
    let operation = followed(state, made, wait).await;
    let waited = wait.wait != Wait::default() && operation.state.is_finished();
    let status = if waited { StatusCode::OK } else { StatusCode::ACCEPTED };
    (status, [(LOCATION, format!("/api/v1/operations/{}", operation.id))], Json(operation)).into_response()
}

/// The operation once it is finished, or as it was last known when the wait was over.
async fn followed(state: &State, mut known: Operation, wait: WaitFor) -> Operation {
    let deadline = wait.deadline();
    let mut pause = FIRST_LOOK;
    while !known.state.is_finished() && Instant::now() < deadline {
        tokio::time::sleep_until(deadline.min(Instant::now() + pause)).await;
        pause = LOOK_EVERY.min(pause * 2);
        match state.database.ask(operations::get(&state.database.pool(), state.layer, known.id)).await {
            Ok(Some(operation)) => known = operation,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "an operation that is waited for could not be read"),
        }
    }
    known
}

/// How an operation that was asked for is answered, in the API's description.
pub struct Created;

/// The same where the answer of 200 is described by the operation itself.
pub struct Accepted;

impl IntoResponses for Created {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let finished = described("It was waited for, and the operation is finished.");
        Accepted::responses().into_iter().chain([("200".to_owned(), RefOr::T(finished))]).collect()
    }
}

impl IntoResponses for Accepted {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let accepted = described("The operation as it is now; `Location` says where it can be followed.");
        [("202".to_owned(), RefOr::T(accepted))].into()
    }
}

fn described(what: &str) -> openapi::Response {
    let location = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).build();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Operation"))).build();
    ResponseBuilder::new()
        .description(what)
        .header(LOCATION.as_str(), location)
        .content("application/json", content)
        .build()
}
