//! Why a counter says what it says: what one order contributes, and which orders one counter is made of.

use std::str::FromStr;

use axum::extract::State as FromState;
use ordervault_runtime::error_set;
use ordervault_runtime::http::docs::{ReadErrors, tags};
use ordervault_runtime::http::extract::{Limit, NoParameters, Path, PathId, Query};
use ordervault_runtime::http::{Code, Problem, State};
use serde::{Deserialize, Serialize};
use utoipa::openapi::OpenApiBuilder;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::contributions::{self, CountedOrder, Counter, OrderContribution, USER_CATEGORY, USER_PRODUCT};
use crate::hub_key::{HubKey, Nameless};

const ORDERS: &str = "orders";

pub(super) fn routes() -> OpenApiRouter<State> {
    let about = tags::tag(ORDERS, "Why a counter says what it says: the orders behind it.");
    let description = OpenApiBuilder::new().tags(Some([about])).build();
    OpenApiRouter::with_openapi(description)
        .routes(routes!(get_contribution))
        .routes(routes!(list_orders_of_user_product))
        .routes(routes!(list_orders_of_user_category))
}

error_set!(OneErrors: ReadErrors + OrderNotFound + TooManyReads + QueryTooSlow);
error_set!(CounterErrors: ReadErrors + CounterNotFound + TooManyReads + QueryTooSlow);

/// The hub key of an order.
#[derive(Clone, Copy, Debug)]
struct OrderKey(HubKey);

impl FromStr for OrderKey {
    type Err = Nameless;

    fn from_str(text: &str) -> Result<Self, Nameless> {
        text.parse().map(Self)
    }
}

impl PathId for OrderKey {
    const NOT_FOUND: Code = Code::OrderNotFound;
}

/// One of the hub keys of a counter.
#[derive(Clone, Copy, Debug)]
struct CounterKey(HubKey);

impl FromStr for CounterKey {
    type Err = Nameless;

    fn from_str(text: &str) -> Result<Self, Nameless> {
        text.parse().map(Self)
    }
}

impl PathId for CounterKey {
    const NOT_FOUND: Code = Code::CounterNotFound;
}

/// Which page of the orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many at the most, 1 to 1000.
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
    /// The `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

/// A page of the orders that a counter is made of, by their hub keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountedOrderPage {
    /// What the counter says: so many orders there are on all pages.
    #[schema(example = 3)]
    order_cnt: i64,
    /// The orders.
    items: Vec<CountedOrder>,
    /// The cursor of the next page; null on the last one.
    next_cursor: Option<Uuid>,
}

/// What one order contributes
///
/// Its row of the ledger, whether it counts, and the counters to which it adds one, with what they say at present.
#[utoipa::path(
    get, path = "/api/v1/orders/{id}/contribution", operation_id = "getContribution", tag = ORDERS,
    params(("id" = inline(HubKey), Path, description = "The order's number at the source, or its hub key.", example = "1")),
    responses((status = 200, description = "What it contributes.", body = OrderContribution), OneErrors)
)]
async fn get_contribution(
    FromState(state): FromState<State>,
    Path(OrderKey(HubKey(order))): Path<OrderKey>,
    Query(NoParameters {}): Query<NoParameters>,
) -> Result<axum::Json<OrderContribution>, Problem> {
    let turn = state.reads.turn().await?;
    let held = turn.ask(|pool| async move { contributions::of_order(&pool, order).await }).await?;
    held.map(axum::Json).ok_or_else(|| Problem::order_not_found(order))
}

/// The orders behind a counter of a user and a dish
///
/// Those that count once each for it. `order_cnt` is what the counter says at the same moment.
#[utoipa::path(
    get, path = "/api/v1/user-product-counters/{user}/{product}/orders", operation_id = "listOrdersOfUserProduct",
    tag = ORDERS,
    params(
        ("user" = inline(HubKey), Path, description = "The user's id at the source, or their hub key.",
         example = "626a81cfefa404208fe9abae"),
        ("product" = inline(HubKey), Path, description = "The dish's id at the source, or its hub key.",
         example = "6276e8cd0cf48b4cded00877"),
        PageQuery
    ),
    responses((status = 200, description = "A page of the orders.", body = CountedOrderPage), CounterErrors)
)]
async fn list_orders_of_user_product(
    FromState(state): FromState<State>,
    Path((user, product)): Path<(CounterKey, CounterKey)>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<CountedOrderPage>, Problem> {
    page(&state, &USER_PRODUCT, user, product, query).await
}

/// The orders behind a counter of a user and a category
///
/// Those that count once each for it. `order_cnt` is what the counter says at the same moment.
#[utoipa::path(
    get, path = "/api/v1/user-category-counters/{user}/{category}/orders", operation_id = "listOrdersOfUserCategory",
    tag = ORDERS,
    params(
        ("user" = inline(HubKey), Path, description = "The user's id at the source, or their hub key.",
         example = "626a81cfefa404208fe9abae"),
        ("category" = inline(HubKey), Path, description = "The category's name, or its hub key.", example = "Выпечка"),
        PageQuery
    ),
    responses((status = 200, description = "A page of the orders.", body = CountedOrderPage), CounterErrors)
)]
async fn list_orders_of_user_category(
    FromState(state): FromState<State>,
    Path((user, category)): Path<(CounterKey, CounterKey)>,
    Query(query): Query<PageQuery>,
) -> Result<axum::Json<CountedOrderPage>, Problem> {
    page(&state, &USER_CATEGORY, user, category, query).await
}

async fn page(
    state: &State,
    counter: &'static Counter,
    CounterKey(HubKey(user)): CounterKey,
    CounterKey(HubKey(other)): CounterKey,
    PageQuery { limit, cursor }: PageQuery,
) -> Result<axum::Json<CountedOrderPage>, Problem> {
    let (turn, most) = (state.reads.turn().await?, limit.rows());
    let held = turn.ask(|pool| async move { counter.orders(&pool, (user, other), cursor, most).await }).await?;
    let (order_cnt, mut items) = held.ok_or_else(|| Problem::counter_not_found(user, other))?;
    let next_cursor = limit.cut(&mut items, |order| order.order_id);
    Ok(axum::Json(CountedOrderPage { order_cnt, items, next_cursor }))
}
