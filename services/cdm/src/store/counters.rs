//! The three counters, hottest last.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::Differences;

/// Adds what a batch changes.
pub(super) async fn add(
    tx: &mut PgConnection,
    differences: &Differences,
    categories: &BTreeMap<Uuid, &str>,
) -> Result<(), sqlx::Error> {
    add_to(
        tx,
        &differences.user_product,
        categories,
        "insert into cdm.user_product_counters as c (user_id, product_id, product_name, order_cnt) \
         select a, b, n.name, greatest(d, 0) from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[]) r(a, b, d, category) \
         join cdm.names n on n.id = b order by a, b \
         on conflict (user_id, product_id) do update set order_cnt = c.order_cnt + excluded.order_cnt",
        "update cdm.user_product_counters c set order_cnt = greatest(c.order_cnt + d, 0) \
         from unnest($1::uuid[], $2::uuid[], $3::bigint[]) r(a, b, d) where user_id = a and product_id = b",
    )
    .await?;
    add_to(
        tx,
        &differences.user_category,
        categories,
        "insert into cdm.user_category_counters as c (user_id, category_id, category_name, order_cnt) \
         select a, b, category, greatest(d, 0) from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[]) r(a, b, d, category) \
         where category is not null order by a, b \
         on conflict (user_id, category_id) do update set order_cnt = c.order_cnt + excluded.order_cnt",
        "update cdm.user_category_counters c set order_cnt = greatest(c.order_cnt + d, 0) \
         from unnest($1::uuid[], $2::uuid[], $3::bigint[]) r(a, b, d) where user_id = a and category_id = b",
    )
    .await?;
    add_to(
        tx,
        &differences.restaurant_category,
        categories,
        "insert into cdm.restaurant_category_counters as c (restaurant_id, restaurant_name, category_id, category_name, order_cnt) \
         select a, n.name, b, category, greatest(d, 0) from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[]) r(a, b, d, category) \
         join cdm.names n on n.id = a where category is not null order by a, b \
         on conflict (restaurant_id, category_id) do update set order_cnt = c.order_cnt + excluded.order_cnt",
        "update cdm.restaurant_category_counters c set order_cnt = greatest(c.order_cnt + d, 0) \
         from unnest($1::uuid[], $2::uuid[], $3::bigint[]) r(a, b, d) where restaurant_id = a and category_id = b",
    )
    .await
}

/// Adds differences: first all keys in their order, so that every row of the batch is there and locked, then what is
/// to be taken off. A category that only leaves orders has no name in the batch, and its row is there already.
async fn add_to(
    tx: &mut PgConnection,
    differences: &BTreeMap<(Uuid, Uuid), i64>,
    categories: &BTreeMap<Uuid, &str>,
    insert: &'static str,
    take_off: &'static str,
) -> Result<(), sqlx::Error> {
    if differences.is_empty() {
        return Ok(());
    }
    sqlx::query(insert)
        .bind(differences.keys().map(|key| key.0).collect::<Vec<_>>())
        .bind(differences.keys().map(|key| key.1).collect::<Vec<_>>())
        .bind(differences.values().copied().collect::<Vec<_>>())
        .bind(differences.keys().map(|key| categories.get(&key.1).copied()).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
    let less: Vec<(&(Uuid, Uuid), &i64)> = differences.iter().filter(|(_, difference)| **difference < 0).collect();
    if less.is_empty() {
        return Ok(());
    }
    // A counter that somebody has changed by hand must not stop its orders: it stays at zero, and the recount shows it.
    sqlx::query(take_off)
        .bind(less.iter().map(|(key, _)| key.0).collect::<Vec<_>>())
        .bind(less.iter().map(|(key, _)| key.1).collect::<Vec<_>>())
        .bind(less.iter().map(|(_, difference)| **difference).collect::<Vec<_>>())
        .execute(tx)
        .await
        .map(|_| ())
}

/// Gives every counter of a renamed dish or restaurant its new name.
pub(super) async fn rename(tx: &mut PgConnection, renamed: &[Uuid]) -> Result<(), sqlx::Error> {
    if renamed.is_empty() {
        return Ok(());
    }
    for sql in [
        "update cdm.user_product_counters c set product_name = n.name from cdm.names n \
         where c.product_id = any($1) and n.id = c.product_id and c.product_name <> n.name",
        "update cdm.restaurant_category_counters c set restaurant_name = n.name from cdm.names n \
         where c.restaurant_id = any($1) and n.id = c.restaurant_id and c.restaurant_name <> n.name",
    ] {
        sqlx::query(sql).bind(renamed).execute(&mut *tx).await?;
    }
    Ok(())
}
