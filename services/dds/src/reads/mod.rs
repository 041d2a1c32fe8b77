//! What the vault says of one order, read from one state of it.

use std::collections::BTreeMap;

use ordervault_runtime::database::Requests;
use sqlx::FromRow;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

mod answer;

pub use answer::OrderHistory;
use answer::{
    CategoryHub, CostRow, Current, CurrentProduct, CurrentRestaurant, CurrentUser, NameRow, OrderHub, ProductHub,
    RestaurantHub, SoldBy, StatusRow, UserHub, UserNameRow,
};

/// All of the order with this hub key.
pub async fn order(database: &Requests, key: Uuid) -> Result<Option<OrderHistory>, sqlx::Error> {
    let mut tx = database.snapshot().await?;
    let hub = "select h_order_pk as hub_key, order_id, order_dt at time zone 'UTC' as order_dt, \
                      load_dt at time zone 'UTC' as load_dt, load_src \
               from dds.h_order where h_order_pk = $1";
    let Some(order) = sqlx::query_as::<_, OrderHub>(hub).bind(key).fetch_optional(&mut *tx).await? else {
        return Ok(None);
    };
    let statuses = "select status, effective_dt at time zone 'UTC' as effective_dt, load_dt at time zone 'UTC' as load_dt, \
                           load_src \
                    from dds.s_order_status s where h_order_pk = $1 order by s.effective_dt desc, s.load_dt desc";
    let costs = "select cost::text, payment::text, effective_dt at time zone 'UTC' as effective_dt, \
                        load_dt at time zone 'UTC' as load_dt, load_src \
                 from dds.s_order_cost s where h_order_pk = $1 order by s.effective_dt desc, s.load_dt desc";
    let statuses: Vec<StatusRow> = sqlx::query_as(statuses).bind(key).fetch_all(&mut *tx).await?;
    let costs: Vec<CostRow> = sqlx::query_as(costs).bind(key).fetch_all(&mut *tx).await?;
    let users = users(&mut tx, key).await?;
    let products = products(&mut tx, key).await?;
    let restaurants = restaurants(&mut tx, &products).await?;
    let current = current(&statuses, &costs, &users, &products, &restaurants);
    Ok(Some(OrderHistory { order, current, statuses, costs, users, products, restaurants }))
}

async fn users(tx: &mut PgConnection, order: Uuid) -> Result<Vec<UserHub>, sqlx::Error> {
    let users = "select h.h_user_pk as hub_key, h.user_id, h.load_dt at time zone 'UTC' as load_dt, h.load_src, \
                        l.hk_order_user_pk as link_key, l.load_dt at time zone 'UTC' as link_load_dt, \
                        l.load_src as link_load_src \
                 from dds.l_order_user l join dds.h_user h using (h_user_pk) where l.h_order_pk = $1 order by h.user_id";
    let mut users: Vec<UserHub> = sqlx::query_as(users).bind(order).fetch_all(&mut *tx).await?;
    let names = "select h_user_pk as hub, username, userlogin, effective_dt at time zone 'UTC' as effective_dt, \
                        load_dt at time zone 'UTC' as load_dt, load_src \
                 from dds.s_user_names s where h_user_pk = any($1) order by s.effective_dt desc, s.load_dt desc";
    let mut names = of_hubs::<UserNameRow>(tx, names, users.iter().map(|user| user.hub_key)).await?;
    for user in &mut users {
        user.names = names.remove(&user.hub_key).unwrap_or_default();
    }
    Ok(users)
}

async fn products(tx: &mut PgConnection, order: Uuid) -> Result<Vec<ProductHub>, sqlx::Error> {
    let products = "select h.h_product_pk as hub_key, h.product_id, h.load_dt at time zone 'UTC' as load_dt, h.load_src, \
                           l.hk_order_product_pk as link_key, l.load_dt at time zone 'UTC' as link_load_dt, \
                           l.load_src as link_load_src \
                    from dds.l_order_product l join dds.h_product h using (h_product_pk) \
                    where l.h_order_pk = $1 order by h.product_id";
    let mut products: Vec<ProductHub> = sqlx::query_as(products).bind(order).fetch_all(&mut *tx).await?;
    let keys = || products.iter().map(|product| product.hub_key);
    let names = "select h_product_pk as hub, name, effective_dt at time zone 'UTC' as effective_dt, \
                        load_dt at time zone 'UTC' as load_dt, load_src \
                 from dds.s_product_names s where h_product_pk = any($1) order by s.effective_dt desc, s.load_dt desc";
    let mut names = of_hubs::<NameRow>(tx, names, keys()).await?;
    let categories = "select l.h_product_pk as hub, h.h_category_pk as hub_key, h.category_name, \
                             h.load_dt at time zone 'UTC' as load_dt, h.load_src, l.hk_product_category_pk as link_key, \
                             l.load_dt at time zone 'UTC' as link_load_dt, l.load_src as link_load_src \
                      from dds.l_product_category l join dds.h_category h using (h_category_pk) \
                      where l.h_product_pk = any($1) order by h.category_name";
    let mut categories = of_hubs::<CategoryHub>(tx, categories, keys()).await?;
    let sold_by = "select l.h_product_pk as hub, l.h_restaurant_pk as hub_key, l.hk_product_restaurant_pk as link_key, \
                          l.load_dt at time zone 'UTC' as link_load_dt, l.load_src as link_load_src \
                   from dds.l_product_restaurant l join dds.h_restaurant h using (h_restaurant_pk) \
                   where l.h_product_pk = any($1) order by h.restaurant_id";
    let mut sold_by = of_hubs::<SoldBy>(tx, sold_by, keys()).await?;
    for product in &mut products {
        product.names = names.remove(&product.hub_key).unwrap_or_default();
        product.categories = categories.remove(&product.hub_key).unwrap_or_default();
        product.restaurants = sold_by.remove(&product.hub_key).unwrap_or_default();
    }
    Ok(products)
}

async fn restaurants(tx: &mut PgConnection, products: &[ProductHub]) -> Result<Vec<RestaurantHub>, sqlx::Error> {
    let restaurants = "select h_restaurant_pk as hub_key, restaurant_id, load_dt at time zone 'UTC' as load_dt, load_src \
                       from dds.h_restaurant where h_restaurant_pk = any($1) order by restaurant_id";
    let keys: Vec<Uuid> =
        products.iter().flat_map(|product| &product.restaurants).map(|sold_by| sold_by.hub_key).collect();
    let mut restaurants: Vec<RestaurantHub> = sqlx::query_as(restaurants).bind(&keys).fetch_all(&mut *tx).await?;
    let names = "select h_restaurant_pk as hub, name, effective_dt at time zone 'UTC' as effective_dt, \
                        load_dt at time zone 'UTC' as load_dt, load_src \
                 from dds.s_restaurant_names s where h_restaurant_pk = any($1) \
                 order by s.effective_dt desc, s.load_dt desc";
    let mut names = of_hubs::<NameRow>(tx, names, keys.into_iter()).await?;
    for restaurant in &mut restaurants {
        restaurant.names = names.remove(&restaurant.hub_key).unwrap_or_default();
    }
    Ok(restaurants)
}

/// A row that hangs on a hub.
#[derive(FromRow)]
struct Of<T> {
    hub: Uuid,
    #[sqlx(flatten)]
    row: T,
}

/// What hangs on each of these hubs, in the order of the rows.
async fn of_hubs<T>(
    tx: &mut PgConnection,
    sql: &'static str,
    hubs: impl Iterator<Item = Uuid>,
) -> Result<BTreeMap<Uuid, Vec<T>>, sqlx::Error>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let rows: Vec<Of<T>> = sqlx::query_as(sql).bind(hubs.collect::<Vec<_>>()).fetch_all(tx).await?;
    let mut by_hub: BTreeMap<Uuid, Vec<T>> = BTreeMap::new();
    for Of { hub, row } in rows {
        by_hub.entry(hub).or_default().push(row);
    }
    Ok(by_hub)
}

/// The first row of each satellite: they stand in the order that makes it the current one.
fn current(
    statuses: &[StatusRow],
    costs: &[CostRow],
    users: &[UserHub],
    products: &[ProductHub],
    restaurants: &[RestaurantHub],
) -> Current {
    let name = |names: &[NameRow]| names.first().map(|row| row.name.clone());
    let user = |user: &UserHub| CurrentUser {
        user_id: user.user_id.clone(),
        username: user.names.first().map(|row| row.username.clone()),
        userlogin: user.names.first().map(|row| row.userlogin.clone()),
    };
    let product =
        |product: &ProductHub| CurrentProduct { product_id: product.product_id.clone(), name: name(&product.names) };
    let restaurant = |restaurant: &RestaurantHub| CurrentRestaurant {
        restaurant_id: restaurant.restaurant_id.clone(),
        name: name(&restaurant.names),
    };
    Current {
        status: statuses.first().map(|row| row.status.clone()),
        cost: costs.first().map(|row| row.cost.clone()),
        payment: costs.first().map(|row| row.payment.clone()),
        users: users.iter().map(user).collect(),
        products: products.iter().map(product).collect(),
        restaurants: restaurants.iter().map(restaurant).collect(),
    }
}
