//! The vault's tables: one statement a table, set-based, in key order.
//!
//! Rows are only ever inserted; on conflict nothing happens, but for a satellite's `effective_dt`, which moves
//! forward. Hubs come before what refers to them.

use std::collections::BTreeMap;

use chrono::{Duration, NaiveDateTime, Utc};
use ordervault_runtime::fault::StoreError;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::domain::{Order, key};

/// Where every row of the vault says that it comes from.
const LOAD_SRC: &str = "orders-system-kafka";

/// Rows of a table with one attribute of type `A`, by key.
type Rows<A> = BTreeMap<Uuid, A>;

/// A satellite's row.
struct Satellite<A> {
    hub: Uuid,
    attributes: A,
    effective: NaiveDateTime,
    loaded: NaiveDateTime,
}

/// A batch's rows, each once, in key order.
#[derive(Default)]
struct Vault<'o> {
    users: Rows<&'o str>,
    products: Rows<&'o str>,
    categories: Rows<&'o str>,
    restaurants: Rows<&'o str>,
    orders: Rows<(i64, NaiveDateTime)>,
    order_products: Rows<(Uuid, Uuid)>,
    order_users: Rows<(Uuid, Uuid)>,
    product_categories: Rows<(Uuid, Uuid)>,
    product_restaurants: Rows<(Uuid, Uuid)>,
    user_names: Rows<Satellite<(&'o str, &'o str)>>,
    restaurant_names: Rows<Satellite<&'o str>>,
    product_names: Rows<Satellite<&'o str>>,
    order_costs: Rows<Satellite<(&'o str, &'o str)>>,
    order_statuses: Rows<Satellite<&'o str>>,
}

/// Writes a batch.
pub async fn apply(tx: &mut PgConnection, orders: &[&Order]) -> Result<(), StoreError> {
    let loaded = Utc::now().naive_utc();
    let mut vault = Vault::default();
    for (place, order) in orders.iter().enumerate() {
        // Of two rows with the same version the one processed later is current, also within a batch.
        let place = i64::try_from(place).unwrap_or(i64::MAX);
        vault.add(order, loaded + Duration::microseconds(place));
    }
    vault.write(tx, loaded).await.map_err(StoreError::from)
}

impl<'o> Vault<'o> {
    fn add(&mut self, order: &'o Order, loaded: NaiveDateTime) {
        let payload = &order.message.payload;
        let (keys, user, restaurant) = (order.keys, &payload.user, &payload.restaurant);
        self.orders.entry(keys.order).or_insert((payload.id, payload.date.0));
        self.users.entry(keys.user).or_insert(&user.id);
        self.restaurants.entry(keys.restaurant).or_insert(&restaurant.id);
        self.order_users.entry(key(&[&payload.id, &user.id])).or_insert((keys.order, keys.user));
        for (line, line_keys) in payload.products.iter().zip(&order.lines) {
            let product = line_keys.product;
            self.products.entry(product).or_insert(&line.id);
            self.categories.entry(line_keys.category).or_insert(&line.category);
            self.order_products.entry(key(&[&payload.id, &line.id])).or_insert((keys.order, product));
            self.product_restaurants.entry(key(&[&line.id, &restaurant.id])).or_insert((keys.restaurant, product));
            self.product_categories.entry(key(&[&line.id, &line.category])).or_insert((line_keys.category, product));
            let effective = order.restaurant_version();
            let name = Satellite { hub: product, attributes: line.name.as_str(), effective, loaded };
            merge(&mut self.product_names, key(&[&line.id, &line.name]), name);
        }
        let (effective, version) = (order.restaurant_version(), order.version);
        let name = Satellite { hub: keys.restaurant, attributes: restaurant.name.as_str(), effective, loaded };
        merge(&mut self.restaurant_names, key(&[&restaurant.id, &restaurant.name]), name);
        let names = (user.name.as_str(), order.login());
        let names = Satellite { hub: keys.user, attributes: names, effective: order.user_version(), loaded };
        merge(&mut self.user_names, key(&[&user.id, &user.name, &order.login()]), names);
        let amounts = (payload.cost.text(), payload.payment.text());
        let (cost, payment) = (payload.cost.as_python_prints(), payload.payment.as_python_prints());
        let amounts = Satellite { hub: keys.order, attributes: amounts, effective: version, loaded };
        merge(&mut self.order_costs, key(&[&payload.id, &cost, &payment]), amounts);
        let status = Satellite { hub: keys.order, attributes: payload.status.as_str(), effective: version, loaded };
        merge(&mut self.order_statuses, key(&[&payload.id, &payload.status]), status);
    }

    async fn write(&self, tx: &mut PgConnection, loaded: NaiveDateTime) -> Result<(), sqlx::Error> {
        let hub = "insert into dds.h_user (h_user_pk, user_id, load_dt, load_src) \
                   select pk, bk, $3, $4 from unnest($1::uuid[], $2::text[]) r(pk, bk) on conflict do nothing";
        write_hub(tx, hub, &self.users, loaded).await?;
        let hub = "insert into dds.h_product (h_product_pk, product_id, load_dt, load_src) \
                   select pk, bk, $3, $4 from unnest($1::uuid[], $2::text[]) r(pk, bk) on conflict do nothing";
        write_hub(tx, hub, &self.products, loaded).await?;
        let hub = "insert into dds.h_category (h_category_pk, category_name, load_dt, load_src) \
                   select pk, bk, $3, $4 from unnest($1::uuid[], $2::text[]) r(pk, bk) on conflict do nothing";
        write_hub(tx, hub, &self.categories, loaded).await?;
        let hub = "insert into dds.h_restaurant (h_restaurant_pk, restaurant_id, load_dt, load_src) \
                   select pk, bk, $3, $4 from unnest($1::uuid[], $2::text[]) r(pk, bk) on conflict do nothing";
        write_hub(tx, hub, &self.restaurants, loaded).await?;
        sqlx::query(
            "insert into dds.h_order (h_order_pk, order_id, order_dt, load_dt, load_src) \
             select pk, id, dt, $4, $5 from unnest($1::uuid[], $2::bigint[], $3::timestamp[]) r(pk, id, dt) \
             on conflict do nothing",
        )
        .bind(self.orders.keys().copied().collect::<Vec<_>>())
        .bind(self.orders.values().map(|order| order.0).collect::<Vec<_>>())
        .bind(self.orders.values().map(|order| order.1).collect::<Vec<_>>())
        .bind(loaded)
        .bind(LOAD_SRC)
        .execute(&mut *tx)
        .await?;

        let link = "insert into dds.l_order_user (hk_order_user_pk, h_order_pk, h_user_pk, load_dt, load_src) \
                    select pk, a, b, $4, $5 from unnest($1::uuid[], $2::uuid[], $3::uuid[]) r(pk, a, b) on conflict do nothing";
        write_link(tx, link, &self.order_users, loaded).await?;
        let link = "insert into dds.l_order_product (hk_order_product_pk, h_order_pk, h_product_pk, load_dt, load_src) \
                    select pk, a, b, $4, $5 from unnest($1::uuid[], $2::uuid[], $3::uuid[]) r(pk, a, b) on conflict do nothing";
        write_link(tx, link, &self.order_products, loaded).await?;
        let link = "insert into dds.l_product_category (hk_product_category_pk, h_category_pk, h_product_pk, load_dt, load_src) \
                    select pk, a, b, $4, $5 from unnest($1::uuid[], $2::uuid[], $3::uuid[]) r(pk, a, b) on conflict do nothing";
        write_link(tx, link, &self.product_categories, loaded).await?;
        let link = "insert into dds.l_product_restaurant (hk_product_restaurant_pk, h_restaurant_pk, h_product_pk, load_dt, load_src) \
                    select pk, a, b, $4, $5 from unnest($1::uuid[], $2::uuid[], $3::uuid[]) r(pk, a, b) on conflict do nothing";
        write_link(tx, link, &self.product_restaurants, loaded).await?;

        // A row that is there and as new is left out beforehand: a conflict would lock it, and dictionary rows are hot.
        let name = "insert into dds.s_restaurant_names as s (hk_restaurant_names_pk, h_restaurant_pk, name, effective_dt, load_dt, load_src) \
                    select pk, hub, a, eff, dt, $6 from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamp[], $5::timestamp[]) r(pk, hub, a, eff, dt) \
                    where not exists (select from dds.s_restaurant_names k where k.hk_restaurant_names_pk = pk and k.effective_dt >= eff) \
                    on conflict (hk_restaurant_names_pk) do update set effective_dt = excluded.effective_dt where s.effective_dt < excluded.effective_dt";
        write_satellite(tx, name, &self.restaurant_names).await?;
        let name = "insert into dds.s_product_names as s (hk_product_names_pk, h_product_pk, name, effective_dt, load_dt, load_src) \
                    select pk, hub, a, eff, dt, $6 from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamp[], $5::timestamp[]) r(pk, hub, a, eff, dt) \
                    where not exists (select from dds.s_product_names k where k.hk_product_names_pk = pk and k.effective_dt >= eff) \
                    on conflict (hk_product_names_pk) do update set effective_dt = excluded.effective_dt where s.effective_dt < excluded.effective_dt";
        write_satellite(tx, name, &self.product_names).await?;
        let status = "insert into dds.s_order_status as s (hk_order_status_pk, h_order_pk, status, effective_dt, load_dt, load_src) \
                      select pk, hub, a, eff, dt, $6 from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamp[], $5::timestamp[]) r(pk, hub, a, eff, dt) \
                      on conflict (hk_order_status_pk) do update set effective_dt = excluded.effective_dt where s.effective_dt < excluded.effective_dt";
        write_satellite(tx, status, &self.order_statuses).await?;
        let names = "insert into dds.s_user_names as s (hk_user_names_pk, h_user_pk, username, userlogin, effective_dt, load_dt, load_src) \
                     select pk, hub, a, b, eff, dt, $7 from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamp[], $6::timestamp[]) r(pk, hub, a, b, eff, dt) \
                     where not exists (select from dds.s_user_names k where k.hk_user_names_pk = pk and k.effective_dt >= eff) \
                     on conflict (hk_user_names_pk) do update set effective_dt = excluded.effective_dt where s.effective_dt < excluded.effective_dt";
        write_pair_satellite(tx, names, &self.user_names).await?;
        let amounts = "insert into dds.s_order_cost as s (hk_order_cost_pk, h_order_pk, cost, payment, effective_dt, load_dt, load_src) \
                       select pk, hub, a::numeric, b::numeric, eff, dt, $7 from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamp[], $6::timestamp[]) r(pk, hub, a, b, eff, dt) \
                       on conflict (hk_order_cost_pk) do update set effective_dt = excluded.effective_dt where s.effective_dt < excluded.effective_dt";
        write_pair_satellite(tx, amounts, &self.order_costs).await
    }
}

/// Keeps one row a key, at its newest version. The time of loading is the later one: within one transaction nobody
/// has seen the earlier.
fn merge<A>(rows: &mut Rows<Satellite<A>>, key: Uuid, mut row: Satellite<A>) {
    if let Some(earlier) = rows.get(&key) {
        row.effective = row.effective.max(earlier.effective);
    }
    rows.insert(key, row);
}

async fn write_hub(
    tx: &mut PgConnection,
    sql: &'static str,
    rows: &Rows<&str>,
    loaded: NaiveDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql)
        .bind(rows.keys().copied().collect::<Vec<_>>())
        .bind(rows.values().copied().collect::<Vec<_>>())
        .bind(loaded)
        .bind(LOAD_SRC)
        .execute(tx)
        .await
        .map(|_| ())
}

async fn write_link(
    tx: &mut PgConnection,
    sql: &'static str,
    rows: &Rows<(Uuid, Uuid)>,
    loaded: NaiveDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql)
        .bind(rows.keys().copied().collect::<Vec<_>>())
        .bind(rows.values().map(|ends| ends.0).collect::<Vec<_>>())
        .bind(rows.values().map(|ends| ends.1).collect::<Vec<_>>())
        .bind(loaded)
        .bind(LOAD_SRC)
        .execute(tx)
        .await
        .map(|_| ())
}

async fn write_satellite(
    tx: &mut PgConnection,
    sql: &'static str,
    rows: &Rows<Satellite<&str>>,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql)
        .bind(rows.keys().copied().collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.hub).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.attributes).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.effective).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.loaded).collect::<Vec<_>>())
        .bind(LOAD_SRC)
        .execute(tx)
        .await
        .map(|_| ())
}

async fn write_pair_satellite(
    tx: &mut PgConnection,
    sql: &'static str,
    rows: &Rows<Satellite<(&str, &str)>>,
) -> Result<(), sqlx::Error> {
    sqlx::query(sql)
        .bind(rows.keys().copied().collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.hub).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.attributes.0).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.attributes.1).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.effective).collect::<Vec<_>>())
        .bind(rows.values().map(|row| row.loaded).collect::<Vec<_>>())
        .bind(LOAD_SRC)
        .execute(tx)
        .await
        .map(|_| ())
}
