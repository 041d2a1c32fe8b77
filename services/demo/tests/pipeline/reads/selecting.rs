//! Every filter, sort and form against plain SQL, by random questions on random rows.

use fastrand::Rng;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use uuid::{Uuid, uuid};

use super::scene::Scene;

const QUESTIONS: u64 = 400;

/// Names that are hard to take apart: alike but for case, with what patterns, files and statements are made of.
const NAMES: [&str; 14] = [
    "Суп",
    "суп дня",
    "СУП, острый",
    "100% сок",
    "100_сок",
    "a\\b",
    "a.b",
    "it's \"good\"",
    "line\nbreak",
    "=cmd()",
    "-1",
    "🍕 пицца",
    "  blank ends ",
    "Straße",
];

/// A counter, its table as SQL, its columns with their filters: ids under the API's names for them, and names.
struct Subject {
    path: &'static str,
    table: &'static str,
    columns: &'static [&'static str],
    ids: &'static [(&'static str, &'static str)],
    names: &'static [(&'static str, &'static str)],
}

const SUBJECTS: [Subject; 5] = [
    Subject {
        path: "user-product-counters",
        table: "cdm.user_product_counters",
        columns: &["id", "user_id", "product_id", "product_name", "order_cnt"],
        ids: &[("user", "user_id"), ("product", "product_id")],
        names: &[("name", "product_name")],
    },
    Subject {
        path: "user-category-counters",
        table: "cdm.user_category_counters",
        columns: &["id", "user_id", "category_id", "category_name", "order_cnt"],
        ids: &[("user", "user_id"), ("category", "category_id")],
        names: &[("name", "category_name")],
    },
    Subject {
        path: "restaurant-category-counters",
        table: "cdm.restaurant_category_counters",
        columns: &["id", "restaurant_id", "restaurant_name", "category_id", "category_name", "order_cnt"],
        ids: &[("restaurant", "restaurant_id"), ("category", "category_id")],
        names: &[("name", "restaurant_name"), ("category_name", "category_name")],
    },
    Subject {
        path: "product-counters",
        table: "(select product_id, min(product_name) as product_name, sum(order_cnt)::bigint as order_cnt \
                 from cdm.user_product_counters group by 1) sums",
        columns: &["product_id", "product_name", "order_cnt"],
        ids: &[("product", "product_id")],
        names: &[("name", "product_name")],
    },
    Subject {
        path: "category-counters",
        table: "(select category_id, min(category_name) as category_name, sum(order_cnt)::bigint as order_cnt \
                 from cdm.user_category_counters group by 1) sums",
        columns: &["category_id", "category_name", "order_cnt"],
        ids: &[("category", "category_id")],
        names: &[("name", "category_name")],
    },
];

/// The hub key of the source's own id, made by the test itself.
fn key(id: &str) -> String {
    Uuid::new_v5(&uuid!("7f288a2e-0ad0-4039-8e59-6c9838d87307"), id.as_bytes()).to_string()
}

async fn fill(scene: &Scene, rng: &mut Rng) {
    let insert = |table: &str, columns: &str| {
        format!(
            "insert into cdm.{table} ({columns}, order_cnt) values ($1::uuid, $2::uuid, $3, $4) on conflict do nothing"
        )
    };
    for (table, columns) in [
        ("user_product_counters", "user_id, product_id, product_name"),
        ("user_category_counters", "user_id, category_id, category_name"),
    ] {
        for _ in 0..300 {
            let (one, other) = (rng.usize(0..12), rng.usize(0..NAMES.len()));
            let other_id =
                if table == "user_category_counters" { NAMES[other].to_owned() } else { format!("p{other}") };
            sqlx::query(AssertSqlSafe(insert(table, columns)))
                .bind(key(&format!("u{one}")))
                .bind(key(&other_id))
                .bind(NAMES[other])
                .bind(rng.i64(0..9))
                .execute(&scene.stage.pool)
                .await
                .unwrap();
        }
    }
    for _ in 0..200 {
        let (one, other) = (rng.usize(0..NAMES.len()), rng.usize(0..NAMES.len()));
        sqlx::query(
            "insert into cdm.restaurant_category_counters \
                 (restaurant_id, category_id, restaurant_name, category_name, order_cnt) \
             values ($1::uuid, $2::uuid, $3, $4, $5) on conflict do nothing",
        )
        .bind(key(&format!("r{one}")))
        .bind(key(NAMES[other]))
        .bind(NAMES[one])
        .bind(NAMES[other])
        .bind(rng.i64(0..9))
        .execute(&scene.stage.pool)
        .await
        .unwrap();
    }
}

/// A random question: its parameters, and the conditions of the same in SQL.
fn question(subject: &Subject, rng: &mut Rng) -> (Vec<(String, String)>, String) {
    let (mut parameters, mut conditions) = (Vec::new(), vec!["true".to_owned()]);
    for (parameter, column) in subject.ids {
        if rng.u8(0..4) > 0 {
            continue;
        }
        let id = match *parameter {
            "user" => format!("u{}", rng.u8(0..13)),
            "product" => format!("p{}", rng.usize(0..=NAMES.len())),
            "restaurant" => format!("r{}", rng.usize(0..=NAMES.len())),
            _ => NAMES[rng.usize(0..NAMES.len())].to_owned(),
        };
        let key = key(&id);
        conditions.push(format!("{column} = '{key}'"));
        let name = if rng.bool() { (*parameter).to_owned() } else { (*column).to_owned() };
        parameters.push((name, if rng.bool() { id } else { key }));
    }
    for (parameter, column) in subject.names {
        let name = NAMES[rng.usize(0..NAMES.len())];
        let quoted = |text: &str| text.replace('\'', "''");
        match rng.u8(0..5) {
            0 => {
                conditions.push(format!("{column} = '{}'", quoted(name)));
                parameters.push(((*parameter).to_owned(), name.to_owned()));
            }
            1 => {
                let length = rng.usize(1..4);
                let prefix: String = name.chars().take(length).collect();
                if prefix.trim().is_empty() {
                    continue;
                }
                let prefix = if rng.bool() { prefix.to_lowercase() } else { prefix };
                // The database's own idea of case, in a locale that knows all letters.
                let lower = |text: &str| format!("lower({text} collate \"und-x-icu\")");
                let quoted = quoted(&prefix);
                conditions.push(format!("starts_with({}, {})", lower(column), lower(&format!("'{quoted}'"))));
                parameters.push((format!("{parameter}_prefix"), prefix));
            }
            _ => {}
        }
    }
    if rng.bool() {
        let least = rng.i64(0..9);
        conditions.push(format!("order_cnt >= {least}"));
        parameters.push(("order_cnt_min".to_owned(), least.to_string()));
    }
    if rng.u8(0..3) == 0 {
        let most = rng.i64(0..9);
        conditions.push(format!("order_cnt <= {most}"));
        parameters.push(("order_cnt_max".to_owned(), most.to_string()));
    }
    if rng.bool() {
        parameters.push(("include_zero".to_owned(), "true".to_owned()));
    } else {
        conditions.push("order_cnt > 0".to_owned());
    }
    (parameters, conditions.join(" and "))
}

/// The rows that PostgreSQL has for it, as JSON.
async fn expected(scene: &Scene, sql: String) -> Vec<Value> {
    let rows = sqlx::query(AssertSqlSafe(format!("select to_json(r)::text from ({sql}) r")));
    let rows = rows.fetch_all(&scene.stage.pool).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_for_is_what_plain_sql_gives() {
    let scene = Scene::new("selecting").await;
    let mut rng = Rng::with_seed(5);
    fill(&scene, &mut rng).await;
    let mut found = 0;
    for number in 0..QUESTIONS {
        let subject = &SUBJECTS[rng.usize(0..SUBJECTS.len())];
        let (mut parameters, conditions) = question(subject, &mut rng);
        let unique = subject.columns[0];
        let (mut column, mut direction) = (unique, "asc");
        if rng.u8(0..4) > 0 {
            column = subject.columns[rng.usize(0..subject.columns.len())];
            direction = if rng.bool() { "asc" } else { "desc" };
            parameters.push(("sort".to_owned(), format!("{}{column}", if direction == "desc" { "-" } else { "" })));
        }
        let mut columns = subject.columns.to_vec();
        if rng.u8(0..3) == 0 {
            rng.shuffle(&mut columns);
            columns.truncate(rng.usize(1..=columns.len()));
            parameters.push(("fields".to_owned(), columns.join(",")));
        }
        let order = if column == unique {
            format!("{unique} {direction}")
        } else {
            format!("{column} {direction}, {unique} {direction}")
        };
        let sql = format!("select {} from {} where {conditions} order by {order}", columns.join(", "), subject.table);
        let expected = expected(&scene, sql).await;
        let limit = rng.usize(1..40);
        let count = ["none", "exact", "estimated"][rng.usize(0..3)];
        let ask = |extra: &[(&str, &str)]| {
            let all =
                parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(extra.iter().copied());
            let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/{}", scene.cdm.url, subject.path), all);
            scene.client.get(url.unwrap()).send()
        };

        // As pages.
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let limit = limit.to_string();
            let mut extra = vec![("limit", limit.as_str()), ("count", count)];
            extra.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let answer = ask(&extra).await.unwrap();
            let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
            let page: Value = answer.json().await.unwrap();
            rows.extend(page["items"].as_array().unwrap_or_else(|| panic!("{parameters:?}: {page}")).clone());
            match count {
                "none" => assert!(page["count"].is_null()),
                "exact" => assert_eq!(page["count"], expected.len(), "{parameters:?}"),
                _ => assert!(page["count"].is_i64()),
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            assert_eq!(link.is_some(), cursor.is_some());
            match &cursor {
                None => break,
                Some(cursor) => assert!(link.unwrap().contains(cursor.as_str())),
            }
        }
        assert_eq!(rows, expected, "question {number} of {}: {parameters:?}", subject.path);

        // As lines of JSON, and as CSV, whole.
        let lines = ask(&[("format", "ndjson")]).await.unwrap().text().await.unwrap();
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, expected, "question {number} as ndjson: {parameters:?}");
        let csv = ask(&[("format", "csv"), ("escape_formulas", "false")]).await.unwrap().text().await.unwrap();
        assert_eq!(
            super::formats::read(&csv, ','),
            table(&columns, &expected),
            "question {number} as csv: {parameters:?}"
        );
        found += expected.len();
    }
    assert!(found > 1_000, "only {found} rows were found by all questions");
    scene.tear_down().await;
}

/// Rows as a CSV has them: all is text.
fn table(columns: &[&str], rows: &[Value]) -> Vec<Vec<String>> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let head = columns.iter().map(|column| (*column).to_owned()).collect();
    std::iter::once(head)
        .chain(rows.iter().map(|row| columns.iter().map(|column| text(&row[column])).collect()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_question_is_refused() {
    let scene = Scene::new("cursors").await;
    scene.fill(400).await;
    let first = scene.json("/api/v1/user-product-counters?limit=5&sort=-order_cnt", 200).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    for other in [
        "user-product-counters?sort=order_cnt",
        "user-product-counters?sort=-order_cnt&order_cnt_min=2",
        "user-product-counters?",
        "product-counters?sort=-order_cnt",
    ] {
        let refused = scene.json(&format!("/api/v1/{other}&cursor={cursor}"), 400).await;
        assert_eq!(refused["code"], "invalid_cursor", "{other}");
    }
    // What does not matter for the place may differ.
    let path = format!("/api/v1/user-product-counters?sort=-order_cnt&limit=7&fields=id&count=exact&cursor={cursor}");
    assert_eq!(scene.json(&path, 200).await["items"].as_array().unwrap().len(), 7);
    assert_eq!(json!(first["items"].as_array().unwrap().len()), 5);
    scene.tear_down().await;
}
