//! The counters against a count of the test's own: duplicates, cancellations, versions that come late, a takeover,
//! batches that change the same counters at once.

#![expect(clippy::unwrap_used, reason = "tests may")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ordervault_demo::orders::Produced;
use ordervault_demo::stage::{Stage, until};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPool;

const VECTORS: &str = include_str!("../../dds/tests/data/dds_vectors.jsonl");
const EXISTING: &str = include_str!("../../dds/tests/data/existing_warehouse.sql");
const PATIENCE: Duration = Duration::from_mins(1);

/// Three versions of each golden order, the newest not the last to arrive: OPEN, then the vector's own status, then
/// every third order CANCELLED.
fn reports() -> Vec<Value> {
    let mut reports = Vec::new();
    for (place, line) in VECTORS.lines().enumerate() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let mut report = vector["dds_message"].clone();
        let own_status = report["payload"]["status"].clone();
        let last = if place % 3 == 0 { json!("CANCELLED") } else { own_status.clone() };
        for (version, status) in [(2, own_status), (3, last), (1, json!("OPEN"))] {
            report["payload"]["status"] = status;
            report["payload"]["update_ts"] = json!(format!("2030-01-0{version} 00:00:00"));
            reports.push(report.clone());
        }
    }
    reports
}

type Counts = BTreeSet<(String, String, i64)>;

/// Counts from the newest version of each order, by the two ids that `keys` picks from a report and its line.
fn counted(reports: &[Value], keys: impl Fn(&Value, &Value) -> (String, String)) -> Counts {
    let mut newest: BTreeMap<String, &Value> = BTreeMap::new();
    for report in reports {
        let held = newest.entry(report["payload"]["id"].to_string()).or_insert(report);
        if held["payload"]["update_ts"].as_str() <= report["payload"]["update_ts"].as_str() {
            *held = report;
        }
    }
    let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
    for report in newest.values().filter(|report| report["payload"]["status"] != "CANCELLED") {
        let lines = report["payload"]["products"].as_array().unwrap();
        let distinct: BTreeSet<_> = lines.iter().map(|line| keys(&report["payload"], line)).collect();
        for pair in distinct {
            *counts.entry(pair).or_default() += 1;
        }
    }
    counts.into_iter().map(|((one, other), count)| (one, other, count)).collect()
}

async fn held(pool: &PgPool, columns: &str, table: &str) -> Counts {
    let sql = format!("select {columns}, order_cnt from cdm.{table} where order_cnt > 0");
    sqlx::query_as(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap().into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_equal_a_recount_after_duplicates_cancellations_and_late_versions() {
    let stage = Stage::build("counters", 3).await.unwrap();
    // Counters that the replaced services left behind must not be added to.
    sqlx::raw_sql(EXISTING).execute(&stage.pool).await.unwrap();
    let service = stage.start("cdm", &[]).unwrap();
    let reports = reports();
    // The second round is the first once more.
    for _ in 1..=2 {
        let messages = reports.iter().map(|report| serde_json::to_vec(report).unwrap());
        let messages = messages.map(|payload| Produced { key: None, partition: None, payload });
        stage.produce("cdm", messages).await.unwrap();
        until("CDM", PATIENCE, async || Ok((stage.lag("cdm").await? == 0).then_some(()))).await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        assert_eq!(
            held(&stage.pool, "user_id::text, product_id::text", "user_product_counters").await,
            counted(&reports, |order, line| (text(&order["user"]["id"]), text(&line["id"])))
        );
        assert_eq!(
            held(&stage.pool, "user_id::text, category_id::text", "user_category_counters").await,
            counted(&reports, |order, line| (text(&order["user"]["id"]), text(&line["category"]["id"])))
        );
        assert_eq!(
            held(&stage.pool, "restaurant_id::text, category_id::text", "restaurant_category_counters").await,
            counted(&reports, |order, line| (text(&order["restaurant"]["id"]), text(&line["category"]["id"])))
        );
    }
    let set_aside: i64 = sqlx::query_scalar("select count(*) from cdm.user_product_counters_legacy")
        .fetch_one(&stage.pool)
        .await
        .unwrap();
    assert!(set_aside > 0);
    drop(service);
    stage.tear_down().await.unwrap();
}

fn key(kind: char, number: u32, letter: char) -> String {
    format!("{:08x}-{number:04x}-5000-8000-{:012x}", u32::from(kind), u32::from(letter))
}

/// A closed order with a dish for each of these letters, each in a category of its own. Keys stand in the letters' order.
fn order(number: u32, version: u32, [place, user, dish]: [u32; 3], letters: &str) -> Produced {
    let id = key('o', number, 'a');
    let report = json!({
        "object_id": id, "object_type": "order_report",
        "payload": {
            "id": id, "order_dt": "2023-05-01 09:00:00", "status": "CLOSED",
            "update_ts": format!("2023-05-0{version} 09:00:00"),
            "restaurant": {"id": key('r', place, 'a'), "name": "R"},
            "user": {"id": key('u', user, 'a'), "username": "U"},
            "products": letters.chars().map(|letter| json!({
                "id": key('p', dish, letter), "name": "P",
                "category": {"id": key('c', 0, letter), "name": format!("C{letter}")},
            })).collect::<Vec<_>>(),
        },
    });
    Produced { key: None, partition: Some(i32::from(number == 2)), payload: serde_json::to_vec(&report).unwrap() }
}

async fn sessions_that_wait(pool: &PgPool) -> i64 {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar(sql).fetch_one(pool).await.unwrap()
}

/// What an order said and says now, and what another says that adds to the same counters; which counter of the first one's
/// new dishes somebody else holds, so that the two batches meet in the middle; and what the counters are in the end.
type Meeting = (&'static str, &'static str, &'static str, char, [(&'static str, i64); 3]);

const MEETINGS: [Meeting; 2] = [
    // The counter that is taken off from comes last, and is the only one that is there.
    ("z", "ab", "bz", 'a', [("Ca", 1), ("Cb", 2), ("Cz", 1)]),
    // It comes first.
    ("a", "mz", "am", 'z', [("Ca", 1), ("Cm", 2), ("Cz", 1)]),
];

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_add_to_and_take_off_the_same_counters_never_wait_for_each_other_in_a_circle() {
    // Of the other order's place, user and dishes, as many are the first one's as the counter needs.
    let counters = [
        ("user_product_counters (user_id, product_id, product_name, order_cnt)", 'u', 'p', [1, 1, 1]),
        ("user_category_counters (user_id, category_id, category_name, order_cnt)", 'u', 'c', [1, 1, 2]),
        (
            "restaurant_category_counters (restaurant_id, category_id, category_name, order_cnt, restaurant_name)",
            'r',
            'c',
            [1, 2, 2],
        ),
    ];
    for (counter, one, other, neighbour) in counters {
        for (said, says, neighbours, held, counts) in MEETINGS {
            let stage = Stage::build("circle", 2).await.unwrap();
            let service = stage.start("cdm", &[]).unwrap();
            // All names are known, so that the batches meet at the counters alone.
            let before = [order(1, 1, [1, 1, 1], said), order(3, 1, [9, 9, 1], "abmz"), order(4, 1, [9, 9, 2], "abmz")];
            stage.produce("cdm", before).await.unwrap();
            stage.drained("cdm", PATIENCE).await.unwrap();

            let mut somebody = stage.pool.begin().await.unwrap();
            let restaurant = if one == 'r' { ", 'R'" } else { "" };
            sqlx::query(AssertSqlSafe(format!(
                "insert into cdm.{counter} values ($1::uuid, $2::uuid, 'C', 0{restaurant})"
            )))
            .bind(key(one, 1, 'a'))
            .bind(key(other, u32::from(other == 'p'), held))
            .execute(&mut *somebody)
            .await
            .unwrap();
            stage.produce("cdm", [order(1, 2, [1, 1, 1], says)]).await.unwrap();
            until("the first batch", PATIENCE, async || Ok((sessions_that_wait(&stage.pool).await == 1).then_some(())))
                .await
                .unwrap();
            stage.produce("cdm", [order(2, 1, neighbour, neighbours)]).await.unwrap();
            until("the second batch", PATIENCE, async || {
                let done = stage.standings("cdm").await?.iter().any(|at| at.partition == 1 && at.lag() == 0);
                Ok((done || sessions_that_wait(&stage.pool).await == 2).then_some(()))
            })
            .await
            .unwrap();
            somebody.rollback().await.unwrap();
            stage.drained("cdm", PATIENCE).await.unwrap();

            let (_, metrics) = service.get("/metrics").await.unwrap();
            let gave_way = metrics.lines().find(|line| line.contains("sqlstate_40\""));
            assert_eq!(gave_way, None, "{counter}, {said} to {says}");
            let sql = "select category_name, order_cnt from cdm.restaurant_category_counters \
                       where restaurant_id = $1::uuid order by 1";
            let rows: Vec<(String, i64)> =
                sqlx::query_as(sql).bind(key('r', 1, 'a')).fetch_all(&stage.pool).await.unwrap();
            assert_eq!(rows, counts.map(|(name, count)| (name.to_owned(), count)), "{counter}, {said} to {says}");
            drop(service);
            stage.tear_down().await.unwrap();
        }
    }
}
