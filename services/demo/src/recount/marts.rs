//! The counters of the marts, counted anew.

use std::collections::BTreeMap;

use super::NameCheck;
use super::compare::{Rows, Table};
use super::facts::Facts;
use super::keys::key;

const USER_PRODUCT: &str = "SELECT concat('user_id=', user_id, ' product_id=', product_id), \
    concat('order_cnt=', order_cnt), concat(' product_name=', product_name) \
    FROM cdm.user_product_counters WHERE order_cnt <> 0";

const USER_CATEGORY: &str = "SELECT concat('user_id=', user_id, ' category_id=', category_id), \
    concat('order_cnt=', order_cnt, ' category_name=', category_name), '' \
    FROM cdm.user_category_counters WHERE order_cnt <> 0";

const RESTAURANT_CATEGORY: &str = "SELECT concat('restaurant_id=', restaurant_id, ' category_id=', category_id), \
    concat('order_cnt=', order_cnt, ' category_name=', category_name), concat(' restaurant_name=', restaurant_name) \
    FROM cdm.restaurant_category_counters WHERE order_cnt <> 0";

const PRODUCT: &str = "SELECT concat('product_id=', product_id), concat('order_cnt=', order_cnt), \
    concat(' product_name=', product_name) FROM cdm.v_product_counters";

const CATEGORY: &str = "SELECT concat('category_id=', category_id), \
    concat('order_cnt=', order_cnt, ' category_name=', category_name), '' FROM cdm.v_category_counters";

const ORDER: &str = "SELECT concat('restaurant_id=', restaurant_id, ' status=', status, ' counted=', counted), \
    concat('order_cnt=', order_cnt), concat(' restaurant_name=', restaurant_name) FROM cdm.v_order_counters";

/// Counters under way: by key the number of orders, and the end of the row's text in every form that is right.
type Counters = BTreeMap<String, (u64, Vec<String>)>;

/// The three marts, the first two summed over all users, and the orders themselves. Only the newest version of an order counts, once for each distinct dish and once
/// for each distinct category, and not at all while it is cancelled.
pub(super) fn tables(facts: &Facts<'_>, names: &NameCheck) -> Vec<Table> {
    let (mut user_product, mut user_category, mut restaurant_category) =
        (Counters::new(), Counters::new(), Counters::new());
    let (mut products, mut all_categories) = (Counters::new(), Counters::new());
    let mut orders = Counters::new();
    for fact in facts.newest() {
        let version = fact.version();
        let restaurant = key(&[&version.restaurant]);
        let counted = version.status != "CANCELLED";
        let of_status =
            format!("restaurant_id={restaurant} status={} counted={}", version.status, &counted.to_string()[..1]);
        count(&mut orders, of_status, || {
            names.texts(&version.restaurant, &fact.resolved.restaurant.name, |name| format!(" restaurant_name={name}"))
        });
        if !counted {
            continue;
        }
        let user = key(&[&version.user]);
        for dish in &fact.resolved.dishes {
            let product = key(&[&dish.id]);
            let texts = || names.texts(&dish.id, &dish.name, |name| format!(" product_name={name}"));
            count(&mut user_product, format!("user_id={user} product_id={product}"), texts);
            count(&mut products, format!("product_id={product}"), texts);
        }
        let mut categories: Vec<&str> = fact.resolved.dishes.iter().map(|dish| dish.category.as_str()).collect();
        categories.sort_unstable();
        categories.dedup();
        for name in categories {
            let category = key(&[name]);
            let text = || vec![format!(" category_name={name}")];
            count(&mut user_category, format!("user_id={user} category_id={category}"), text);
            count(&mut all_categories, format!("category_id={category}"), text);
            let key = format!("restaurant_id={restaurant} category_id={category}");
            count(&mut restaurant_category, key, || {
                names
                    .texts(&version.restaurant, &fact.resolved.restaurant.name, |restaurant_name| {
                        format!(" restaurant_name={restaurant_name}")
                    })
                    .into_iter()
                    .map(|text| format!(" category_name={name}{text}"))
                    .collect()
            });
        }
    }
    let table = |name, query, counters| Table { name, what: "counters", query, rows: rows(counters) };
    vec![
        table("user_product_counters", USER_PRODUCT, user_product),
        table("user_category_counters", USER_CATEGORY, user_category),
        table("restaurant_category_counters", RESTAURANT_CATEGORY, restaurant_category),
        table("v_product_counters", PRODUCT, products),
        table("v_category_counters", CATEGORY, all_categories),
        table("v_order_counters", ORDER, orders),
    ]
}

fn count(counters: &mut Counters, key: String, names: impl FnOnce() -> Vec<String>) {
    counters.entry(key).or_insert_with(|| (0, names())).0 += 1;
}

fn rows(counters: Counters) -> Rows {
    let value = |(orders, names): (u64, Vec<String>)| {
        names.into_iter().map(|names| format!("order_cnt={orders}{names}")).collect()
    };
    counters.into_iter().map(|(key, counter)| (key, value(counter))).collect()
}
