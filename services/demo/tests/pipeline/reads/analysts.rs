//! Straight from PostgreSQL: a role that reads the views, and nothing else.

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::scene::Scene;

const VIEWS: [(&str, &str); 5] = [
    ("v_user_product_counters", "user-product-counters"),
    ("v_user_category_counters", "user-category-counters"),
    ("v_restaurant_category_counters", "restaurant-category-counters"),
    ("v_product_counters", "product-counters"),
    ("v_category_counters", "category-counters"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_analysts_role_reads_what_the_api_shows_and_nothing_else() {
    let scene = Scene::new("analysts").await;
    scene.fill(2_000).await;
    scene
        .sql(
            "insert into cdm.user_category_counters (user_id, category_id, category_name, order_cnt) \
             select md5('u' || n / 10)::uuid, md5('c' || n % 10)::uuid, 'category ' || n % 10, n % 4 \
             from generate_series(0, 99) n; \
             insert into cdm.restaurant_category_counters \
                 (restaurant_id, restaurant_name, category_id, category_name, order_cnt) \
             select md5('r' || n / 10)::uuid, 'restaurant', md5('c' || n % 10)::uuid, 'category ' || n % 10, n % 4 \
             from generate_series(0, 99) n; \
             insert into ops.applied_offsets (layer, topic, partition, next_offset, record_time) \
             values ('cdm', 'any', 0, 5, '2026-03-01T10:00:00Z'); \
             insert into cdm.order_ledger (order_id, version, status, user_id, restaurant_id, product_ids, category_ids) \
             select md5('o' || n)::uuid, now(), (array['OPEN', 'CLOSED', 'CANCELLED'])[n], md5('u')::uuid, md5('r')::uuid, '{}', '{}' \
             from generate_series(1, 3) n",
        )
        .await;
    let options = (*scene.stage.pool.connect_options()).clone();
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute("set role ordervault_bi").await.map(|_| ()) })
        })
        .connect_with(options.clone())
        .await
        .unwrap();
    for (view, list) in VIEWS {
        let sql =
            format!("select count(*), sum(order_cnt)::bigint, max(as_of)::text from cdm.{view} where order_cnt > 0");
        let (rows, sum, as_of): (i64, i64, String) =
            sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap();
        let page = scene.json(&format!("/api/v1/{list}?limit=10000&count=exact"), 200).await;
        assert_eq!(page["count"], rows, "{view}");
        let counts = page["items"].as_array().unwrap().iter().map(|item| item["order_cnt"].as_i64().unwrap());
        assert_eq!(counts.sum::<i64>(), sum, "{view}");
        assert!(rows > 0 && as_of.starts_with("2026-03-01 "), "{view}: {rows} rows as of {as_of}");
    }
    let orders: (i64, Vec<String>) = sqlx::query_as(
        "select sum(order_cnt)::bigint, array_agg(status) filter (where not counted) from cdm.v_order_counters",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(orders, (3, vec!["CANCELLED".to_owned()]));
    for refused in
        ["select from cdm.order_ledger", "select from ops.dead_letters", "delete from cdm.user_category_counters"]
    {
        let error = pool.execute(refused).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{refused}");
    }
    pool.close().await;
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_may_not_make_the_role_runs_all_the_same_and_migrate_prints_how() {
    let stage = ordervault_demo::stage::Stage::build("no_role", 1).await.unwrap();
    let owner = format!("owner_{}", stage.name);
    let options = (*stage.pool.connect_options()).clone();
    let mut admin = PgConnection::connect_with(&options).await.unwrap();
    let sql = format!("create role {owner} login password 'pass'; grant create on database {} to {owner}", stage.name);
    admin.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    // The role is there already where other tests were quicker; what then cannot be done is nothing.
    let settings = [("PG_WAREHOUSE_USER", owner.as_str()), ("PG_WAREHOUSE_PASSWORD", "pass")];
    let mut migrate = stage.command("cdm", &settings).unwrap();
    let ran = migrate.arg("migrate").output().await.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let said = String::from_utf8(ran.stdout).unwrap();
    let there: bool = sqlx::query_scalar("select has_schema_privilege('ordervault_bi', 'cdm', 'usage')")
        .fetch_one(&stage.pool)
        .await
        .unwrap_or(false);
    assert!(there || said.contains("create role ordervault_bi"), "{said}");
    let mut service = stage.start("cdm", &settings).unwrap();
    service.ready(std::time::Duration::from_mins(1)).await.unwrap();
    service.stop(std::time::Duration::from_secs(30)).await.unwrap();
    let sql = format!("drop owned by {owner} cascade; drop role {owner}");
    admin.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    admin.close().await.unwrap();
    stage.tear_down().await.unwrap();
}
