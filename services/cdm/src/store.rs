//! The ledger, the names and the counters: rows in key order, the hottest counters last.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use ordervault_runtime::fault::StoreError;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::{Contribution, Differences, Name, Order};

/// Held shared by every batch, and alone by one that renames: such a batch rewrites counters of other batches' keys.
const NAMES_LOCK: i64 = 0x6f76_6e61_6d65;

/// Writes a batch: compares the ledger with the new versions and adds the difference to the counters.
pub async fn apply(tx: &mut PgConnection, orders: &[&Order]) -> Result<(), StoreError> {
    let renamed = write_names(tx, &newest_names(orders)).await?;
    let newest = newest_versions(orders);
    let ids: Vec<Uuid> = newest.keys().copied().collect();
    let held = read_ledger(tx, &ids).await?;

    let mut differences = Differences::default();
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for (id, contribution) in newest {
        match held.get(&id) {
            // Equal versions: the record processed later wins.
            Some(old) if old.version <= contribution.version => {
                differences.replace(Some(old), contribution);
                if old != contribution {
                    changed.push((id, contribution));
                }
            }
            Some(_) => {}
            None => {
                differences.replace(None, contribution);
                new.push((id, contribution));
            }
        }
    }
    differences.settle();
    if insert_ledger(tx, &new).await? < new.len() as u64 {
        return Err(StoreError::Raced("an order of this batch"));
    }
    update_ledger(tx, &changed).await?;

    let categories: BTreeMap<Uuid, &str> =
        orders.iter().flat_map(|order| &order.categories).map(|(id, name)| (*id, name.as_str())).collect();
    write_counters(tx, &differences, &categories).await?;
    rename_counters(tx, &renamed).await?;
    Ok(())
}

/// Of each order the newest version in the batch; of equal ones the later.
fn newest_versions<'o>(orders: &[&'o Order]) -> BTreeMap<Uuid, &'o Contribution> {
    let mut newest: BTreeMap<Uuid, &Contribution> = BTreeMap::new();
    for order in orders {
        let held = newest.entry(order.id).or_insert(&order.contribution);
        if held.version <= order.contribution.version {
            *held = &order.contribution;
        }
    }
    newest
}

/// Of each dish and restaurant the newest name in the batch; of equal versions the later.
fn newest_names<'o>(orders: &[&'o Order]) -> BTreeMap<Uuid, &'o Name> {
    let mut newest: BTreeMap<Uuid, &Name> = BTreeMap::new();
    for (id, name) in orders.iter().flat_map(|order| &order.names) {
        let held = newest.entry(*id).or_insert(name);
        if held.version <= name.version {
            *held = name;
        }
    }
    newest
}

/// Keeps the newest name of each; returns those that are called otherwise than before.
async fn write_names(tx: &mut PgConnection, names: &BTreeMap<Uuid, &Name>) -> Result<Vec<Uuid>, StoreError> {
    let ids: Vec<Uuid> = names.keys().copied().collect();
    let texts: Vec<&str> = names.values().map(|name| name.name.as_str()).collect();
    let versions: Vec<NaiveDateTime> = names.values().map(|name| name.version).collect();
    let expected: bool = sqlx::query_scalar(
        "select exists (select from unnest($1::uuid[], $2::text[], $3::timestamp[]) r(id, name, version) \
         join cdm.names n using (id) where n.version <= r.version and n.name <> r.name)",
    )
    .bind(&ids)
    .bind(&texts)
    .bind(&versions)
    .fetch_one(&mut *tx)
    .await?;
    let lock = if expected { "select pg_advisory_xact_lock($1)" } else { "select pg_advisory_xact_lock_shared($1)" };
    sqlx::query(lock).bind(NAMES_LOCK).execute(&mut *tx).await?;
    // Rows that are known and as new are left out beforehand: a conflict would lock them, and they are hot.
    let renamed: Vec<Uuid> = sqlx::query_scalar(
        "with incoming as (select * from unnest($1::uuid[], $2::text[], $3::timestamp[]) r(id, name, version)), \
              before as (select n.id, n.name from cdm.names n join incoming using (id)), \
              written as (insert into cdm.names as n (id, name, version) \
                  select id, name, version from incoming i where not exists (select from cdm.names k where k.id = i.id \
                      and (k.version > i.version or (k.version = i.version and k.name = i.name))) \
                  order by id \
                  on conflict (id) do update set name = excluded.name, version = excluded.version \
                      where n.version <= excluded.version \
                  returning n.id, n.name, (n.xmax <> 0) as updated) \
         select w.id from written w left join before b using (id) where w.updated and b.name is distinct from w.name",
    )
    .bind(&ids)
    .bind(&texts)
    .bind(&versions)
    .fetch_all(&mut *tx)
    .await?;
    if !renamed.is_empty() && !expected {
        return Err(StoreError::Raced("a name of this batch"));
    }
    Ok(renamed)
}

type LedgerRow = (Uuid, NaiveDateTime, String, Uuid, Uuid, Vec<Uuid>, Vec<Uuid>);

async fn read_ledger(tx: &mut PgConnection, ids: &[Uuid]) -> Result<BTreeMap<Uuid, Contribution>, sqlx::Error> {
    let rows: Vec<LedgerRow> = sqlx::query_as(
        "select order_id, version, status, user_id, restaurant_id, product_ids, category_ids \
         from cdm.order_ledger where order_id = any($1) order by order_id for update",
    )
    .bind(ids)
    .fetch_all(tx)
    .await?;
    let contribution = |(id, version, status, user, restaurant, products, categories): LedgerRow| {
        let (products, categories) = (products.into_iter().collect(), categories.into_iter().collect());
        (id, Contribution { version, status, user, restaurant, products, categories })
    };
    Ok(rows.into_iter().map(contribution).collect())
}

async fn insert_ledger(tx: &mut PgConnection, rows: &[(Uuid, &Contribution)]) -> Result<u64, sqlx::Error> {
    write_ledger(
        tx,
        "insert into cdm.order_ledger (order_id, version, status, user_id, restaurant_id, product_ids, category_ids) \
         select id, version, status, u, r, products::uuid[], categories::uuid[] \
         from unnest($1::uuid[], $2::timestamp[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::text[]) \
             l(id, version, status, u, r, products, categories) on conflict do nothing",
        rows,
    )
    .await
}

async fn update_ledger(tx: &mut PgConnection, rows: &[(Uuid, &Contribution)]) -> Result<u64, sqlx::Error> {
    write_ledger(
        tx,
        "update cdm.order_ledger o set version = l.version, status = l.status, user_id = l.u, restaurant_id = l.r, \
             product_ids = l.products::uuid[], category_ids = l.categories::uuid[] \
         from unnest($1::uuid[], $2::timestamp[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::text[]) \
             l(id, version, status, u, r, products, categories) where o.order_id = l.id",
        rows,
    )
    .await
}

/// A list of lists must be a rectangle in PostgreSQL, so each order's ids travel as the text of an array.
async fn write_ledger(
    tx: &mut PgConnection,
    sql: &'static str,
    rows: &[(Uuid, &Contribution)],
) -> Result<u64, sqlx::Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    let text = |ids: &std::collections::BTreeSet<Uuid>| {
        let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
        format!("{{{}}}", ids.join(","))
    };
    let done = sqlx::query(sql)
        .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.1.version).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.1.status.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.1.user).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.1.restaurant).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| text(&row.1.products)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| text(&row.1.categories)).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(done.rows_affected())
}

async fn write_counters(
    tx: &mut PgConnection,
    differences: &Differences,
    categories: &BTreeMap<Uuid, &str>,
) -> Result<(), sqlx::Error> {
    add(
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
    add(
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
    add(
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
async fn add(
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
async fn rename_counters(tx: &mut PgConnection, renamed: &[Uuid]) -> Result<(), sqlx::Error> {
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
