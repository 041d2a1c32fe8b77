//! `/api/v1/*-counters`: the counters, what has changed in them, and who is behind them.
//!
//! The five counters differ in their columns and filters; all else is written once.

use axum::extract::State as FromState;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use chrono::{DateTime, Utc};
use ordervault_runtime::http::docs::tags;
use ordervault_runtime::http::extract::{Query, Repeatable, RepeatableQuery, Wait};
use ordervault_runtime::http::fields::Text;
use ordervault_runtime::http::{Problem, State};
use serde::Deserialize;
use utoipa::openapi::{OpenApiBuilder, RefOr, Schema};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

#[macro_use]
mod counter;
mod parameters;
mod list;
mod changes;
pub mod segments;

use changes::ChangesErrors;
use list::{ListErrors, ListRequest};
use parameters::{MinOffsets, OrderCount, Rows};

use crate::hub_key::HubKey;
use crate::reads::counter::{CATEGORY, Counter, PRODUCT, RESTAURANT_CATEGORY, USER_CATEGORY, USER_PRODUCT};
use crate::reads::form::{Csv, Delimiter, Format};
use crate::reads::page::Count;
use crate::reads::selection::{Condition, Selection};

/// The tag under which the document lists them.
const COUNTERS: &str = "counters";

/// The table of contents.
pub(super) fn routes() -> OpenApiRouter<State> {
    let about = tags::tag(COUNTERS, "How often what was ordered by whom: pages, files, and what has changed.");
    let description = OpenApiBuilder::new().tags(Some([about])).build();
    OpenApiRouter::with_openapi(description)
        .routes(routes!(user_product::list))
        .routes(routes!(user_product::changes))
        .routes(routes!(user_category::list))
        .routes(routes!(user_category::changes))
        .routes(routes!(restaurant_category::list))
        .routes(routes!(restaurant_category::changes))
        .routes(routes!(product::list))
        .routes(routes!(product::changes))
        .routes(routes!(category::list))
        .routes(routes!(category::changes))
        .routes(routes!(segments::list))
}

counter! {
    user_product is USER_PRODUCT, "Orders of each dish by each user", "Changed counters of dishes by user",
    at "/api/v1/user-product-counters" as "listUserProductCounters",
    and "/api/v1/user-product-counters/changes" as "changesOfUserProductCounters",
    rows UserProductCounter {
        /// The row.
        id: i64,
        /// The user's hub key.
        user_id: Uuid,
        /// The dish's hub key.
        product_id: Uuid,
        /// What the dish is called.
        product_name: String,
        /// Orders of this user with this dish in them.
        order_cnt: i64,
    }
    pages UserProductCounterPage, UserProductCounterChanges
    filters UserProductQuery {
        /// Only of this user: hub key, or the source's own id.
        #[serde(alias = "user_id")]
        #[param(inline)]
        user: HubKey => |key| Condition::Is("user_id", key.0),
        /// Only of this dish: hub key, or the source's own id.
        #[serde(alias = "product_id")]
        #[param(inline)]
        product: HubKey => |key| Condition::Is("product_id", key.0),
        /// Only of dishes that are called so.
        #[serde(alias = "product_name")]
        #[param(inline)]
        name: Text => |name| Condition::Named("product_name", name.as_str().to_owned()),
        /// Only of dishes whose names begin so, in capitals or not.
        #[serde(alias = "product_name_prefix")]
        #[param(inline)]
        name_prefix: Text => |name| Condition::Prefixed("product_name", name.as_str().to_owned()),
    }
}

counter! {
    user_category is USER_CATEGORY, "Orders of each category by each user", "Changed counters of categories by user",
    at "/api/v1/user-category-counters" as "listUserCategoryCounters",
    and "/api/v1/user-category-counters/changes" as "changesOfUserCategoryCounters",
    rows UserCategoryCounter {
        /// The row.
        id: i64,
        /// The user's hub key.
        user_id: Uuid,
        /// The category's hub key.
        category_id: Uuid,
        /// The category's name.
        category_name: String,
        /// Orders of this user with something of this category in them.
        order_cnt: i64,
    }
    pages UserCategoryCounterPage, UserCategoryCounterChanges
    filters UserCategoryQuery {
        /// Only of this user: hub key, or the source's own id.
        #[serde(alias = "user_id")]
        #[param(inline)]
        user: HubKey => |key| Condition::Is("user_id", key.0),
        /// Only of this category: hub key, or name.
        #[serde(alias = "category_id")]
        #[param(inline)]
        category: HubKey => |key| Condition::Is("category_id", key.0),
        /// Only of the category that is called so.
        #[serde(alias = "category_name")]
        #[param(inline)]
        name: Text => |name| Condition::Named("category_name", name.as_str().to_owned()),
        /// Only of categories whose names begin so, in capitals or not.
        #[serde(alias = "category_name_prefix")]
        #[param(inline)]
        name_prefix: Text => |name| Condition::Prefixed("category_name", name.as_str().to_owned()),
    }
}

counter! {
    restaurant_category is RESTAURANT_CATEGORY,
    "Orders of each category at each restaurant", "Changed counters of categories by restaurant",
    at "/api/v1/restaurant-category-counters" as "listRestaurantCategoryCounters",
    and "/api/v1/restaurant-category-counters/changes" as "changesOfRestaurantCategoryCounters",
    rows RestaurantCategoryCounter {
        /// The row.
        id: i64,
        /// The restaurant's hub key.
        restaurant_id: Uuid,
        /// What the restaurant is called.
        restaurant_name: String,
        /// The category's hub key.
        category_id: Uuid,
        /// The category's name.
        category_name: String,
        /// Orders at this restaurant with something of this category in them.
        order_cnt: i64,
    }
    pages RestaurantCategoryCounterPage, RestaurantCategoryCounterChanges
    filters RestaurantCategoryQuery {
        /// Only of this restaurant: hub key, or the source's own id.
        #[serde(alias = "restaurant_id")]
        #[param(inline)]
        restaurant: HubKey => |key| Condition::Is("restaurant_id", key.0),
        /// Only of this category: hub key, or name.
        #[serde(alias = "category_id")]
        #[param(inline)]
        category: HubKey => |key| Condition::Is("category_id", key.0),
        /// Only of restaurants that are called so.
        #[serde(alias = "restaurant_name")]
        #[param(inline)]
        name: Text => |name| Condition::Named("restaurant_name", name.as_str().to_owned()),
        /// Only of restaurants whose names begin so, in capitals or not.
        #[serde(alias = "restaurant_name_prefix")]
        #[param(inline)]
        name_prefix: Text => |name| Condition::Prefixed("restaurant_name", name.as_str().to_owned()),
        /// Only of the category that is called so.
        #[param(inline)]
        category_name: Text => |name| Condition::Named("category_name", name.as_str().to_owned()),
        /// Only of categories whose names begin so, in capitals or not.
        #[param(inline)]
        category_name_prefix: Text => |name| Condition::Prefixed("category_name", name.as_str().to_owned()),
    }
}

counter! {
    product is PRODUCT, "Orders of each dish", "Changed counters of dishes",
    at "/api/v1/product-counters" as "listProductCounters",
    and "/api/v1/product-counters/changes" as "changesOfProductCounters",
    rows ProductCounter {
        /// The dish's hub key.
        product_id: Uuid,
        /// What the dish is called.
        product_name: String,
        /// Orders with this dish in them.
        order_cnt: i64,
    }
    pages ProductCounterPage, ProductCounterChanges
    filters ProductQuery {
        /// Only of this dish: hub key, or the source's own id.
        #[serde(alias = "product_id")]
        #[param(inline)]
        product: HubKey => |key| Condition::Is("product_id", key.0),
        /// Only of dishes that are called so.
        #[serde(alias = "product_name")]
        #[param(inline)]
        name: Text => |name| Condition::Named("product_name", name.as_str().to_owned()),
        /// Only of dishes whose names begin so, in capitals or not.
        #[serde(alias = "product_name_prefix")]
        #[param(inline)]
        name_prefix: Text => |name| Condition::Prefixed("product_name", name.as_str().to_owned()),
    }
}

counter! {
    category is CATEGORY, "Orders of each category", "Changed counters of categories",
    at "/api/v1/category-counters" as "listCategoryCounters",
    and "/api/v1/category-counters/changes" as "changesOfCategoryCounters",
    rows CategoryCounter {
        /// The category's hub key.
        category_id: Uuid,
        /// The category's name.
        category_name: String,
        /// Orders with something of this category in them.
        order_cnt: i64,
    }
    pages CategoryCounterPage, CategoryCounterChanges
    filters CategoryQuery {
        /// Only of this category: hub key, or name.
        #[serde(alias = "category_id")]
        #[param(inline)]
        category: HubKey => |key| Condition::Is("category_id", key.0),
        /// Only of the category that is called so.
        #[serde(alias = "category_name")]
        #[param(inline)]
        name: Text => |name| Condition::Named("category_name", name.as_str().to_owned()),
        /// Only of categories whose names begin so, in capitals or not.
        #[serde(alias = "category_name_prefix")]
        #[param(inline)]
        name_prefix: Text => |name| Condition::Prefixed("category_name", name.as_str().to_owned()),
    }
}
