//! `stg.order_events`: the newest version of each order, as it came.

use std::collections::BTreeMap;

use ordervault_contracts::source_order::OBJECT_TYPE;
use ordervault_runtime::fault::StoreError;
use sqlx::postgres::PgConnection;

use crate::domain::Order;

/// Rows of one statement. Each connection keeps a buffer as large as the largest statement that it ever sent, and the
/// payloads make these rows large.
const ROWS_AT_ONCE: usize = 500;

/// Writes a batch. Of equal versions the record processed later wins.
pub async fn apply(tx: &mut PgConnection, orders: &[&Order]) -> Result<(), StoreError> {
    let mut newest: BTreeMap<i64, &Order> = BTreeMap::new();
    for order in orders {
        let held = newest.entry(order.message.object_id).or_insert(order);
        if held.version <= order.version {
            *held = order;
        }
    }
    let newest: Vec<(i64, &Order)> = newest.into_iter().collect();
    for rows in newest.chunks(ROWS_AT_ONCE) {
        write(tx, rows).await?;
    }
    Ok(())
}

async fn write(tx: &mut PgConnection, rows: &[(i64, &Order)]) -> Result<(), StoreError> {
    sqlx::query(
        "insert into stg.order_events as e (object_id, object_type, sent_dttm, payload, version) \
         select id, $5, sent, payload::json, version \
         from unnest($1::bigint[], $2::timestamp[], $3::text[], $4::timestamp[]) r(id, sent, payload, version) \
         on conflict (object_id) do update \
         set object_type = excluded.object_type, sent_dttm = excluded.sent_dttm, payload = excluded.payload, \
             version = excluded.version \
         where coalesce(e.version, e.sent_dttm) <= excluded.version",
    )
    .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.sent).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.payload_text()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.version).collect::<Vec<_>>())
    .bind(OBJECT_TYPE)
    .execute(tx)
    .await?;
    Ok(())
}
