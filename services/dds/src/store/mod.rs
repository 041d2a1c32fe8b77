//! The vault's tables: one statement a table, set-based, in key order.
//!
//! Rows are only ever inserted; on conflict nothing happens, but for a satellite's `effective_dt`, which moves
//! forward. Rows that many orders share are committed beforehand, on their own: they are few and hot, and a batch that
//! held them through its whole transaction would have every other wait for it. A hub that no order refers to yet is
//! nothing that a vault minds.

use chrono::{Duration, NaiveDateTime};
use ordervault_runtime::fault::StoreError;
use sqlx::postgres::{PgConnection, PgPool};

mod rows;
mod dimensions;
mod orders;

use crate::domain::Order;
use dimensions::Dimensions;
use orders::Orders;

/// Writes what the batch shares with others, and commits it.
pub async fn prepare(pool: &PgPool, orders: &[&Order]) -> Result<(), StoreError> {
    let mut tx = pool.begin().await?;
    let loaded = clock(&mut tx).await?;
    let mut dimensions = Dimensions::default();
    for (place, order) in orders.iter().enumerate() {
        dimensions.add(order, loaded_at(loaded, place));
    }
    dimensions.write(&mut tx, loaded).await?;
    tx.commit().await.map_err(StoreError::from)
}

/// Writes the rows of the batch's own orders.
pub async fn apply(tx: &mut PgConnection, orders: &[&Order]) -> Result<(), StoreError> {
    let loaded = clock(tx).await?;
    let mut rows = Orders::default();
    for (place, order) in orders.iter().enumerate() {
        rows.add(order, loaded_at(loaded, place));
    }
    rows.write(tx, loaded).await.map_err(StoreError::from)
}

/// The server's clock: those of the replicas may differ, and by it an audit tells what is fresh.
async fn clock(tx: &mut PgConnection) -> Result<NaiveDateTime, sqlx::Error> {
    sqlx::query_scalar("select clock_timestamp() at time zone 'utc'").fetch_one(tx).await
}

/// Of two rows with the same version the one processed later is current, also within a batch.
fn loaded_at(loaded: NaiveDateTime, place: usize) -> NaiveDateTime {
    loaded + Duration::microseconds(i64::try_from(place).unwrap_or(i64::MAX))
}
