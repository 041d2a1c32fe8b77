//! Rows of the orders' own: the order, its lines, its user, what it cost, how it stands.

use std::borrow::Cow;

use chrono::NaiveDateTime;
use ordervault_contracts::keys::key;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::rows::{LOAD_SRC, Rows, Satellite, merge, write_link, write_pair_satellite, write_satellite};
use crate::domain::Order;

/// A batch's own rows.
#[derive(Default)]
pub(super) struct Orders<'o> {
    hubs: Rows<(i64, NaiveDateTime)>,
    users: Rows<(Uuid, Uuid)>,
    products: Rows<(Uuid, Uuid)>,
    statuses: Rows<Satellite<&'o str>>,
    costs: Rows<Satellite<(Cow<'o, str>, Cow<'o, str>)>>,
}

impl<'o> Orders<'o> {
    pub(super) fn add(&mut self, order: &'o Order, loaded: NaiveDateTime) {
        let payload = &order.message.payload;
        let (keys, id) = (order.keys, payload.id.to_string());
        self.hubs.entry(keys.order).or_insert((payload.id, payload.date.0));
        self.users.entry(key(&[&id, &payload.user.id])).or_insert((keys.order, keys.user));
        for (line, line_keys) in payload.products.iter().zip(&order.lines) {
            self.products.entry(key(&[&id, &line.id])).or_insert((keys.order, line_keys.product));
        }
        let effective = order.version;
        let status = Satellite { hub: keys.order, attributes: payload.status.as_str(), effective, loaded };
        merge(&mut self.statuses, key(&[&id, &payload.status]), status);
        let amounts = (payload.cost.as_decimal(), payload.payment.as_decimal());
        let (cost, payment) = (payload.cost.as_python_prints(), payload.payment.as_python_prints());
        let amounts = Satellite { hub: keys.order, attributes: amounts, effective, loaded };
        merge(&mut self.costs, key(&[&id, &cost, &payment]), amounts);
    }

    pub(super) async fn write(&self, tx: &mut PgConnection, loaded: NaiveDateTime) -> Result<(), sqlx::Error> {
        sqlx::query(
            "insert into dds.h_order (h_order_pk, order_id, order_dt, load_dt, load_src) \
             select pk, id, dt, $4, $5 from unnest($1::uuid[], $2::bigint[], $3::timestamp[]) r(pk, id, dt) \
             on conflict do nothing",
        )
        .bind(self.hubs.keys().copied().collect::<Vec<_>>())
        .bind(self.hubs.values().map(|order| order.0).collect::<Vec<_>>())
        .bind(self.hubs.values().map(|order| order.1).collect::<Vec<_>>())
        .bind(loaded)
        .bind(LOAD_SRC)
        .execute(&mut *tx)
        .await?;

        let link = "insert into dds.l_order_user (hk_order_user_pk, h_order_pk, h_user_pk, load_dt, load_src) \
                    select pk, a, b, $4, $5 from unnest($1::uuid[], $2::uuid[], $3::uuid[]) r(pk, a, b) \
                    on conflict do nothing";
        write_link(tx, link, &self.users, loaded).await?;
        let link = "insert into dds.l_order_product (hk_order_product_pk, h_order_pk, h_product_pk, load_dt, load_src) \
                    select pk, a, b, $4, $5 from unnest($1::uuid[], $2::uuid[], $3::uuid[]) r(pk, a, b) \
                    on conflict do nothing";
        write_link(tx, link, &self.products, loaded).await?;

        let status = "insert into dds.s_order_status as s \
                          (hk_order_status_pk, h_order_pk, status, effective_dt, load_dt, load_src) \
                      select pk, hub, a, eff, dt, $6 \
                      from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamp[], $5::timestamp[]) r(pk, hub, a, eff, dt) \
                      on conflict (hk_order_status_pk) do update set effective_dt = excluded.effective_dt \
                      where s.effective_dt < excluded.effective_dt";
        write_satellite(tx, status, &self.statuses).await?;
        let amounts = "insert into dds.s_order_cost as s \
                           (hk_order_cost_pk, h_order_pk, cost, payment, effective_dt, load_dt, load_src) \
                       select pk, hub, a::numeric, b::numeric, eff, dt, $7 \
                       from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamp[], $6::timestamp[]) \
                           r(pk, hub, a, b, eff, dt) \
                       on conflict (hk_order_cost_pk) do update set effective_dt = excluded.effective_dt \
                       where s.effective_dt < excluded.effective_dt";
        write_pair_satellite(tx, amounts, &self.costs).await
    }
}
