//! The recipes of `docs/bi.md` that need no foreign program, run as they stand there.

use std::path::Path;

use ordervault_demo::stage::OPS_TOKEN;
use tokio::process::Command;

use super::scene::Scene;

/// The content of each of the page's fences of a language.
fn fences(language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/bi.md")).unwrap();
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipes_of_the_analysts_page_work_as_they_stand_there() {
    let scene = Scene::new("recipes").await;
    scene.fill(25_000).await;
    scene
        .sql(
            "insert into cdm.user_category_counters (user_id, category_id, category_name, order_cnt) \
             select gen_random_uuid(), '96927a73-3397-50a0-8021-3417b0869c60', 'Закуски', n % 17 \
             from generate_series(1, 300) n",
        )
        .await;
    let run = async |program: &str, script: &str| {
        let mut command = Command::new(program);
        let ran =
            command.args(["-c", script]).env("CDM", &scene.cdm.url).env("TOKEN", OPS_TOKEN).output().await.unwrap();
        let said = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        assert!(ran.status.success(), "{script}\n{said:?}");
        said
    };
    let shell = fences("sh");
    assert_eq!(shell.len(), 2);
    let (segment, _) = run("bash", &format!("set -euo pipefail\n{}", shell[0])).await;
    let segment: serde_json::Value = serde_json::from_str(&segment).unwrap();
    assert_eq!(segment["items"].as_array().unwrap().len(), 3);
    assert_eq!(segment["items"][0]["order_cnt"], 16);
    let (dishes, _) = run("bash", &format!("set -euo pipefail\n{}", shell[1])).await;
    assert_eq!(super::formats::read(&dishes, ',').len(), 4);

    let python: Vec<String> = fences("python").into_iter().filter(|script| !script.contains("pandas")).collect();
    assert_eq!(python.len(), 1);
    let (_, told) = run("python3", &python[0]).await;
    let sql = "select count(*), sum(order_cnt)::bigint from cdm.user_product_counters";
    let (counters, orders): (i64, i64) = sqlx::query_as(sql).fetch_one(&scene.stage.pool).await.unwrap();
    assert_eq!(told, format!("{counters} counters, {orders} orders of dishes\n"));
    scene.tear_down().await;
}
