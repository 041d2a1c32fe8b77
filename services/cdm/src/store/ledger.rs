//! `cdm.order_ledger`: what each order contributes, and at which version.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::Contribution;

type LedgerRow = (Uuid, NaiveDateTime, String, Uuid, Uuid, Vec<Uuid>, Vec<Uuid>);

/// The rows of these orders, locked.
pub(super) async fn read(tx: &mut PgConnection, ids: &[Uuid]) -> Result<BTreeMap<Uuid, Contribution>, sqlx::Error> {
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

/// Adds rows; says how many were not there.
pub(super) async fn insert(tx: &mut PgConnection, rows: &[(Uuid, &Contribution)]) -> Result<u64, sqlx::Error> {
    write(
        tx,
        "insert into cdm.order_ledger (order_id, version, status, user_id, restaurant_id, product_ids, category_ids) \
         select id, version, status, u, r, products::uuid[], categories::uuid[] \
         from unnest($1::uuid[], $2::timestamp[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::text[]) \
             l(id, version, status, u, r, products, categories) on conflict do nothing",
        rows,
    )
    .await
}

/// Replaces rows.
pub(super) async fn update(tx: &mut PgConnection, rows: &[(Uuid, &Contribution)]) -> Result<u64, sqlx::Error> {
    write(
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
async fn write(tx: &mut PgConnection, sql: &'static str, rows: &[(Uuid, &Contribution)]) -> Result<u64, sqlx::Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    let text = |ids: &BTreeSet<Uuid>| {
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
