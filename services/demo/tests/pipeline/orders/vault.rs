//! `GET /api/v1/orders/{id}` of DDS: what the vault holds of an order.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use ordervault_demo::dictionary::{Dictionary, Dish, Restaurant};
use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Service, Stage};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::scene::{PATIENCE, Said, Scene, assert_refused, key, newest, time};

const EXISTING: &str = include_str!("../../../../dds/tests/data/existing_warehouse.sql");

/// Looks at when and where from each row was loaded, and puts that aside.
fn take_loads(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(loaded) = fields.remove("load_dt") {
                assert!(loaded.as_str().unwrap().ends_with('Z'), "{loaded}");
                assert_eq!(fields.remove("load_src").unwrap(), "orders-system-kafka");
                fields.insert("loaded".to_owned(), json!(true));
            }
            fields.values_mut().for_each(take_loads);
        }
        Value::Array(items) => items.iter_mut().for_each(take_loads),
        _ => {}
    }
}

async fn shown(service: &Service, id: &str) -> Value {
    let mut shown = service.read(&format!("/api/v1/orders/{id}")).await.unwrap();
    take_loads(&mut shown);
    shown
}

fn link(parts: [&str; 2]) -> Value {
    json!({"link_key": key(&parts.join("#$#")), "loaded": true})
}

/// An amount as the key of a satellite tells it apart from others: 300 is another one than 300.0.
fn amount(value: &Value) -> (bool, u64) {
    (value.is_f64(), value.as_f64().unwrap().to_bits())
}

fn decimal(value: &Value) -> String {
    format!("{:.5}", value.as_f64().unwrap())
}

fn dish<'d>(dictionary: &'d Dictionary, id: &str) -> (&'d Restaurant, &'d Dish) {
    let dishes = dictionary
        .restaurants()
        .iter()
        .flat_map(|restaurant| restaurant.menu.iter().map(move |dish| (restaurant, dish)));
    dishes.into_iter().find(|(_, dish)| dish.id == id).unwrap()
}

/// What is to be shown of an order, by all that its messages say.
fn expected(order: i64, versions: &[Said], dictionary: &Dictionary) -> Value {
    let id = order.to_string();
    let mut statuses: BTreeMap<&str, NaiveDateTime> = BTreeMap::new();
    let mut costs: BTreeMap<_, (NaiveDateTime, String, String)> = BTreeMap::new();
    let mut products = BTreeSet::new();
    for said in versions {
        let payload = &said.payload;
        let effective = statuses.entry(payload["final_status"].as_str().unwrap()).or_insert(said.at);
        *effective = said.at.max(*effective);
        let (cost, payment) = (&payload["cost"], &payload["payment"]);
        let row = (said.at, decimal(cost), decimal(payment));
        let held = costs.entry((amount(cost), amount(payment))).or_insert_with(|| row.clone());
        held.0 = row.0.max(held.0);
        products.extend(payload["order_items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()));
    }
    let newest = &newest(versions).payload;
    let user = newest["user"]["id"].as_str().unwrap();
    let user = dictionary.users().iter().find(|entry| entry.id == user).unwrap();
    let mut statuses: Vec<_> = statuses.into_iter().collect();
    statuses.sort_by_key(|(_, effective)| std::cmp::Reverse(*effective));
    let mut costs: Vec<_> = costs.into_values().collect();
    costs.sort_by_key(|(effective, ..)| std::cmp::Reverse(*effective));
    let names = |name: &str, at: NaiveDateTime| json!([{"name": name, "effective_dt": at.and_utc(), "loaded": true}]);
    let restaurants: BTreeMap<&str, &Restaurant> =
        products.iter().map(|id| dish(dictionary, id).0).map(|restaurant| (&*restaurant.id, restaurant)).collect();
    json!({
        "order": {
            "hub_key": key(&id), "order_id": order, "loaded": true,
            "order_dt": time(newest["date"].as_str().unwrap()).and_utc(),
        },
        "current": {
            "status": newest["final_status"], "cost": decimal(&newest["cost"]), "payment": decimal(&newest["payment"]),
            "users": [{"user_id": user.id, "username": user.name, "userlogin": user.login}],
            "products": products.iter().map(|id| json!({"product_id": id, "name": dish(dictionary, id).1.name}))
                .collect::<Vec<_>>(),
            "restaurants": restaurants.values().map(|entry| json!({"restaurant_id": entry.id, "name": entry.name}))
                .collect::<Vec<_>>(),
        },
        "statuses": statuses.iter().map(|(status, effective)| json!({
            "status": status, "effective_dt": effective.and_utc(), "loaded": true,
        })).collect::<Vec<_>>(),
        "costs": costs.iter().map(|(effective, cost, payment)| json!({
            "cost": cost, "payment": payment, "effective_dt": effective.and_utc(), "loaded": true,
        })).collect::<Vec<_>>(),
        "users": [{
            "hub_key": key(&user.id), "user_id": user.id, "loaded": true, "link": link([&id, &user.id]),
            "names": [{
                "username": user.name, "userlogin": user.login, "effective_dt": user.updated.and_utc(), "loaded": true,
            }],
        }],
        "products": products.iter().map(|product| {
            let (restaurant, dish) = dish(dictionary, product);
            json!({
                "hub_key": key(product), "product_id": product, "loaded": true, "link": link([&id, product]),
                "names": names(&dish.name, restaurant.updated),
                "categories": [{
                    "hub_key": key(dish.category), "category_name": dish.category, "loaded": true,
                    "link": link([product, dish.category]),
                }],
                "restaurants": [{"hub_key": key(&restaurant.id), "link": link([product, &restaurant.id])}],
            })
        }).collect::<Vec<_>>(),
        "restaurants": restaurants.values().map(|restaurant| json!({
            "hub_key": key(&restaurant.id), "restaurant_id": restaurant.id, "loaded": true,
            "names": names(&restaurant.name, restaurant.updated),
        })).collect::<Vec<_>>(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vault_shows_of_every_order_all_that_its_messages_said_and_what_is_current() {
    let scene = Scene::set("vault", &["stg", "dds"], 300).await;
    let said = scene.said().await;
    let (mut back, mut empty) = (0, 0);
    for (order, versions) in &said {
        let shown = shown(scene.asked(), &order.to_string()).await;
        assert_eq!(shown, expected(*order, versions, &scene.dictionary), "order {order}");
        back +=
            usize::from(shown["statuses"][0]["status"] == "CLOSED" && shown["statuses"][1]["status"] == "CANCELLED");
        empty += usize::from(shown["products"] == json!([]));
    }
    assert!(back > 0 && empty > 0, "{back} orders came back, {empty} have no dishes");
    let by_number = scene.asked().get("/api/v1/orders/1").await.unwrap();
    assert_eq!(scene.asked().get(&format!("/api/v1/orders/{}", key("1"))).await.unwrap(), by_number);
    scene.end().await;
}

/// An order as STG sends it onward, at the first, second or third version: A, B and A again, but for what stays.
fn message(order: i64, version: u32) -> Vec<u8> {
    let at = format!("2023-05-0{version} 10:00:00");
    let (letter, status, cost) = if version == 2 { ("B", "CANCELLED", 99.5) } else { ("A", "CLOSED", 300.5) };
    let id = |what: &str| format!("{what}{order}");
    json!({
        "object_id": order, "object_type": "order",
        "payload": {
            "id": order, "date": "2023-05-01 09:00:00", "cost": cost, "payment": 12_345_678_901_234_i64, "status": status,
            "update_ts": at,
            "restaurant": {"id": id("r"), "name": format!("R{letter}"), "update_ts": at},
            "user": {"id": id("u"), "name": format!("U{letter}"), "login": "l", "update_ts": at},
            "products": [{
                "id": id("p"), "price": 300, "quantity": 1, "name": format!("P{letter}"), "category": format!("C{letter}"),
            }],
        },
    })
    .to_string()
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_b_a_the_newest_version_is_current_and_comes_first_in_every_order_of_arrival() {
    let stage = Stage::build("history", 1).await.unwrap();
    let arrivals = [[1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]];
    let messages: Vec<Vec<u8>> =
        (1..).zip(arrivals).flat_map(|(order, versions)| versions.map(|version| message(order, version))).collect();
    // A version meets rows that are committed, not only those of its own batch; then everything comes once more.
    let service = stage.start("dds", &[("BATCH_MAX_RECORDS", "1")]).unwrap();
    for _ in 0..2 {
        let records = messages.iter().map(|payload| Produced { key: None, partition: None, payload: payload.clone() });
        stage.produce("dds", records).await.unwrap();
        stage.drained("dds", PATIENCE).await.unwrap();
        for order in 1..=6 {
            let shown = shown(&service, &order.to_string()).await;
            let id = |what: &str| format!("{what}{order}");
            let current = json!({
                "status": "CLOSED", "cost": "300.50000", "payment": "12345678901234.00000",
                "users": [{"user_id": id("u"), "username": "UA", "userlogin": "l"}],
                "products": [{"product_id": id("p"), "name": "PA"}],
                "restaurants": [{"restaurant_id": id("r"), "name": "RA"}],
            });
            assert_eq!(shown["current"], current, "order {order}");
            let history = |rows: &Value, name: &str| -> Vec<(String, String)> {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                rows.as_array().unwrap().iter().map(|row| (text(&row[name]), text(&row["effective_dt"]))).collect()
            };
            for (rows, name, newer, older) in [
                (&shown["statuses"], "status", "CLOSED", "CANCELLED"),
                (&shown["costs"], "cost", "300.50000", "99.50000"),
                (&shown["users"][0]["names"], "username", "UA", "UB"),
                (&shown["products"][0]["names"], "name", "PA", "PB"),
                (&shown["restaurants"][0]["names"], "name", "RA", "RB"),
            ] {
                let rows = history(rows, name);
                let effective = |day: u32| format!("2023-05-0{day}T10:00:00Z");
                let expected = [(newer.to_owned(), effective(3)), (older.to_owned(), effective(2))];
                assert_eq!(rows, expected, "order {order}");
            }
            let categories: Vec<&Value> = shown["products"][0]["categories"]
                .as_array()
                .unwrap()
                .iter()
                .map(|category| &category["category_name"])
                .collect();
            assert_eq!(categories, ["CA", "CB"]);
        }
    }
    let views: Vec<(i64, String, String)> = sqlx::query_as(
        "select order_id, status, cost::text from dds.h_order join dds.s_order_status_current using (h_order_pk) \
         join dds.s_order_cost_current using (h_order_pk)",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    assert_eq!(views.len(), 6);
    assert!(views.iter().all(|(_, status, cost)| (&**status, &**cost) == ("CLOSED", "300.50000")), "{views:?}");
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_a_vault_that_was_taken_over_is_shown_and_one_that_is_not_there_is_not_found() {
    let stage = Stage::build("vault_ids", 1).await.unwrap();
    sqlx::raw_sql(EXISTING).execute(&stage.pool).await.unwrap();
    let service = stage.start("dds", &[]).unwrap();
    service.ready(PATIENCE).await.unwrap();
    let orders: Vec<(i64, String, i64)> = sqlx::query_as(
        "select order_id, h_order_pk::text, (select count(*) from dds.l_order_product l where l.h_order_pk = h.h_order_pk) \
         from dds.h_order h",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    assert!(!orders.is_empty());
    for (order, hub_key, products) in orders {
        let shown = service.read(&format!("/api/v1/orders/{order}")).await.unwrap();
        assert_eq!(shown["order"]["hub_key"], hub_key);
        assert_eq!(i64::try_from(shown["products"].as_array().unwrap().len()).unwrap(), products);
        let status: Option<String> =
            sqlx::query_scalar("select status from dds.s_order_status_current where h_order_pk = $1::text::uuid")
                .bind(&hub_key)
                .fetch_optional(&stage.pool)
                .await
                .unwrap();
        assert_eq!(shown["current"]["status"].as_str(), status.as_deref());
    }
    for id in [
        "4711",
        "-4711",
        "one",
        "%FF",
        "%00",
        "a%2Fb",
        "%20",
        "9223372036854775808",
        &key("no order"),
        &"7".repeat(600),
    ] {
        assert_refused(&service, &format!("/api/v1/orders/{id}"), 404, "order_not_found").await;
    }
    assert_refused(&service, "/api/v1/orders/1?at=now", 400, "unknown_parameter").await;
    drop(service);
    stage.tear_down().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_loaded_by_the_servers_clock_and_not_by_a_replicas() {
    let stage = Stage::build("clock", 1).await.unwrap();
    // A server whose clock is a month behind.
    let skewed = format!(
        "create schema skewed; create function skewed.clock_timestamp() returns timestamptz language sql \
         as $$ select pg_catalog.now() - interval '30 days' $$; \
         alter database {} set search_path = skewed, pg_catalog, public",
        stage.name
    );
    sqlx::raw_sql(AssertSqlSafe(skewed)).execute(&stage.pool).await.unwrap();
    let service = stage.start("dds", &[]).unwrap();
    stage.produce("dds", [Produced { key: None, partition: None, payload: message(1, 1) }]).await.unwrap();
    stage.drained("dds", PATIENCE).await.unwrap();
    let loaded: Vec<(String, bool)> = sqlx::query_as(
        "select kind, load_dt < (now() at time zone 'utc') - interval '29 days' \
         from (select 'order', load_dt from dds.h_order union all select 'status', load_dt from dds.s_order_status \
               union all select 'category', load_dt from dds.h_category) loaded (kind, load_dt) order by kind",
    )
    .fetch_all(&stage.pool)
    .await
    .unwrap();
    assert_eq!(loaded, ["category", "order", "status"].map(|kind| (kind.to_owned(), true)));
    drop(service);
    stage.tear_down().await.unwrap();
}
