//! Parameters from people who mean harm, or do not know better: an answer that says so, and tables as they were.

use serde_json::Value;

use super::scene::Scene;

/// What is tried in every parameter.
const HOSTILE: [&str; 24] = [
    "'",
    "\"",
    "';drop table cdm.user_product_counters;--",
    "1;select pg_sleep(30)",
    "1 or 1=1",
    "' or '1'='1",
    "') union select usename, passwd from pg_shadow--",
    "$1",
    "$$;delete from cdm.user_product_counters;$$",
    "{0}",
    "%s%n%d",
    "%27",
    "\\",
    "\\.",
    "../../etc/passwd",
    "current_setting('ordervault.value_0')",
    "*/ delete from cdm.names /*",
    "\u{1}\u{2}",
    "\r\nSet-Cookie: x=1",
    "🍕\u{202e}",
    "999999999999999999999999999999",
    "-1",
    "(a+)+$",
    "^(((((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+$",
];

const PARAMETERS: [&str; 19] = [
    "user",
    "product",
    "name",
    "name_prefix",
    "order_cnt_min",
    "order_cnt_max",
    "include_zero",
    "sort",
    "fields",
    "limit",
    "cursor",
    "count",
    "format",
    "delimiter",
    "bom",
    "escape_formulas",
    "min_offset",
    "wait",
    "unheard_of",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_parameter_harms_the_tables_or_the_service() {
    let scene = Scene::new("hostile").await;
    scene.fill(400).await;
    let footprint = "select md5(string_agg(c::text, ',' order by id)) from cdm.user_product_counters c";
    let before: String = sqlx::query_scalar(footprint).fetch_one(&scene.stage.pool).await.unwrap();
    for parameter in PARAMETERS {
        for value in HOSTILE {
            for format in ["json", "csv"] {
                let mut query = vec![(parameter, value)];
                if parameter != "format" {
                    query.push(("format", format));
                }
                let url = format!("{}/api/v1/user-product-counters", scene.cdm.url);
                let url = reqwest::Url::parse_with_params(&url, &query).unwrap();
                let answer = scene.client.get(url).send().await.unwrap();
                let status = answer.status().as_u16();
                assert!([200, 400, 404, 504].contains(&status), "{parameter}={value:?}: {status}");
                assert!(!answer.headers().contains_key("set-cookie"));
                let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
                let body = answer.text().await.unwrap();
                if status != 200 {
                    assert_eq!(kind, "application/problem+json");
                    let problem: Value = serde_json::from_str(&body).unwrap();
                    assert!(problem["detail"].as_str().unwrap().contains(parameter), "{problem}");
                }
                assert!(!body.contains("passwd") || body.contains(value), "{body}");
            }
        }
    }
    let after: String = sqlx::query_scalar(footprint).fetch_one(&scene.stage.pool).await.unwrap();
    assert_eq!(before, after);
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_cursors_are_refused_and_find_nothing_that_is_not_there() {
    let scene = Scene::new("forged").await;
    scene.fill(400).await;
    let page = scene.json("/api/v1/user-product-counters/changes?limit=5", 200).await;
    let next = page["next"].as_str().unwrap();
    for at in 0..next.len() {
        // Each letter changed in turn: refused, outdated, or a place that somebody may as well have.
        let letter = if next.as_bytes()[at] == b'A' { "B" } else { "A" };
        let forged = format!("{}{letter}{}", &next[..at], &next[at + 1..]);
        let answer = scene.get(&format!("/api/v1/user-product-counters/changes?since={forged}")).await;
        assert!([200, 400, 410].contains(&answer.status().as_u16()), "{forged}: {}", answer.status());
    }
    scene.tear_down().await;
}
