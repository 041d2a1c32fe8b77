//! Segments: who ordered something often enough.

use serde_json::{Value, json};

use super::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_has_the_users_over_the_threshold_the_greatest_first_with_their_names() {
    let scene = Scene::new("segments").await;
    scene
        .sql(
            "insert into cdm.user_category_counters (user_id, category_id, category_name, order_cnt) \
             select md5('u' || n)::uuid, c.id::uuid, c.name, n % 17 from generate_series(1, 300) n, \
                 (values ('96927a73-3397-50a0-8021-3417b0869c60', 'Закуски'), (md5('other'), 'Супы')) c(id, name); \
             insert into cdm.names (kind, id, name, version) \
             select 'user', md5('u' || n)::uuid, 'user ' || n, '2026-03-01' from generate_series(1, 200) n",
        )
        .await;
    for category in ["Закуски", "96927a73-3397-50a0-8021-3417b0869c60"] {
        let (mut users, mut cursor): (Vec<Value>, String) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/users?category={category}&order_cnt_min=5&limit=40&count=exact{cursor}");
            let page = scene.json(&path, 200).await;
            users.extend(page["items"].as_array().unwrap().clone());
            let expected: i64 = sqlx::query_scalar(
                "select count(*) from cdm.user_category_counters where category_name = 'Закуски' and order_cnt >= 5",
            )
            .fetch_one(&scene.stage.pool)
            .await
            .unwrap();
            assert_eq!(page["count"], json!(expected));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let expected: Vec<(String, i64, Option<String>)> = sqlx::query_as(
            "select user_id::text, order_cnt, (select name from cdm.names n where n.kind = 'user' and n.id = user_id) \
             from cdm.user_category_counters where category_name = 'Закуски' and order_cnt >= 5 \
             order by order_cnt desc, id desc",
        )
        .fetch_all(&scene.stage.pool)
        .await
        .unwrap();
        let expected: Vec<Value> = expected
            .into_iter()
            .map(|(id, count, name)| json!({"user_id": id, "user_name": name, "order_cnt": count}))
            .collect();
        assert_eq!(users, expected);
    }
    let csv = scene.get("/api/v1/users?category=Закуски&order_cnt_min=16&format=csv&fields=user_name,order_cnt").await;
    let rows = super::formats::read(&csv.text().await.unwrap(), ',');
    assert_eq!(rows[0], ["user_name", "order_cnt"]);
    assert!(rows.len() > 5 && rows[1..].iter().all(|row| row[1] == "16"), "{rows:?}");
    for (query, parameter) in [("", "category"), ("category=a&product=b", "product"), ("category=a&sort=id", "sort")] {
        let refused = scene.json(&format!("/api/v1/users?{query}"), 400).await;
        assert_eq!(refused["errors"][0]["parameter"], parameter);
    }
    scene.tear_down().await;
}
