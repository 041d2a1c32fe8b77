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

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long to wait for an operation.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitFor {
    /// Answer once the operation is finished, but after this time at the latest: `30s`, at most `60s`.
    #[serde(default)]
    #[param(inline)]
    pub wait: Wait,
}

/// The operation, once it is finished or the wait is over.
pub(crate) async fn operation(state: &State, id: Uuid, wait: WaitFor) -> Result<Operation, Problem> {
    let deadline = Instant::now() + wait.wait.get();
    loop {
        let operation = operations::get(&state.database.pool(), state.layer, id).await?;
        let operation = operation.ok_or_else(|| Problem::operation_not_found(id))?;
        if operation.state.is_finished() || Instant::now() >= deadline {
            return Ok(operation);
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_EVERY)).await;
    }
}

/// The answer to the request that made the operation.
pub async fn answer(state: &State, id: Uuid, wait: WaitFor) -> Result<Response, Problem> {
    let operation = operation(state, id, wait).await?;
    let waited = wait.wait != Wait::default() && operation.state.is_finished();
    let status = if waited { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, [(LOCATION, format!("/api/v1/operations/{id}"))], Json(operation)).into_response())
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
