//! `stg.order_events`: the newest version of each order, as it came.

use std::collections::BTreeMap;

use ordervault_contracts::source_order::OBJECT_TYPE;
use ordervault_runtime::fault::StoreError;
use sqlx::postgres::PgConnection;

use crate::domain::Order;

/// Writes a batch. Of equal versions the record processed later wins.
pub async fn apply(tx: &mut PgConnection, orders: &[&Order]) -> Result<(), StoreError> {
    let mut newest: BTreeMap<i64, &Order> = BTreeMap::new();
    for order in orders {
        let held = newest.entry(order.message.object_id).or_insert(order);
        if held.version <= order.version {
            *held = order;
        }
    }
    sqlx::query(
        "insert into stg.order_events as e (object_id, object_type, sent_dttm, payload, version) \
         select id, $5, sent, payload::json, version \
         from unnest($1::bigint[], $2::timestamp[], $3::text[], $4::timestamp[]) r(id, sent, payload, version) \
         on conflict (object_id) do update \
         set object_type = excluded.object_type, sent_dttm = excluded.sent_dttm, payload = excluded.payload, \
             version = excluded.version \
         where coalesce(e.version, e.sent_dttm) <= excluded.version",
    )
    .bind(newest.keys().copied().collect::<Vec<_>>())
    .bind(newest.values().map(|order| order.sent).collect::<Vec<_>>())
    .bind(newest.values().map(|order| order.payload.as_str()).collect::<Vec<_>>())
    .bind(newest.values().map(|order| order.version).collect::<Vec<_>>())
    .bind(OBJECT_TYPE)
    .execute(tx)
    .await?;
    Ok(())
}
