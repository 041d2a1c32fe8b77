//! CDM: what an order contributes, and which orders a counter is made of.

use std::collections::{BTreeMap, BTreeSet};

use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{LAYERS, Service};
use serde_json::{Value, json};

use super::scene::{PATIENCE, Said, Scene, assert_refused, key, newest, segment};

const COUNTERS: [&str; 2] = ["user-product-counters", "user-category-counters"];

/// What an order says at its newest version: the source's own ids.
struct Counted<'s> {
    user: &'s str,
    restaurant: &'s str,
    status: &'s str,
    products: BTreeSet<&'s str>,
    categories: BTreeSet<&'s str>,
}

impl<'s> Counted<'s> {
    fn of(said: &'s Said, category_of: &BTreeMap<&'s str, &'s str>) -> Self {
        let text = |value: &'s Value| value.as_str().unwrap();
        let payload = &said.payload;
        let products: BTreeSet<&str> =
            payload["order_items"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect();
        Self {
            user: text(&payload["user"]["id"]),
            restaurant: text(&payload["restaurant"]["id"]),
            status: text(&payload["final_status"]),
            categories: products.iter().map(|product| category_of[product]).collect(),
            products,
        }
    }
}

/// The orders of a counter, page by page, and what the counter says.
async fn orders(service: &Service, counter: &str, limit: usize) -> (i64, Vec<Value>) {
    let (mut all, mut cursor, mut count) = (Vec::new(), String::new(), None);
    loop {
        let page = service.read(&format!("/api/v1/{counter}/orders?limit={limit}{cursor}")).await.unwrap();
        let items = page["items"].as_array().unwrap();
        let says = page["order_cnt"].as_i64().unwrap();
        assert_eq!(*count.get_or_insert(says), says, "{counter}");
        assert!(items.len() <= limit, "{page}");
        all.extend(items.iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { return (says, all) };
        assert_eq!(items.len(), limit, "{page}");
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orders_of_every_counter_are_those_whose_newest_version_counts_and_as_many_as_it_says() {
    let scene = Scene::set("counted", &LAYERS, 250).await;
    let service = scene.asked();
    let said = scene.said().await;
    let dishes = scene.dictionary.restaurants().iter().flat_map(|restaurant| &restaurant.menu);
    let category_of: BTreeMap<&str, &str> = dishes.map(|dish| (&*dish.id, dish.category)).collect();
    // By the path of each counter: the orders that it is to be made of, those that it was once made of included as nothing.
    let mut expected: BTreeMap<[&str; 3], BTreeMap<String, Value>> = BTreeMap::new();
    for (order, versions) in &said {
        for version in versions {
            let once = Counted::of(version, &category_of);
            if once.status != "CANCELLED" {
                for product in &once.products {
                    expected.entry([COUNTERS[0], once.user, product]).or_default();
                }
                for category in &once.categories {
                    expected.entry([COUNTERS[1], once.user, category]).or_default();
                }
            }
        }
        let (newest, id) = (newest(versions), key(&order.to_string()));
        let last = Counted::of(newest, &category_of);
        if last.status != "CANCELLED" {
            let item = json!({"order_id": id, "version": newest.at.and_utc(), "status": last.status});
            for product in &last.products {
                expected.get_mut(&[COUNTERS[0], last.user, *product]).unwrap().insert(id.clone(), item.clone());
            }
            for category in &last.categories {
                expected.get_mut(&[COUNTERS[1], last.user, *category]).unwrap().insert(id.clone(), item.clone());
            }
        }
    }
    let mut met = BTreeMap::new();
    for (place, ([counter, user, other], orders_of_it)) in expected.iter().enumerate() {
        let limit = 1 + place % 7;
        // By the source's ids and names, or by the hub keys.
        let path = if place % 2 == 0 {
            format!("{counter}/{}/{}", segment(user), segment(other))
        } else {
            format!("{counter}/{}/{}", key(user), key(other))
        };
        let there: bool = sqlx::query_scalar(
            "select exists (select from cdm.user_product_counters where $1 and user_id = $2::text::uuid and product_id = $3::text::uuid \
             union all select from cdm.user_category_counters where not $1 and user_id = $2::text::uuid and category_id = $3::text::uuid)",
        )
        .bind(*counter == COUNTERS[0])
        .bind(key(user))
        .bind(key(other))
        .fetch_one(&scene.stage.pool)
        .await
        .unwrap();
        if !there {
            // An order that came late, or was changed within one batch, has never counted there.
            assert!(orders_of_it.is_empty(), "{path}");
            assert_refused(service, &format!("/api/v1/{path}/orders"), 404, "counter_not_found").await;
            continue;
        }
        let (count, orders) = orders(service, &path, limit).await;
        let expected: Vec<&Value> = orders_of_it.values().collect();
        assert_eq!(orders.iter().collect::<Vec<_>>(), expected, "{path}");
        assert_eq!(count, i64::try_from(expected.len()).unwrap(), "{path}");
        *met.entry((*counter, expected.len().min(2))).or_insert(0) += 1;
    }
    println!("{met:?}");
    for counter in COUNTERS {
        assert!(met.contains_key(&(counter, 2)), "no counter has several orders");
    }
    assert!(met.keys().any(|(_, orders)| *orders == 0), "no counter has fallen to nothing");
    let counters: i64 = sqlx::query_scalar(
        "select (select count(*) from cdm.user_product_counters) + (select count(*) from cdm.user_category_counters)",
    )
    .fetch_one(&scene.stage.pool)
    .await
    .unwrap();
    assert_eq!(met.values().sum::<i64>(), counters);

    for (order, versions) in &said {
        let newest = newest(versions);
        assert_contributes(&scene, *order, newest, &Counted::of(newest, &category_of), &category_of).await;
    }
    scene.end().await;
}

/// What the tables say of each of these counters.
async fn counts(scene: &Scene, table: &str, column: &str, one: &str, others: &BTreeSet<&str>) -> BTreeMap<String, i64> {
    let owner = if table.starts_with("user") { "user_id" } else { "restaurant_id" };
    let sql = format!(
        "select {column}::text, order_cnt from cdm.{table} where {owner} = $1::text::uuid and {column} = any($2::text[]::uuid[])"
    );
    let rows: Vec<(String, i64)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(key(one))
        .bind(others.iter().map(|other| key(other)).collect::<Vec<_>>())
        .fetch_all(&scene.stage.pool)
        .await
        .unwrap();
    rows.into_iter().collect()
}

/// The contribution of an order is what its newest version says, and the counters say what they do in the tables.
async fn assert_contributes(
    scene: &Scene,
    order: i64,
    newest: &Said,
    said: &Counted<'_>,
    category_of: &BTreeMap<&str, &str>,
) {
    let shown = scene.asked().read(&format!("/api/v1/orders/{order}/contribution")).await.unwrap();
    let counted = said.status != "CANCELLED";
    let restaurant = scene.dictionary.restaurants().iter().find(|entry| entry.id == said.restaurant).unwrap();
    let name_of: BTreeMap<String, &str> = restaurant.menu.iter().map(|dish| (key(&dish.id), &*dish.name)).collect();
    let category: BTreeMap<String, &str> = category_of.values().map(|name| (key(name), *name)).collect();
    assert_eq!(shown["order_id"], key(&order.to_string()));
    assert_eq!(shown["version"], json!(newest.at.and_utc()));
    assert_eq!((&shown["status"], &shown["counted"]), (&json!(said.status), &json!(counted)), "{shown}");
    assert_eq!((&shown["user_id"], &shown["restaurant_id"]), (&json!(key(said.user)), &json!(key(said.restaurant))));
    assert_eq!(shown["restaurant_name"], restaurant.name);
    let keys = |texts: &BTreeSet<&str>| -> BTreeSet<String> { texts.iter().map(|text| key(text)).collect() };
    let products: Vec<Value> =
        keys(&said.products).iter().map(|id| json!({"product_id": id, "product_name": name_of[id]})).collect();
    assert_eq!(shown["products"], json!(products));
    let ids = |field: &str| -> Vec<String> {
        shown[field].as_array().unwrap().iter().map(|row| row["category_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("categories"), keys(&said.categories).into_iter().collect::<Vec<_>>());
    for row in shown["categories"].as_array().unwrap() {
        // One that never counted may stand in no counter, and then nobody knows its name.
        let name = &row["category_name"];
        assert!(*name == category[row["category_id"].as_str().unwrap()] || (!counted && name.is_null()), "{shown}");
    }
    let mut counters = json!({"user_products": [], "user_categories": [], "restaurant_categories": []});
    if counted {
        let of_products = counts(scene, "user_product_counters", "product_id", said.user, &said.products).await;
        counters["user_products"] = of_products
            .iter()
            .map(|(id, count)| json!({"product_id": id, "product_name": name_of[id], "order_cnt": count}))
            .collect();
        for (list, table, one) in [
            ("user_categories", "user_category_counters", said.user),
            ("restaurant_categories", "restaurant_category_counters", said.restaurant),
        ] {
            let of_categories = counts(scene, table, "category_id", one, &said.categories).await;
            assert_eq!(of_categories.len(), said.categories.len());
            counters[list] = of_categories
                .iter()
                .map(|(id, count)| json!({"category_id": id, "category_name": category[id], "order_cnt": count}))
                .collect();
        }
    }
    assert_eq!(shown["counters"], counters, "order {order}");
}

/// The order of a user who never ordered before.
fn message(scene: &Scene, status: &str, at: &str) -> Produced {
    let restaurant = &scene.dictionary.restaurants()[0];
    let items: Vec<Value> = restaurant.menu[..2]
        .iter()
        .map(|dish| json!({"id": dish.id, "name": "N", "price": 1, "quantity": 1}))
        .collect();
    let message = json!({
        "object_id": 1_000_000, "object_type": "order",
        "payload": {
            "restaurant": {"id": restaurant.id}, "date": "2023-08-05 06:29:05", "user": {"id": scene.dictionary.users()[0].id},
            "order_items": items, "cost": 2, "payment": 2, "final_status": status, "update_ts": at,
        },
    });
    Produced { key: None, partition: None, payload: message.to_string().into_bytes() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_cancelled_adds_to_nothing_and_is_listed_nowhere_until_it_comes_back() {
    let scene = Scene::set("cancelled_order", &LAYERS, 0).await;
    let service = scene.asked();
    let (user, dish) = (&scene.dictionary.users()[0].id, &scene.dictionary.restaurants()[0].menu[0]);
    let order = key("1000000");
    let contribution = format!("/api/v1/orders/{order}/contribution");
    assert_refused(service, &contribution, 404, "order_not_found").await;
    let counters =
        [format!("{}/{user}/{}", COUNTERS[0], dish.id), format!("{}/{user}/{}", COUNTERS[1], segment(dish.category))];
    for counter in &counters {
        assert_refused(service, &format!("/api/v1/{counter}/orders"), 404, "counter_not_found").await;
    }
    // The third is late.
    for (status, at, says, counts) in [
        ("CLOSED", "2023-08-06 00:00:00", "CLOSED", true),
        ("CANCELLED", "2023-08-08 00:00:00", "CANCELLED", false),
        ("DELIVERING", "2023-08-07 00:00:00", "CANCELLED", false),
        ("CLOSED", "2023-08-09 00:00:00", "CLOSED", true),
    ] {
        scene.stage.produce("stg", [message(&scene, status, at)]).await.unwrap();
        scene.stage.settle(PATIENCE).await.unwrap();
        let shown = service.read(&contribution).await.unwrap();
        assert_eq!((&shown["status"], &shown["counted"]), (&json!(says), &json!(counts)), "{shown}");
        assert_eq!(shown["products"].as_array().unwrap().len(), 2, "{shown}");
        assert!(shown["categories"].as_array().unwrap().iter().all(|row| row["category_name"].is_string()), "{shown}");
        let lists = shown["counters"].as_object().unwrap();
        assert_eq!(lists.len(), 3);
        for list in lists.values() {
            assert_eq!(list.as_array().unwrap().is_empty(), !counts, "{shown}");
            assert!(list.as_array().unwrap().iter().all(|counter| counter["order_cnt"] == 1), "{shown}");
        }
        for counter in &counters {
            let (count, orders) = orders(service, counter, 10).await;
            assert_eq!((count, orders.len()), (i64::from(counts), usize::from(counts)), "{counter}");
        }
    }
    for unknown in ["1", &key("1"), "one", "%FF", "%00", "a%2Fb", &"7".repeat(501)] {
        assert_refused(service, &format!("/api/v1/orders/{unknown}/contribution"), 404, "order_not_found").await;
        for other in [&*dish.id, "%20", "%00"] {
            for counter in COUNTERS {
                for path in [format!("{counter}/{unknown}/{other}"), format!("{counter}/{user}/{unknown}")] {
                    assert_refused(service, &format!("/api/v1/{path}/orders"), 404, "counter_not_found").await;
                }
            }
        }
    }
    for query in ["limit=0", "limit=1001", "cursor=1", "cursor="] {
        assert_refused(service, &format!("/api/v1/{}/orders?{query}", counters[0]), 400, "invalid_parameter").await;
    }
    assert_refused(service, &format!("/api/v1/{}/orders?order=1", counters[0]), 400, "unknown_parameter").await;
    scene.end().await;
}
