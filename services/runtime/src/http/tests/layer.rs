//! A layer with a route of each kind.

use std::collections::BTreeMap;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::error_set;
use crate::http::docs::{ChangeErrors, ReadErrors, tags};
use crate::http::extract::{Json, Limit, Path, PathId, Query, Wait};
use crate::http::{Actor, Code, Problem, State};

pub(super) fn router() -> OpenApiRouter<State> {
    OpenApiRouter::default()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(change))
        .route("/api/v1/pairs/{thing}/{part}", axum::routing::get(pair))
        .route("/api/v1/panic", axum::routing::get(panics))
        .route("/api/v1/database", axum::routing::get(database))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filter {
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    state: Option<String>,
    partition: Option<i32>,
    from: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
struct Listed {
    limit: u16,
    state: Option<String>,
    partition: Option<i32>,
    from: Option<DateTime<Utc>>,
}

/// Lists things
///
/// As many as are asked for.
#[utoipa::path(get, path = "/api/v1/things", tag = tags::OPERATIONS, params(Filter),
    responses((status = 200, description = "The things.", body = Listed), ReadErrors))]
async fn list(Query(filter): Query<Filter>) -> Json<Listed> {
    let Filter { limit, state, partition, from } = filter;
    Json(Listed { limit: limit.get(), state, partition, from })
}

struct ThingId(Uuid);

impl PathId for ThingId {
    const NOT_FOUND: Code = Code::OperationNotFound;
}

impl FromStr for ThingId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

error_set! {
    /// What a read of one thing can answer.
    OneErrors: ReadErrors + OperationNotFound
}

/// Shows one thing
///
/// There is none.
#[utoipa::path(get, path = "/api/v1/things/{id}", tag = tags::OPERATIONS, params(("id" = Uuid, Path)),
    responses((status = 200, description = "The thing."), OneErrors))]
async fn one(Path(ThingId(id)): Path<ThingId>) -> Problem {
    Problem::operation_not_found(id)
}

/// A name that is not blank.
struct PartName(String);

impl PathId for PartName {
    const NOT_FOUND: Code = Code::DeadLetterNotFound;
}

impl FromStr for PartName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.trim().is_empty() { Err(()) } else { Ok(Self(text.to_owned())) }
    }
}

async fn pair(Path((ThingId(thing), PartName(part))): Path<(ThingId, PartName)>) -> Json<(Uuid, String)> {
    Json((thing, part))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Waiting {
    #[serde(default)]
    #[param(inline)]
    wait: Wait,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Change {
    reason: Option<String>,
    until: Option<DateTime<Utc>>,
    partitions: Option<Vec<i32>>,
    to: Option<To>,
    dry_run: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum To {
    Earliest,
    Offsets(BTreeMap<String, i64>),
}

#[derive(Serialize, ToSchema)]
struct Changed {
    actor: String,
    wait_ms: u128,
    fields: usize,
}

/// Changes a thing
///
/// Says who did it.
#[utoipa::path(post, path = "/api/v1/things/change", tag = tags::OPERATIONS, params(Waiting), request_body = Change,
    responses((status = 200, description = "Changed.", body = Changed), ChangeErrors))]
async fn change(actor: Actor, Query(query): Query<Waiting>, Json(change): Json<Change>) -> Json<Changed> {
    let offsets = match change.to {
        Some(To::Offsets(offsets)) => offsets.values().filter(|offset| **offset >= 0).count(),
        Some(To::Earliest) => 1,
        None => 0,
    };
    let given = [change.reason.is_some(), change.until.is_some(), change.dry_run.is_some()];
    let fields =
        given.iter().filter(|there| **there).count() + change.partitions.map_or(0, |list| list.len()) + offsets;
    Json(Changed { actor: actor.0.to_string(), wait_ms: query.wait.get().as_millis(), fields })
}

async fn panics() {
    panic!("a fault with swordfish in it");
}

async fn database() -> Problem {
    sqlx::Error::PoolTimedOut.into()
}
