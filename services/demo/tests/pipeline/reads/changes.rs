//! A copy that follows the changes, while many write at once and some commit late.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use fastrand::Rng;
use ordervault_demo::stage::until;
use serde_json::Value;
use sqlx::PgPool;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::scene::Scene;

const PATIENCE: Duration = Duration::from_mins(1);
const WRITERS: usize = 20;
const RUNS: u64 = 10;
const LIST: &str = "/api/v1/user-product-counters";
const COPIED: &str = "select id, order_cnt, product_name from cdm.user_product_counters";

/// A client's copy, by the counters' ids.
#[derive(Default)]
struct Copy {
    rows: BTreeMap<i64, (i64, String)>,
    since: Option<String>,
}

impl Copy {
    /// Takes what has changed, page by page, until a page is not full.
    async fn follow(&mut self, scene: &Scene, rng: &mut Rng) {
        loop {
            let limit = rng.u64(1..60);
            let since = self.since.as_ref().map_or(String::new(), |since| format!("&since={since}"));
            let page = scene.json(&format!("{LIST}/changes?limit={limit}{since}"), 200).await;
            let items = page["items"].as_array().unwrap();
            self.take(items);
            self.since = Some(page["next"].as_str().unwrap().to_owned());
            if (items.len() as u64) < limit {
                return;
            }
        }
    }

    fn take(&mut self, items: &[Value]) {
        for item in items {
            let row = (item["order_cnt"].as_i64().unwrap(), item["product_name"].as_str().unwrap().to_owned());
            self.rows.insert(item["id"].as_i64().unwrap(), row);
        }
    }

    async fn assert_equal(&self, pool: &PgPool) {
        let rows: Vec<(i64, i64, String)> = sqlx::query_as(COPIED).fetch_all(pool).await.unwrap();
        let expected: BTreeMap<_, _> = rows.into_iter().map(|(id, count, name)| (id, (count, name))).collect();
        let missed = expected.iter().filter(|(id, row)| self.rows.get(id) != Some(row)).take(5).collect::<Vec<_>>();
        assert_eq!(self.rows.len(), expected.len());
        assert!(missed.is_empty(), "the copy lacks {missed:?}");
    }
}

/// Changes counters in transactions that take their number at once and commit when they like.
async fn write(pool: PgPool, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    for _ in 0..rng.u32(3..8) {
        let mut tx = pool.begin().await.unwrap();
        sqlx::query("select pg_current_xact_id()").execute(&mut *tx).await.unwrap();
        tokio::time::sleep(Duration::from_millis(rng.u64(0..40))).await;
        for _ in 0..rng.u32(1..5) {
            // One lock at a time, in whatever order: whoever meets a deadlock has changed nothing.
            let changed = sqlx::query(
                "insert into cdm.user_product_counters (user_id, product_id, product_name, order_cnt) \
                 values (md5('u' || $1)::uuid, md5('p')::uuid, 'dish', 1) \
                 on conflict (user_id, product_id) do update \
                 set order_cnt = case when $2 then 0 else user_product_counters.order_cnt + 1 end",
            )
            .bind(rng.i32(0..300))
            .bind(rng.u8(0..5) == 0)
            .execute(&mut *tx)
            .await;
            if changed.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(rng.u64(0..20))).await;
        }
        if rng.u8(0..8) == 0 { tx.rollback().await.unwrap() } else { tx.commit().await.unwrap() }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_follows_the_changes_equals_the_table_however_late_writers_commit() {
    let mut scene = Scene::new("changes").await;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(u32::try_from(WRITERS).unwrap())
        .connect_with((*scene.stage.pool.connect_options()).clone())
        .await
        .unwrap();
    let (mut from_changes, mut from_list) = (Copy::default(), Copy::default());
    for run in 0..RUNS {
        let mut rng = Rng::with_seed(run);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(pool.clone(), run * 1_000 + writer as u64));
        }
        if from_list.since.is_none() {
            // A whole list, and from then on what has changed since.
            let answer = scene.get(&format!("{LIST}?format=ndjson&include_zero=true")).await;
            from_list.since = Some(answer.headers()["ordervault-changes-cursor"].to_str().unwrap().to_owned());
            let body = answer.text().await.unwrap();
            from_list.take(&body.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>());
        }
        while let Some(written) = writers.try_join_next() {
            written.unwrap();
        }
        while !writers.is_empty() {
            from_changes.follow(&scene, &mut rng).await;
            from_list.follow(&scene, &mut rng).await;
            while let Some(written) = writers.try_join_next() {
                written.unwrap();
            }
        }
        if run % 3 == 2 {
            scene.restart().await;
        }
        from_changes.follow(&scene, &mut rng).await;
        from_list.follow(&scene, &mut rng).await;
        from_changes.assert_equal(&scene.stage.pool).await;
        from_list.assert_equal(&scene.stage.pool).await;
    }
    pool.close().await;
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sums_that_have_changed_come_page_by_page_as_they_are() {
    let scene = Scene::new("changed_sums").await;
    scene.fill(4_000).await;
    let mut rng = Rng::with_seed(1);
    let mut sums: BTreeMap<String, i64> = BTreeMap::new();
    let mut since = String::new();
    for round in 0..5 {
        loop {
            let page = scene.json(&format!("/api/v1/product-counters/changes?limit=37{since}"), 200).await;
            let items = page["items"].as_array().unwrap();
            for item in items {
                let count = item["order_cnt"].as_i64().unwrap();
                sums.insert(item["product_id"].as_str().unwrap().to_owned(), count);
            }
            since = format!("&since={}", page["next"].as_str().unwrap());
            if items.len() < 37 {
                if round > 0 {
                    assert!(items.len() < 37, "the last round had {} changed dishes", items.len());
                }
                break;
            }
            if rng.bool() {
                scene.sql("update cdm.user_product_counters set order_cnt = order_cnt + 1 where id % 400 < 50").await;
            }
        }
        let sql = "select product_id::text, sum(order_cnt)::bigint from cdm.user_product_counters group by 1";
        // What was written after the round's pages comes in the next round.
        if round == 4 {
            let expected: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(&scene.stage.pool).await.unwrap();
            assert_eq!(sums, expected.into_iter().collect());
        }
        if round < 3 {
            scene.sql("update cdm.user_product_counters set order_cnt = 7 where id % 400 = 3").await;
        }
    }
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_tables_that_were_restored_from_a_dump_is_refused_with_how_to_start_anew() {
    let mut scene = Scene::new("restored").await;
    scene.fill(400).await;
    let page = scene.json(&format!("{LIST}/changes?limit=10000"), 200).await;
    let since = page["next"].as_str().unwrap().to_owned();
    let tag = scene.get(LIST).await.headers()["etag"].to_str().unwrap().to_owned();
    let options = (*scene.stage.pool.connect_options()).clone();
    let environment = scene.stage.environment("cdm");
    let client = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(["--host", options.get_host(), "--port", &options.get_port().to_string()]);
        command.args(["--username", options.get_username(), "--dbname", &scene.stage.name]).args(arguments);
        command.env("PGPASSWORD", &environment["PG_WAREHOUSE_PASSWORD"]).stdin(Stdio::null());
        command
    };
    let dumped = client("pg_dump", &["--schema", "cdm"]).output().await.unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    // What is written after the dump is lost with the restore.
    scene.sql("update cdm.user_product_counters set order_cnt = 77 where id = 5").await;
    scene.cdm.stop(Duration::from_secs(30)).await.unwrap();
    scene.sql("drop schema cdm cascade").await;
    let file = std::env::temp_dir().join(format!("{}.sql", scene.stage.name));
    std::fs::write(&file, &dumped.stdout).unwrap();
    let arguments = ["--quiet", "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file", file.to_str().unwrap()];
    let restored = client("psql", &arguments).output().await.unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    scene.cdm = scene.stage.start("cdm", &[]).unwrap();
    scene.cdm.ready(Duration::from_mins(1)).await.unwrap();

    let refused = scene.json(&format!("{LIST}/changes?since={since}"), 410).await;
    assert_eq!(refused["code"], "cursor_outdated");
    let held = scene.client.get(format!("{}{LIST}", scene.cdm.url)).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(held.status(), 200);
    let mut copy = Copy::default();
    copy.follow(&scene, &mut Rng::with_seed(1)).await;
    copy.assert_equal(&scene.stage.pool).await;
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_told_of_a_change_once_it_is_committed_and_of_nothing_otherwise() {
    let scene = Scene::new("long_poll").await;
    scene.fill(400).await;
    let page = scene.json(&format!("{LIST}/changes?limit=10000"), 200).await;
    let since = page["next"].as_str().unwrap().to_owned();
    let mut tx = scene.stage.pool.begin().await.unwrap();
    sqlx::query("update cdm.user_product_counters set order_cnt = 91 where id = 17").execute(&mut *tx).await.unwrap();
    let nothing = scene.json(&format!("{LIST}/changes?since={since}&wait=1s"), 200).await;
    assert_eq!(nothing["items"], serde_json::json!([]));
    let next = nothing["next"].as_str().unwrap().to_owned();
    let path = format!("{LIST}/changes?since={next}&wait=60s");
    let (told, ()) = tokio::join!(scene.json(&path, 200), async { tx.commit().await.unwrap() });
    let ids: Vec<&Value> = told["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, [17]);
    assert_eq!(told["items"][0]["order_cnt"], 91);
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_and_a_tag_that_are_older_than_the_log_of_changes_are_answered_with_every_counter() {
    let scene = Scene::new("forgotten").await;
    scene.fill(400).await;
    let list = scene.get(LIST).await;
    let (tag, since) = (list.headers()["etag"].clone(), list.headers()["ordervault-changes-cursor"].clone());
    let old = format!("{LIST}/changes?limit=10000&since={}", since.to_str().unwrap());
    scene.sql("update cdm.user_product_counters set order_cnt = 91 where id = 17").await;
    let page = scene.json(&old, 200).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    // It is open for long, and began before somebody gets a tag that does not see what it changes.
    let mut late = scene.stage.pool.begin().await.unwrap();
    sqlx::query("update cdm.user_product_counters set order_cnt = 92 where id = 18").execute(&mut *late).await.unwrap();
    // Of a million and more that have changed since, the log keeps no account, and nobody reads one.
    scene
        .sql(
            "insert into cdm.counter_changes (counter, row_count, ids) \
             values ('cdm.user_product_counters', 1000001, '{17}')",
        )
        .await;
    assert_eq!(scene.json(&old, 200).await["items"].as_array().unwrap().len(), 400);
    let younger = scene.get(LIST).await.headers()["etag"].clone();
    late.commit().await.unwrap();
    // Not while a transaction is open that was before them, in whatever database.
    until("the older ones to be forgotten", PATIENCE, async || {
        scene.sql("select cdm.forget_changes()").await;
        let left = "select sum(row_count)::bigint from cdm.counter_changes";
        let left: i64 = sqlx::query_scalar(left).fetch_one(&scene.stage.pool).await.unwrap();
        Ok((left == 1_000_001).then_some(()))
    })
    .await
    .unwrap();
    let everything = scene.json(&old, 200).await;
    assert_eq!(everything["items"].as_array().unwrap().len(), 400);
    assert_eq!(
        (&everything["items"][16]["order_cnt"], &everything["items"][17]["order_cnt"]),
        (&91.into(), &92.into())
    );
    for tag in [tag, younger] {
        let request = scene.client.get(format!("{}{LIST}", scene.cdm.url)).header("if-none-match", tag);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    // What is kept is exact as before.
    let page =
        scene.json(&format!("{LIST}/changes?limit=10000&since={}", everything["next"].as_str().unwrap()), 200).await;
    assert_eq!(page["items"], serde_json::json!([]));
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dump_of_another_server_says_of_transactions_yet_to_come_is_no_change_here() {
    let scene = Scene::new("elsewhere").await;
    scene.fill(400).await;
    scene
        .sql(
            "update cdm.counter_changes set changed_in = '4000000000000'; \
             update cdm.counter_changes_kept set since = '4000000000000'",
        )
        .await;
    let copied = async || {
        let page = scene.json(&format!("{LIST}/changes?limit=10000"), 200).await;
        page["next"].as_str().unwrap().to_owned()
    };
    let changed = async |since: &str| {
        let page = scene.json(&format!("{LIST}/changes?limit=10000&since={since}"), 200).await;
        page["items"].as_array().unwrap().len()
    };
    // Whether the log has everything can only be told once it has been tidied up.
    assert_eq!(changed(&copied().await).await, 400);
    scene.sql("select cdm.forget_changes()").await;
    let left: i64 =
        sqlx::query_scalar("select count(*) from cdm.counter_changes").fetch_one(&scene.stage.pool).await.unwrap();
    assert_eq!(left, 0);
    let since = copied().await;
    assert_eq!(changed(&since).await, 0);
    let tag = scene.get(LIST).await.headers()["etag"].clone();
    let held = scene.client.get(format!("{}{LIST}", scene.cdm.url)).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(held.status(), 304);
    scene.sql("update cdm.user_product_counters set order_cnt = 91 where id = 17").await;
    assert_eq!(changed(&since).await, 1);
    scene.tear_down().await;
}
