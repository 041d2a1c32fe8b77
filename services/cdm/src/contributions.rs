//! Why a counter says what it says: what one order contributes, and which orders one counter is made of.

use chrono::{DateTime, Utc};
use ordervault_runtime::database::snapshot;
use serde::Serialize;
use sqlx::FromRow;
use sqlx::postgres::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::CANCELLED;

/// What one order contributes to the counters: its row of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderContribution {
    /// The order's hub key.
    order_id: Uuid,
    /// The version that counts, UTC: the newest that came.
    version: DateTime<Utc>,
    /// How the order stands at that version.
    #[schema(example = "CLOSED")]
    status: String,
    /// Whether it counts; an order that is CANCELLED does not.
    counted: bool,
    /// The hub key of whoever ordered.
    user_id: Uuid,
    /// The hub key of the restaurant.
    restaurant_id: Uuid,
    /// What the restaurant is called; null where no name of it is known.
    #[schema(example = "Кофейня №1")]
    restaurant_name: Option<String>,
    /// Its dishes, each once.
    products: Vec<OrderedProduct>,
    /// Their categories, each once.
    categories: Vec<OrderedCategory>,
    /// The counters to each of which it adds one; none where it does not count.
    counters: ContributedCounters,
}

/// A dish of an order.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct OrderedProduct {
    /// Its hub key.
    product_id: Uuid,
    /// What it is called; null where no name of it is known.
    #[schema(example = "Круассан")]
    product_name: Option<String>,
}

/// A category of an order.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct OrderedCategory {
    /// Its hub key.
    category_id: Uuid,
    /// Its name; null where neither the user nor the restaurant has a counter of it.
    #[schema(example = "Выпечка")]
    category_name: Option<String>,
}

/// Counters with what they say at present.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ContributedCounters {
    /// Of the user and each dish.
    user_products: Vec<ProductCount>,
    /// Of the user and each category.
    user_categories: Vec<CategoryCount>,
    /// Of the restaurant and each category.
    restaurant_categories: Vec<CategoryCount>,
}

/// The counter of a dish.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct ProductCount {
    /// The dish's hub key.
    product_id: Uuid,
    /// What it is called.
    #[schema(example = "Круассан")]
    product_name: String,
    /// How many orders count.
    #[schema(example = 3)]
    order_cnt: i64,
}

/// The counter of a category.
#[derive(Debug, Serialize, ToSchema, FromRow)]
pub struct CategoryCount {
    /// The category's hub key.
    category_id: Uuid,
    /// Its name.
    #[schema(example = "Выпечка")]
    category_name: String,
    /// How many orders count.
    #[schema(example = 3)]
    order_cnt: i64,
}

#[derive(FromRow)]
struct LedgerRow {
    version: DateTime<Utc>,
    status: String,
    user_id: Uuid,
    restaurant_id: Uuid,
    restaurant_name: Option<String>,
    product_ids: Vec<Uuid>,
    category_ids: Vec<Uuid>,
}

/// What the order with this hub key contributes.
pub async fn of_order(pool: &PgPool, order: Uuid) -> Result<Option<OrderContribution>, sqlx::Error> {
    let mut tx = snapshot(pool).await?;
    let row = "select o.version at time zone 'UTC' as version, status, user_id, restaurant_id, n.name as restaurant_name, \
                      product_ids, category_ids \
               from cdm.order_ledger o left join cdm.names n on n.kind = 'restaurant' and n.id = restaurant_id \
               where order_id = $1";
    let Some(row) = sqlx::query_as::<_, LedgerRow>(row).bind(order).fetch_optional(&mut *tx).await? else {
        return Ok(None);
    };
    let products = "select p.id as product_id, n.name as product_name from unnest($1::uuid[]) p(id) \
                    left join cdm.names n on n.kind = 'product' and n.id = p.id order by 1";
    let products = sqlx::query_as(products).bind(&row.product_ids).fetch_all(&mut *tx).await?;
    let categories = "select c.id as category_id, coalesce(u.category_name, r.category_name) as category_name \
                      from unnest($1::uuid[]) c(id) \
                      left join cdm.user_category_counters u on u.user_id = $2 and u.category_id = c.id \
                      left join cdm.restaurant_category_counters r on r.restaurant_id = $3 and r.category_id = c.id \
                      order by 1";
    let categories = sqlx::query_as(categories)
        .bind(&row.category_ids)
        .bind(row.user_id)
        .bind(row.restaurant_id)
        .fetch_all(&mut *tx)
        .await?;
    let counted = row.status != CANCELLED;
    let counters = if counted { counters(&mut tx, &row).await? } else { ContributedCounters::default() };
    let LedgerRow { version, status, user_id, restaurant_id, restaurant_name, .. } = row;
    Ok(Some(OrderContribution {
        order_id: order,
        version,
        status,
        counted,
        user_id,
        restaurant_id,
        restaurant_name,
        products,
        categories,
        counters,
    }))
}

async fn counters(tx: &mut PgConnection, row: &LedgerRow) -> Result<ContributedCounters, sqlx::Error> {
    let user_products = "select product_id, product_name, order_cnt from cdm.user_product_counters \
                         where user_id = $1 and product_id = any($2) order by 1";
    let user_categories = "select category_id, category_name, order_cnt from cdm.user_category_counters \
                           where user_id = $1 and category_id = any($2) order by 1";
    let restaurant_categories = "select category_id, category_name, order_cnt from cdm.restaurant_category_counters \
                                 where restaurant_id = $1 and category_id = any($2) order by 1";
    let (products, categories) = (&row.product_ids, &row.category_ids);
    Ok(ContributedCounters {
        user_products: sqlx::query_as(user_products).bind(row.user_id).bind(products).fetch_all(&mut *tx).await?,
        user_categories: sqlx::query_as(user_categories).bind(row.user_id).bind(categories).fetch_all(&mut *tx).await?,
        restaurant_categories: sqlx::query_as(restaurant_categories)
            .bind(row.restaurant_id)
            .bind(categories)
            .fetch_all(&mut *tx)
            .await?,
    })
}

/// A counter by user, as it and its orders are asked for.
pub struct Counter {
    /// What it says, by its two hub keys.
    count: &'static str,
    /// Its orders after `$3`, by the same two.
    orders: &'static str,
}

/// By user and dish.
pub const USER_PRODUCT: Counter = Counter {
    count: "select order_cnt from cdm.user_product_counters where user_id = $1 and product_id = $2",
    // The user's orders are found first, by their index: in the order of the ledger's key the server would at times rather
    // read the whole of it.
    orders: "with theirs as materialized (select * from cdm.order_ledger where user_id = $1) \
             select order_id, version at time zone 'UTC' as version, status from theirs \
             where $2 = any(product_ids) and status <> $5 and ($3::uuid is null or order_id > $3) order by order_id limit $4",
};

/// By user and category.
pub const USER_CATEGORY: Counter = Counter {
    count: "select order_cnt from cdm.user_category_counters where user_id = $1 and category_id = $2",
    orders: "with theirs as materialized (select * from cdm.order_ledger where user_id = $1) \
             select order_id, version at time zone 'UTC' as version, status from theirs \
             where $2 = any(category_ids) and status <> $5 and ($3::uuid is null or order_id > $3) order by order_id limit $4",
};

/// An order that counts.
#[derive(Clone, Debug, Serialize, ToSchema, FromRow)]
pub struct CountedOrder {
    /// The order's hub key.
    pub order_id: Uuid,
    /// The version that counts, UTC: the newest that came.
    pub version: DateTime<Utc>,
    /// How the order stands at that version.
    #[schema(example = "CLOSED")]
    pub status: String,
}

impl Counter {
    /// What the counter of these two says, and those of its orders that come after `after`, by their hub keys, at most `most`.
    pub async fn orders(
        &self,
        pool: &PgPool,
        (user, other): (Uuid, Uuid),
        after: Option<Uuid>,
        most: i64,
    ) -> Result<Option<(i64, Vec<CountedOrder>)>, sqlx::Error> {
        let mut tx = snapshot(pool).await?;
        let count: Option<i64> = sqlx::query_scalar(self.count).bind(user).bind(other).fetch_optional(&mut *tx).await?;
        let Some(count) = count else { return Ok(None) };
        let orders = sqlx::query_as(self.orders)
            .bind(user)
            .bind(other)
            .bind(after)
            .bind(most)
            .bind(CANCELLED)
            .fetch_all(&mut *tx)
            .await?;
        Ok(Some((count, orders)))
    }
}
