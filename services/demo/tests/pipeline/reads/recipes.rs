//! The recipes of `docs/bi.md` that need no foreign program, run as they stand there.

use std::path::Path;

use ordervault_demo::stage::OPS_TOKEN;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::process::Command;

use super::scene::Scene;

/// The content of each of the page's fences of a language.
fn fences(language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/bi.md")).unwrap();
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

/// Runs a recipe as somebody who has been told the address and a token; what it said.
async fn run(scene: &Scene, program: &str, script: &str) -> (String, String) {
    let mut command = Command::new(program);
    let ran = command.args(["-c", script]).env("CDM", &scene.cdm.url).env("TOKEN", OPS_TOKEN).output().await.unwrap();
    let said = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
    assert!(ran.status.success(), "{script}\n{said:?}");
    said
}

/// Counters of three categories, of which each has twice as many orders as the one before.
async fn categories(scene: &Scene) {
    scene
        .sql(
            "insert into cdm.user_category_counters (user_id, category_id, category_name, order_cnt) \
             select gen_random_uuid(), id::uuid, name, n % 17 * times from generate_series(1, 300) n, \
                 (values ('96927a73-3397-50a0-8021-3417b0869c60', 'Закуски', 1), \
                     ('0a24e876-3713-5a58-af3d-40f6d010814b', 'Супы & бульоны', 2), \
                     ('3e6c9b8b-1262-58f6-826b-f4f4e6ca3d33', 'Pizza, \"large\"', 4)) category(id, name, times)",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipes_of_the_analysts_page_work_as_they_stand_there() {
    let scene = Scene::new("recipes").await;
    scene.fill(25_000).await;
    categories(&scene).await;
    let shell = fences("sh");
    assert_eq!(shell.len(), 2);
    let (segment, _) = run(&scene, "bash", &format!("set -euo pipefail\n{}", shell[0])).await;
    let segment: serde_json::Value = serde_json::from_str(&segment).unwrap();
    assert_eq!(segment["items"].as_array().unwrap().len(), 3);
    assert_eq!(segment["items"][0]["order_cnt"], 16);
    let (dishes, _) = run(&scene, "bash", &format!("set -euo pipefail\n{}", shell[1])).await;
    assert_eq!(super::formats::read(&dishes, ',').len(), 4);

    let python: Vec<String> = fences("python").into_iter().filter(|script| !script.contains("pandas")).collect();
    assert_eq!(python.len(), 1);
    let (_, told) = run(&scene, "python3", &python[0]).await;
    let sql = "select count(*), sum(order_cnt)::bigint from cdm.user_product_counters";
    let (counters, orders): (i64, i64) = sqlx::query_as(sql).fetch_one(&scene.stage.pool).await.unwrap();
    assert_eq!(told, format!("{counters} counters, {orders} orders of dishes\n"));

    let sql = fences("sql").into_iter().find(|sql| sql.contains("cdm.v_")).unwrap();
    scene
        .sql(
            "insert into cdm.restaurant_category_counters \
                 (restaurant_id, restaurant_name, category_id, category_name, order_cnt) \
             select gen_random_uuid(), 'place ' || n, gen_random_uuid(), 'soup', n from generate_series(0, 5) n",
        )
        .await;
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&scene.stage.pool).await.unwrap();
    let counts: Vec<i64> = rows.iter().map(|row| row.get("order_cnt")).collect();
    assert_eq!(counts, [5, 4, 3]);
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pandas and DuckDB, which tools/checkers installs"]
async fn pandas_and_duckdb_sum_what_the_table_has() {
    let scene = Scene::new("foreign_recipes").await;
    categories(&scene).await;
    let sql = "select category_name, sum(order_cnt)::bigint from cdm.user_category_counters \
               group by 1 order by 2 desc limit 3";
    let expected: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(&scene.stage.pool).await.unwrap();

    let pandas = fences("python").into_iter().find(|script| script.contains("pandas")).unwrap();
    let (summed, _) = run(&scene, "analysts-python", &pandas).await;
    let rows: Vec<(String, i64)> = summed
        .lines()
        .filter_map(|line| line.rsplit_once("  "))
        .map(|(name, count)| (name.trim().to_owned(), count.trim().parse().unwrap()))
        .collect();
    assert_eq!(rows, expected, "{summed}");

    let sql = fences("sql").into_iter().find(|sql| sql.contains("read_csv")).unwrap();
    let sql = sql.replace("http://cdm:5000", &scene.cdm.url).replace("TOKEN", OPS_TOKEN);
    // Its extension comes from an archive of packages and not from its maker's server.
    let script = format!(
        "import duckdb, duckdb_extensions, json\n\
         duckdb_extensions.import_extension('httpfs')\n\
         duckdb.execute('load httpfs')\n\
         answers = [duckdb.execute(question).fetchall() for question in {sql:?}.split(';') if question.strip()]\n\
         print(json.dumps(answers[1:]))"
    );
    let (answers, _) = run(&scene, "analysts-python", &script).await;
    let answers: Vec<Vec<(String, i64)>> = serde_json::from_str(&answers).unwrap();
    assert_eq!(answers, [expected.clone(), expected]);
    scene.tear_down().await;
}
