//! A whole table as one file: constant memory, and no connection is held for who does not take it.

use std::time::Duration;

use ordervault_demo::Error;
use ordervault_demo::stage::until;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::scene::Scene;

const COUNTERS: i64 = 1_000_000;
const PATH: &str = "/api/v1/user-product-counters?include_zero=true&format=csv";
const MEMORY_KIB: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// The most memory that the process has had, in KiB.
fn peak(scene: &Scene) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.cdm.process.id().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sessions of the service that are in the middle of something for a reader.
async fn reading(scene: &Scene) -> i64 {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() \
               and application_name = 'ordervault-cdm' and query ilike 'copy%' and state <> 'idle'";
    sqlx::query_scalar(sql).fetch_one(&scene.stage.pool).await.unwrap()
}

/// Waits until so many are.
async fn until_reading(scene: &Scene, expected: i64) {
    until("the readers' sessions", PATIENCE, async || Ok::<_, Error>((reading(scene).await == expected).then_some(())))
        .await
        .unwrap();
}

/// Asks for the file, and takes no more of it than its head.
async fn asked(scene: &Scene) -> TcpStream {
    let address = scene.cdm.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {PATH} HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_counters_are_one_file_in_constant_memory_and_nobody_holds_a_connection_who_has_gone() {
    let mut scene = Scene::new("streaming").await;
    scene.fill(COUNTERS).await;
    scene.restart().await;
    let mut answer = scene.get(PATH).await;
    assert_eq!(answer.status(), 200);
    let (mut lines, mut bytes) = (0, 0);
    while let Some(part) = answer.chunk().await.unwrap() {
        lines += part.split(|byte| *byte == b'\n').count() - 1;
        bytes += part.len();
    }
    assert_eq!(lines, usize::try_from(COUNTERS).unwrap() + 1);
    assert!(bytes > 64 << 20, "only {bytes} bytes");
    println!("{bytes} bytes with at most {} KiB of memory", peak(&scene));

    // Clients that do not go on reading hold two of the four connections, and short reads go on.
    let (slow, other) = (asked(&scene).await, asked(&scene).await);
    until_reading(&scene, 2).await;
    scene.json("/api/v1/user-product-counters?limit=5", 200).await;
    let third = scene.json(PATH, 429).await;
    assert_eq!(third["code"], "too_many_reads");
    drop((slow, other));
    until_reading(&scene, 0).await;
    assert_eq!(scene.get(PATH).await.status(), 200);
    assert!(peak(&scene) < MEMORY_KIB, "the service took {} KiB", peak(&scene));
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_away_before_an_answer_leaves_no_turn_to_others_that_the_server_still_works_on() {
    let scene = Scene::new("gone").await;
    let mut lock = scene.stage.pool.begin().await.unwrap();
    sqlx::query("lock table cdm.user_product_counters in access exclusive mode").execute(&mut *lock).await.unwrap();
    let page = "/api/v1/user-product-counters?limit=5";
    for _ in 0..4 {
        let impatient = reqwest::Client::builder().timeout(Duration::from_millis(300)).build().unwrap();
        assert!(impatient.get(format!("{}{page}", scene.cdm.url)).send().await.unwrap_err().is_timeout());
    }
    assert_eq!(scene.json(page, 429).await["code"], "too_many_reads");
    lock.rollback().await.unwrap();
    until("the turns to be free", PATIENCE, async || Ok((scene.get(page).await.status() == 200).then_some(())))
        .await
        .unwrap();
    scene.tear_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_source_fails_in_the_middle_says_so_in_its_last_line_and_is_cut_off() {
    for (format, sign) in [("csv", "#failed"), ("ndjson", "{\"failed\"")] {
        let scene = Scene::new("cut").await;
        scene.fill(400_000).await;
        let mut answer = scene.get(&format!("/api/v1/user-product-counters?format={format}")).await;
        let mut body = answer.chunk().await.unwrap().unwrap().to_vec();
        let ended = sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() \
             and query ilike 'copy%' and state = 'active'",
        )
        .execute(&scene.stage.pool)
        .await
        .unwrap();
        assert_eq!(ended.rows_affected(), 1);
        let cut = loop {
            match answer.chunk().await {
                Ok(Some(part)) => body.extend_from_slice(&part),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(cut, "an answer that is not whole has the end of a whole one");
        let body = String::from_utf8(body).unwrap();
        let last = body.lines().last().unwrap();
        assert!(last.starts_with(sign), "{last}");
        scene.tear_down().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_of_one_moment_whatever_is_written_while_it_is_read() {
    let scene = Scene::new("moment").await;
    scene.fill(300_000).await;
    scene.sql("update cdm.user_product_counters set order_cnt = 5").await;
    let mut answer = scene.get("/api/v1/user-product-counters?format=ndjson&fields=order_cnt").await;
    let mut body = answer.chunk().await.unwrap().unwrap().to_vec();
    scene.sql("update cdm.user_product_counters set order_cnt = 6").await;
    while let Some(part) = answer.chunk().await.unwrap() {
        body.extend_from_slice(&part);
    }
    let body = String::from_utf8(body).unwrap();
    assert_eq!(body.lines().count(), 300_000);
    assert!(body.lines().all(|line| line == "{\"order_cnt\":5}"));
    scene.tear_down().await;
}
