//! Rows that many orders share: users, restaurants, dishes and categories with their names, and how they belong together.

use chrono::NaiveDateTime;
use ordervault_contracts::keys::key;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::rows::{Rows, Satellite, merge, write_hub, write_link, write_pair_satellite, write_satellite};
use crate::domain::Order;

/// A batch's shared rows.
#[derive(Default)]
pub(super) struct Dimensions<'o> {
    users: Rows<&'o str>,
    products: Rows<&'o str>,
    categories: Rows<&'o str>,
    restaurants: Rows<&'o str>,
    product_categories: Rows<(Uuid, Uuid)>,
    product_restaurants: Rows<(Uuid, Uuid)>,
    user_names: Rows<Satellite<(&'o str, &'o str)>>,
    restaurant_names: Rows<Satellite<&'o str>>,
    product_names: Rows<Satellite<&'o str>>,
}

impl<'o> Dimensions<'o> {
    pub(super) fn add(&mut self, order: &'o Order, loaded: NaiveDateTime) {
        let payload = &order.message.payload;
        let (keys, user, restaurant) = (order.keys, &payload.user, &payload.restaurant);
        self.users.entry(keys.user).or_insert(&user.id);
        self.restaurants.entry(keys.restaurant).or_insert(&restaurant.id);
        let effective = order.restaurant_version();
        for (line, line_keys) in payload.products.iter().zip(&order.lines) {
            let product = line_keys.product;
            self.products.entry(product).or_insert(&line.id);
            self.categories.entry(line_keys.category).or_insert(&line.category);
            self.product_restaurants.entry(key(&[&line.id, &restaurant.id])).or_insert((keys.restaurant, product));
            self.product_categories.entry(key(&[&line.id, &line.category])).or_insert((line_keys.category, product));
            let name = Satellite { hub: product, attributes: line.name.as_str(), effective, loaded };
            merge(&mut self.product_names, key(&[&line.id, &line.name]), name);
        }
        let name = Satellite { hub: keys.restaurant, attributes: restaurant.name.as_str(), effective, loaded };
        merge(&mut self.restaurant_names, key(&[&restaurant.id, &restaurant.name]), name);
        let names = (user.name.as_str(), order.login());
        let names = Satellite { hub: keys.user, attributes: names, effective: order.user_version(), loaded };
        merge(&mut self.user_names, key(&[&user.id, &user.name, order.login()]), names);
    }

    pub(super) async fn write(&self, tx: &mut PgConnection, loaded: NaiveDateTime) -> Result<(), sqlx::Error> {
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

        let link = "insert into dds.l_product_category (hk_product_category_pk, h_category_pk, h_product_pk, load_dt, load_src) \
                    select pk, a, b, $4, $5 from unnest($1::uuid[], $2::uuid[], $3::uuid[]) r(pk, a, b) \
                    on conflict do nothing";
        write_link(tx, link, &self.product_categories, loaded).await?;
        let link = "insert into dds.l_product_restaurant (hk_product_restaurant_pk, h_restaurant_pk, h_product_pk, load_dt, load_src) \
                    select pk, a, b, $4, $5 from unnest($1::uuid[], $2::uuid[], $3::uuid[]) r(pk, a, b) \
                    on conflict do nothing";
        write_link(tx, link, &self.product_restaurants, loaded).await?;

        // A row that is there and as new is left out beforehand: a conflict would lock it, and these rows are hot.
        let name = "insert into dds.s_restaurant_names as s \
                        (hk_restaurant_names_pk, h_restaurant_pk, name, effective_dt, load_dt, load_src) \
                    select pk, hub, a, eff, dt, $6 \
                    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamp[], $5::timestamp[]) r(pk, hub, a, eff, dt) \
                    where not exists (select from dds.s_restaurant_names k \
                                      where k.hk_restaurant_names_pk = pk and k.effective_dt >= eff) \
                    on conflict (hk_restaurant_names_pk) do update set effective_dt = excluded.effective_dt \
                    where s.effective_dt < excluded.effective_dt";
        write_satellite(tx, name, &self.restaurant_names).await?;
        let name = "insert into dds.s_product_names as s \
                        (hk_product_names_pk, h_product_pk, name, effective_dt, load_dt, load_src) \
                    select pk, hub, a, eff, dt, $6 \
                    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamp[], $5::timestamp[]) r(pk, hub, a, eff, dt) \
                    where not exists (select from dds.s_product_names k \
                                      where k.hk_product_names_pk = pk and k.effective_dt >= eff) \
                    on conflict (hk_product_names_pk) do update set effective_dt = excluded.effective_dt \
                    where s.effective_dt < excluded.effective_dt";
        write_satellite(tx, name, &self.product_names).await?;
        let names = "insert into dds.s_user_names as s \
                         (hk_user_names_pk, h_user_pk, username, userlogin, effective_dt, load_dt, load_src) \
                     select pk, hub, a, b, eff, dt, $7 \
                     from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamp[], $6::timestamp[]) \
                         r(pk, hub, a, b, eff, dt) \
                     where not exists (select from dds.s_user_names k \
                                       where k.hk_user_names_pk = pk and k.effective_dt >= eff) \
                     on conflict (hk_user_names_pk) do update set effective_dt = excluded.effective_dt \
                     where s.effective_dt < excluded.effective_dt";
        write_pair_satellite(tx, names, &self.user_names).await
    }
}
