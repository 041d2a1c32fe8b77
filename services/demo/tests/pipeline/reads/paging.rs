//! Pages while a writer changes what they show.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use super::scene::Scene;

/// Counters, of which each tenth is changed all the while.
const COUNTERS: i64 = 200_000;
const SORTS: [&str; 5] = ["id", "user_id", "product_id", "product_name", "order_cnt"];

/// The ids of all pages in their order.
async fn pages(scene: &Scene, query: &str) -> Vec<i64> {
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/user-product-counters?include_zero=true&limit=10000&{query}{cursor}");
        let page = scene.json(&path, 200).await;
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()));
        match &page["next_cursor"] {
            Value::Null => return ids,
            next => cursor = format!("&cursor={}", next.as_str().unwrap()),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_counter_that_does_not_move_comes_exactly_once_in_every_order_while_others_change() {
    let scene = Scene::new("paging").await;
    scene.fill(COUNTERS).await;
    let (done, rows_written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (pool, stop, made) = (scene.stage.pool.clone(), Arc::clone(&done), Arc::clone(&rows_written));
    let writer = tokio::spawn(async move {
        while !stop.load(Ordering::Relaxed) {
            let changed = sqlx::query(
                "update cdm.user_product_counters set order_cnt = (random() * 30)::int, \
                     product_name = case when random() < 0.2 then 'renamed ' || random() else product_name end \
                 where id in (select (random() * $1)::bigint / 10 * 10 from generate_series(1, 50))",
            )
            .bind(COUNTERS)
            .execute(&pool)
            .await
            .unwrap();
            made.fetch_add(changed.rows_affected(), Ordering::Relaxed);
            // New ones come as well.
            sqlx::query(
                "insert into cdm.user_product_counters (id, user_id, product_id, product_name, order_cnt) \
                 select (select max(id) / 10 * 10 + 10 from cdm.user_product_counters), gen_random_uuid(), \
                        gen_random_uuid(), 'new', 1",
            )
            .execute(&pool)
            .await
            .unwrap();
        }
    });
    for column in SORTS {
        for (sort, direction) in [(column.to_owned(), "asc"), (format!("-{column}"), "desc")] {
            let before = rows_written.load(Ordering::Relaxed);
            let found: Vec<i64> = pages(&scene, &format!("sort={sort}&fields=id")).await;
            assert!(rows_written.load(Ordering::Relaxed) > before, "nothing changed meanwhile");
            let mut times: BTreeMap<i64, u32> = BTreeMap::new();
            for id in &found {
                *times.entry(*id).or_default() += 1;
            }
            let still: Vec<i64> = found.into_iter().filter(|id| id % 10 != 0).collect();
            let sql = format!(
                "select id from cdm.user_product_counters where id % 10 <> 0 order by {column} {direction}, id {direction}"
            );
            let expected: Vec<i64> =
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&scene.stage.pool).await.unwrap();
            assert_eq!(expected.len(), usize::try_from(COUNTERS / 10 * 9).unwrap());
            assert!(still == expected, "sorted by {sort} the {} counters are not the {}", still.len(), expected.len());
            // Sorted by what does not change none comes twice, not even of those that do.
            if ["id", "user_id", "product_id"].contains(&column) {
                assert!(times.values().all(|times| *times == 1), "{sort}");
            }
        }
    }
    done.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    scene.tear_down().await;
}
