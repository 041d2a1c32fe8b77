//! The three counters, hottest last.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::names::Key;
use crate::domain::{Differences, Kind};

/// The statements of one counter, over the lists of its two ids, the differences and the categories' names.
struct Counter {
    /// Adds, makes the rows that are not there, and locks those that are taken off from, all in one pass in key order. With
    /// a pass for the rows that are there and another for those that are not, two batches could each wait for the other.
    add: &'static str,
    /// Reads the names of categories that only leave orders: the batch does not say them, and their rows do. It is asked by
    /// itself, since within `add` a plan that was made for a small table would read all of it for each of them.
    leaving: Option<&'static str>,
    /// Takes off. A counter that somebody has changed by hand must not stop its orders: it stays at zero, and a recount
    /// shows it.
    take_off: &'static str,
}

const USER_PRODUCT: Counter = Counter {
    add: "insert into cdm.user_product_counters as c (user_id, product_id, product_name, order_cnt) \
          select a, b, n.name, greatest(d, 0) \
          from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[]) r(a, b, d, category) \
          join cdm.names n on n.kind = 'product' and n.id = b order by a, b \
          on conflict (user_id, product_id) do update \
          set order_cnt = c.order_cnt + excluded.order_cnt",
    leaving: None,
    take_off: "update cdm.user_product_counters set order_cnt = greatest(order_cnt + d, 0) \
               from unnest($1::uuid[], $2::uuid[], $3::bigint[]) r(a, b, d) where user_id = a and product_id = b",
};

const USER_CATEGORY: Counter = Counter {
    add: "insert into cdm.user_category_counters as c (user_id, category_id, category_name, order_cnt) \
          select a, b, category, greatest(d, 0) \
          from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[]) r(a, b, d, category) \
          where category is not null order by a, b \
          on conflict (user_id, category_id) do update \
          set order_cnt = c.order_cnt + excluded.order_cnt",
    leaving: Some(
        "select a, b, category_name from unnest($1::uuid[], $2::uuid[]) r(a, b) \
         join cdm.user_category_counters on user_id = a and category_id = b",
    ),
    take_off: "update cdm.user_category_counters set order_cnt = greatest(order_cnt + d, 0) \
               from unnest($1::uuid[], $2::uuid[], $3::bigint[]) r(a, b, d) where user_id = a and category_id = b",
};

const RESTAURANT_CATEGORY: Counter = Counter {
    add: "insert into cdm.restaurant_category_counters as c \
              (restaurant_id, restaurant_name, category_id, category_name, order_cnt) \
          select a, n.name, b, category, greatest(d, 0) \
          from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[]) r(a, b, d, category) \
          join cdm.names n on n.kind = 'restaurant' and n.id = a where category is not null order by a, b \
          on conflict (restaurant_id, category_id) do update \
          set order_cnt = c.order_cnt + excluded.order_cnt",
    leaving: Some(
        "select a, b, category_name from unnest($1::uuid[], $2::uuid[]) r(a, b) \
         join cdm.restaurant_category_counters on restaurant_id = a and category_id = b",
    ),
    take_off: "update cdm.restaurant_category_counters set order_cnt = greatest(order_cnt + d, 0) \
               from unnest($1::uuid[], $2::uuid[], $3::bigint[]) r(a, b, d) \
               where restaurant_id = a and category_id = b",
};

/// Adds what a batch changes.
pub(super) async fn add(
    tx: &mut PgConnection,
    differences: &Differences,
    categories: &BTreeMap<Uuid, &str>,
) -> Result<(), sqlx::Error> {
    USER_PRODUCT.change(tx, &differences.user_product, categories).await?;
    USER_CATEGORY.change(tx, &differences.user_category, categories).await?;
    RESTAURANT_CATEGORY.change(tx, &differences.restaurant_category, categories).await
}

impl Counter {
    async fn change(
        &self,
        tx: &mut PgConnection,
        differences: &BTreeMap<(Uuid, Uuid), i64>,
        categories: &BTreeMap<Uuid, &str>,
    ) -> Result<(), sqlx::Error> {
        if differences.is_empty() {
            return Ok(());
        }
        let held = self.names_of_leaving(tx, differences, categories).await?;
        let name = |key: &(Uuid, Uuid)| categories.get(&key.1).copied().or_else(|| held.get(key).map(String::as_str));
        let names: Vec<Option<&str>> = differences.keys().map(name).collect();
        let (one, other): (Vec<Uuid>, Vec<Uuid>) = differences.keys().copied().unzip();
        let less: Vec<(&(Uuid, Uuid), &i64)> = differences.iter().filter(|(_, difference)| **difference < 0).collect();
        sqlx::query(self.add)
            .bind(one)
            .bind(other)
            .bind(differences.values().copied().collect::<Vec<_>>())
            .bind(names)
            .execute(&mut *tx)
            .await?;
        if !less.is_empty() {
            sqlx::query(self.take_off)
                .bind(less.iter().map(|(key, _)| key.0).collect::<Vec<_>>())
                .bind(less.iter().map(|(key, _)| key.1).collect::<Vec<_>>())
                .bind(less.iter().map(|(_, difference)| **difference).collect::<Vec<_>>())
                .execute(tx)
                .await?;
        }
        Ok(())
    }

    async fn names_of_leaving(
        &self,
        tx: &mut PgConnection,
        differences: &BTreeMap<(Uuid, Uuid), i64>,
        categories: &BTreeMap<Uuid, &str>,
    ) -> Result<BTreeMap<(Uuid, Uuid), String>, sqlx::Error> {
        let (one, other): (Vec<Uuid>, Vec<Uuid>) =
            differences.keys().filter(|key| !categories.contains_key(&key.1)).copied().unzip();
        let Some(sql) = self.leaving.filter(|_| !one.is_empty()) else { return Ok(BTreeMap::new()) };
        let rows: Vec<(Uuid, Uuid, String)> = sqlx::query_as(sql).bind(one).bind(other).fetch_all(tx).await?;
        Ok(rows.into_iter().map(|(one, other, name)| ((one, other), name)).collect())
    }
}

/// Gives every counter of a renamed dish or restaurant its new name.
pub(super) async fn rename(tx: &mut PgConnection, renamed: &[Key]) -> Result<(), sqlx::Error> {
    for (kind, sql) in [
        (
            Kind::Product,
            "update cdm.user_product_counters c set product_name = n.name \
             from cdm.names n \
             where c.product_id = any($1) and n.kind = 'product' and n.id = c.product_id and c.product_name <> n.name",
        ),
        (
            Kind::Restaurant,
            "update cdm.restaurant_category_counters c set restaurant_name = n.name \
             from cdm.names n \
             where c.restaurant_id = any($1) and n.kind = 'restaurant' and n.id = c.restaurant_id \
                 and c.restaurant_name <> n.name",
        ),
    ] {
        let ids: Vec<Uuid> = renamed.iter().filter(|key| key.0 == kind).map(|key| key.1).collect();
        if !ids.is_empty() {
            sqlx::query(sql).bind(ids).execute(&mut *tx).await?;
        }
    }
    Ok(())
}
