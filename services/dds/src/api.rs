//! What DDS serves beside what every layer does.

use std::convert::Infallible;
use std::str::FromStr;

use axum::extract::State as FromState;
use ordervault_contracts::keys;
use ordervault_runtime::error_set;
use ordervault_runtime::http::docs::{ReadErrors, tags};
use ordervault_runtime::http::extract::{NoParameters, Path, PathId, Query};
use ordervault_runtime::http::{Code, Problem, State};
use utoipa::openapi::OpenApiBuilder;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::reads::{self, OrderHistory};

const VAULT: &str = "vault";

/// The table of contents.
#[must_use]
pub fn router() -> OpenApiRouter<State> {
    let about = tags::tag(VAULT, "What the vault holds.");
    let description = OpenApiBuilder::new().tags(Some([about])).build();
    OpenApiRouter::with_openapi(description).routes(routes!(get_order))
}

error_set!(OneErrors: ReadErrors + OrderNotFound);

/// The hub key of an order, named by itself or by the order's number at the source.
#[derive(Clone, Copy, Debug)]
struct OrderKey(Uuid);

impl FromStr for OrderKey {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(keys::named(text)))
    }
}

impl PathId for OrderKey {
    const NOT_FOUND: Code = Code::OrderNotFound;
}

/// One order
///
/// Its hubs, links and satellites, each row with when and where from it was loaded, and the current values: all from one state
/// of the vault.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}", operation_id = "getOrder", tag = VAULT,
    params(("id" = String, Path, description = "The order's number at the source, or its hub key.", example = "1")),
    responses((status = 200, description = "The order.", body = OrderHistory), OneErrors)
)]
async fn get_order(
    FromState(state): FromState<State>,
    Path(OrderKey(key)): Path<OrderKey>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<OrderHistory>, Problem> {
    let order = state.database.ask(reads::order(&state.database, key)).await?;
    order.map(axum::Json).ok_or_else(|| Problem::order_not_found(key))
}
