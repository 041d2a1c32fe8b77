//! The rows of the vault, derived anew from every version on the topic.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;

use super::NameCheck;
use super::compare::{Rows, Table};
use super::facts::{Fact, Facts};
use super::keys::{key, key_of_joined};
use super::vault_queries as queries;

/// The rows under way. All are sets by key: however often a version occurs, it gives the same rows.
#[derive(Default)]
struct Vault {
    users: Rows,
    products: Rows,
    categories: Rows,
    restaurants: Rows,
    orders: Rows,
    order_users: Rows,
    order_products: Rows,
    product_restaurants: Rows,
    product_categories: Rows,
    statuses: Satellite,
    costs: Satellite,
    current_statuses: Rows,
    current_costs: Rows,
    user_names: Rows,
    restaurant_names: Rows,
    product_names: Rows,
}

/// By key what a row says, and the newest version that said so.
type Satellite = BTreeMap<String, (String, NaiveDateTime)>;

/// Every table of the vault but the keys of the names, which [`name_keys`] checks.
pub(super) fn tables(facts: &Facts<'_>, names: &NameCheck) -> Vec<Table> {
    let mut vault = Vault::default();
    for fact in &facts.all {
        vault.add_order(fact);
        vault.add_dishes(fact, names);
    }
    for fact in facts.newest() {
        let order = key(&[&fact.order_id]);
        vault.current_statuses.insert(order.clone(), vec![status(fact)]);
        vault.current_costs.insert(order, vec![cost(fact)]);
    }
    let table = |name, query, rows| Table { name, what: "rows", query, rows };
    let current = |name, query, rows| Table { name, what: "current values", query, rows };
    vec![
        table("h_user", queries::H_USER, vault.users),
        table("h_product", queries::H_PRODUCT, vault.products),
        table("h_category", queries::H_CATEGORY, vault.categories),
        table("h_restaurant", queries::H_RESTAURANT, vault.restaurants),
        table("h_order", queries::H_ORDER, vault.orders),
        table("l_order_user", queries::L_ORDER_USER, vault.order_users),
        table("l_order_product", queries::L_ORDER_PRODUCT, vault.order_products),
        table("l_product_restaurant", queries::L_PRODUCT_RESTAURANT, vault.product_restaurants),
        table("l_product_category", queries::L_PRODUCT_CATEGORY, vault.product_categories),
        table("s_order_status", queries::S_ORDER_STATUS, rows(vault.statuses)),
        table("s_order_cost", queries::S_ORDER_COST, rows(vault.costs)),
        current("s_order_status", queries::CURRENT_STATUS, vault.current_statuses),
        current("s_order_cost", queries::CURRENT_COST, vault.current_costs),
        current("s_user_names", queries::CURRENT_USER_NAMES, vault.user_names),
        current("s_restaurant_names", queries::CURRENT_RESTAURANT_NAMES, vault.restaurant_names),
        current("s_product_names", queries::CURRENT_PRODUCT_NAMES, vault.product_names),
    ]
}

/// What the keys of found rows should be: each row comes as its key and its business key, parts joined.
pub(super) fn name_keys(found: &[(String, String)]) -> Rows {
    found.iter().map(|(_, joined)| (key_of_joined(joined), vec![joined.clone()])).collect()
}

impl Vault {
    fn add_order(&mut self, fact: &Fact<'_>) {
        let version = fact.version();
        let order = key(&[&fact.order_id]);
        let user = key(&[&version.user]);
        set(&mut self.users, &user, || format!("user_id={}", version.user));
        // The hub keeps the date that came first, so any date that a version bore is right.
        let date = format!("order_id={} order_dt={}", fact.order_id, text(version.date));
        let dates = self.orders.entry(order.clone()).or_default();
        if !dates.contains(&date) {
            dates.push(date);
        }
        set(&mut self.order_users, &key(&[&fact.order_id, &version.user]), || {
            format!("h_order_pk={order} h_user_pk={user}")
        });
        let status_key = key(&[&fact.order_id, &version.status]);
        say(&mut self.statuses, status_key, format!("h_order_pk={order} {}", status(fact)), version.at);
        let cost_key = key(&[&fact.order_id, &fact.cost.in_key, &fact.payment.in_key]);
        say(&mut self.costs, cost_key, format!("h_order_pk={order} {}", cost(fact)), version.at);
    }

    fn add_dishes(&mut self, fact: &Fact<'_>, names: &NameCheck) {
        let (version, resolved) = (fact.version(), &fact.resolved);
        let order = key(&[&fact.order_id]);
        let user = key(&[&version.user]);
        let restaurant = key(&[&version.restaurant]);
        set(&mut self.restaurants, &restaurant, || format!("restaurant_id={}", version.restaurant));
        self.restaurant_names.entry(restaurant.clone()).or_insert_with(|| {
            names.texts(&version.restaurant, &resolved.restaurant.name, |name| format!("name={name}"))
        });
        self.user_names.entry(user).or_insert_with(|| {
            names.texts(&version.user, &resolved.user.name, |name| {
                let login = resolved.user.login.as_deref().unwrap_or(name);
                format!("username={name} userlogin={login}")
            })
        });
        for dish in &resolved.dishes {
            let product = key(&[&dish.id]);
            let category = key(&[&dish.category]);
            set(&mut self.products, &product, || format!("product_id={}", dish.id));
            set(&mut self.categories, &category, || format!("category_name={}", dish.category));
            set(&mut self.order_products, &key(&[&fact.order_id, &dish.id]), || {
                format!("h_order_pk={order} h_product_pk={product}")
            });
            set(&mut self.product_restaurants, &key(&[&dish.id, &version.restaurant]), || {
                format!("h_restaurant_pk={restaurant} h_product_pk={product}")
            });
            set(&mut self.product_categories, &key(&[&dish.id, &dish.category]), || {
                format!("h_category_pk={category} h_product_pk={product}")
            });
            self.product_names
                .entry(product)
                .or_insert_with(|| names.texts(&dish.id, &dish.name, |name| format!("name={name}")));
        }
    }
}

fn status(fact: &Fact<'_>) -> String {
    format!("status={}", fact.version().status)
}

fn cost(fact: &Fact<'_>) -> String {
    format!("cost={} payment={}", fact.cost.stored, fact.payment.stored)
}

fn set(rows: &mut Rows, key: &str, value: impl FnOnce() -> String) {
    if !rows.contains_key(key) {
        rows.insert(key.to_owned(), vec![value()]);
    }
}

fn say(satellite: &mut Satellite, key: String, what: String, at: NaiveDateTime) {
    let newest = &mut satellite.entry(key).or_insert((what, at)).1;
    *newest = at.max(*newest);
}

fn rows(satellite: Satellite) -> Rows {
    let value = |what: String, at| vec![format!("{what} effective_dt={}", text(at))];
    satellite.into_iter().map(|(key, (what, at))| (key, value(what, at))).collect()
}

/// A time as the queries print it.
pub(super) fn text(time: NaiveDateTime) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}
