//! What analysts' reads cost: beside PostgreSQL's own programs with the same questions, and beside the consumer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::Executor as _;

mod load;
mod peers;

use load::Connection;

use super::drain::{self, plan};
use super::figures::{Aim, Figures};
use super::process::peak_resident_mib;
use crate::Error;
use crate::dictionary::Dictionary;
use crate::orders::Backlog;
use crate::stage::{LAYERS, Service, Stage};

const PATIENCE: Duration = Duration::from_mins(10);
const STOP: Duration = Duration::from_secs(10);
const ROUNDS: usize = 3;

/// Counters of the large table.
const COUNTERS: i64 = 5_000_000;
const CONNECTIONS: usize = 32;
const SECONDS: u64 = 4;
/// Reads whose times are compared.
const TIMED: usize = 200;

const LIST: &str = "/api/v1/user-product-counters";

/// Measures on a table that is filled by hand, and beside a drain.
pub async fn measure(figures: &mut Figures) -> Result<(), Error> {
    let stage = Stage::build("read_bench", 3).await?;
    let mut cdm = stage.start("cdm", &[])?;
    cdm.ready(PATIENCE).await?;
    println!("{COUNTERS} counters for the reads");
    fill(&stage).await?;
    let host = cdm.url.trim_start_matches("http://").to_owned();
    for _ in 0..ROUNDS {
        against_pgbench(figures, &stage, &host).await?;
        files(figures, &stage, &cdm).await?;
    }
    depths(figures, &stage, &host).await?;
    let peak = cdm.process.id().map_or(Ok(f64::NAN), peak_resident_mib)?;
    figures.note("reads: peak memory, with files of 5 million rows", "MiB", Aim::Below(64.0), peak);
    cdm.stop(STOP).await?;
    stage.tear_down().await?;
    for _ in 0..ROUNDS {
        beside_the_consumer(figures).await?;
    }
    Ok(())
}

/// 2,500 users with 2,000 dishes each.
async fn fill(stage: &Stage) -> Result<(), Error> {
    let mut connection = stage.pool.acquire().await?;
    // The rows are nobody's changes.
    connection.execute("set session_replication_role = replica").await?;
    sqlx::query(
        "insert into cdm.user_product_counters (user_id, product_id, product_name, order_cnt) \
         select lpad(to_hex(n / 2000), 32, '0')::uuid, ('aaaaaaaa-aaaa-aaaa-aaaa-' || lpad(to_hex(n % 2000), 12, '0'))::uuid, 'dish ' || n % 2000, \
                1 + (random() * 30)::int from generate_series(0, $1 - 1) n",
    )
    .bind(COUNTERS)
    .execute(&mut *connection)
    .await?;
    connection.execute("reset session_replication_role").await?;
    connection.execute("vacuum analyze cdm.user_product_counters").await?;
    Ok(())
}

/// Short reads over 32 connections, and the same statements by pgbench.
async fn against_pgbench(figures: &mut Figures, stage: &Stage, host: &str) -> Result<(), Error> {
    let topic = stage.source_topic("cdm");
    let users = (0..8).map(|n| format!("{:032x}", n * 300));
    let users: Vec<String> =
        users.map(|hex| [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")).collect();
    let dish = "aaaaaaaa-aaaa-aaaa-aaaa-000000000100".to_owned();
    let point = users.iter().map(|user| format!("{LIST}?user={user}&product={dish}")).collect::<Vec<_>>();
    let values_of_points = users.iter().map(|user| vec![user.clone(), dish.clone(), "1".to_owned(), topic.clone()]);
    let page = vec![format!("{LIST}?sort=-order_cnt&limit=100")];
    for (name, paths, values) in [
        ("point reads", point, values_of_points.collect::<Vec<_>>()),
        ("pages of 100", page, vec![vec!["1".to_owned(), topic.clone()]]),
    ] {
        let rate = load::rate(host, &paths, CONNECTIONS, Duration::from_secs(SECONDS)).await?;
        let statement = peers::last_statement(stage).await?;
        let peer = peers::pgbench(stage, &statement, &values, CONNECTIONS, SECONDS).await?;
        println!("{name}: {rate:.0}/s, pgbench {peer:.0}/s");
        figures.note(&format!("reads: {name}, 32 connections"), "1/s", Aim::None, rate);
        figures.note(&format!("reads: {name}, pgbench"), "1/s", Aim::None, peer);
        figures.note(&format!("reads: {name} / pgbench"), "of pgbench", Aim::AtLeast(0.8), rate / peer);
    }
    Ok(())
}

/// The whole table as CSV, and the same by psql.
async fn files(figures: &mut Figures, stage: &Stage, cdm: &Service) -> Result<(), Error> {
    let began = Instant::now();
    let mut answer = reqwest::get(format!("{}{LIST}?format=csv", cdm.url)).await?;
    let mut bytes = 0;
    while let Some(part) = answer.chunk().await? {
        bytes += part.len();
    }
    let ours = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let query = "select id, user_id, product_id, product_name, order_cnt from cdm.user_product_counters \
                 where order_cnt >= 1 order by id";
    let by_psql = peers::psql_copy(stage, query).await?;
    let psql = began.elapsed().as_secs_f64();
    // A carriage return a line more.
    if bytes != by_psql + usize::try_from(COUNTERS + 1).unwrap_or_default() {
        return Err(std::io::Error::other(format!("{bytes} bytes of CSV, {by_psql} by psql")).into());
    }
    #[expect(clippy::cast_precision_loss, reason = "a few millions")]
    let rows = COUNTERS as f64;
    println!("CSV: {:.0} rows/s, psql {:.0} rows/s", rows / ours, rows / psql);
    figures.note("reads: CSV of 5 million rows", "rows/s", Aim::None, rows / ours);
    figures.note("reads: \\copy of the same", "rows/s", Aim::None, rows / psql);
    figures.note("reads: CSV / \\copy", "of \\copy", Aim::AtLeast(0.5), psql / ours);
    Ok(())
}

/// A page at the beginning, at depth 100,000 and in the middle of all, and the same by offset.
async fn depths(figures: &mut Figures, stage: &Stage, host: &str) -> Result<(), Error> {
    let mut connection = Connection::open(host).await?;
    let (mut cursor, mut at_100_000) = (String::new(), String::new());
    for page in 1..=COUNTERS / 20_000 {
        let path = format!("{LIST}?sort=-order_cnt&fields=id&limit=10000{cursor}");
        let answer: serde_json::Value = reqwest::get(format!("http://{host}{path}")).await?.json().await?;
        cursor = format!("&cursor={}", answer["next_cursor"].as_str().unwrap_or_default());
        if page == 10 {
            at_100_000.clone_from(&cursor);
        }
    }
    let mut times = Vec::new();
    for cursor in ["", &at_100_000, &cursor] {
        let path = format!("{LIST}?sort=-order_cnt&limit=100{cursor}");
        let mut taken = Vec::new();
        for _ in 0..TIMED {
            taken.push(connection.ask(&path).await?);
        }
        times.push(quantile(taken, 0.5));
    }
    let began = Instant::now();
    let by_offset = "select id, user_id, product_id, product_name, order_cnt from cdm.user_product_counters \
                     where order_cnt >= 1 order by order_cnt desc, id desc limit 100 offset 100000";
    sqlx::query(by_offset).fetch_all(&stage.pool).await?;
    let offset = began.elapsed();
    figures.note("reads: first page of 100", "ms", Aim::None, milliseconds(times[0]));
    figures.note("reads: page at depth 100,000", "ms", Aim::None, milliseconds(times[1]));
    figures.note("reads: the same by OFFSET, SQL alone", "ms", Aim::None, milliseconds(offset));
    let ratio = times[2].as_secs_f64() / times[0].as_secs_f64();
    figures.note("reads: page at depth 2,500,000 / first page", "of first", Aim::Below(1.2), ratio);
    Ok(())
}

/// CDM drains: alone, without what the reads need of its tables, while pages are read, and while a file is.
async fn beside_the_consumer(figures: &mut Figures) -> Result<(), Error> {
    let mut stage = Stage::build("read_beside", 3).await?;
    let seed = fastrand::u64(..);
    let dictionary = Dictionary::generate(seed, 500, 40);
    dictionary.write(&mut stage.redis).await?;
    stage.produce(LAYERS[0], Backlog::new(&dictionary, plan(seed, stage.partitions))).await?;
    for layer in &LAYERS[..2] {
        let mut service = stage.start(layer, &[])?;
        service.ready(PATIENCE).await?;
        drain::rate(&service).await?;
        service.stop(STOP).await?;
    }
    // The first drain of a new database makes its files as well.
    drained(&mut stage, nothing).await?;
    let (alone, ()) = drained(&mut stage, nothing).await?;
    let (with_pages, times) = drained(&mut stage, pages).await?;
    let (with_file, ()) = drained(&mut stage, file_after_file).await?;
    stage
        .pool
        .execute(
            "drop index cdm.user_product_counters_count, cdm.user_product_counters_segment, \
                 cdm.user_category_counters_segment, cdm.user_category_counters_name; \
             create index on cdm.user_product_counters (product_id); \
             drop function cdm.note_changes() cascade",
        )
        .await?;
    let (bare, ()) = drained(&mut stage, nothing).await?;
    let p99 = milliseconds(quantile(times, 0.99));
    println!(
        "CDM drain: {alone:.0}/s, without the reads' indexes {bare:.0}/s, beside pages {with_pages:.0}/s, beside files {with_file:.0}/s; p99 {p99:.1} ms"
    );
    figures.note("reads: CDM drain", "orders/s", Aim::None, alone);
    figures.note("reads: CDM drain without their indexes", "orders/s", Aim::None, bare);
    figures.note("reads: what their indexes leave of the drain", "of bare", Aim::None, alone / bare);
    figures.note("reads: drain beside files / alone", "of alone", Aim::AtLeast(0.9), with_file / alone);
    figures.note("reads: drain beside pages / alone", "of alone", Aim::None, with_pages / alone);
    figures.note("reads: page while CDM drains, p99", "ms", Aim::Below(20.0), p99);
    stage.tear_down().await
}

/// The rate at which CDM takes the backlog anew while something goes on beside it, and what came of that.
async fn drained<T, F>(stage: &mut Stage, beside: impl FnOnce(String, Arc<AtomicBool>) -> F) -> Result<(f64, T), Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    stage.pass += 1;
    stage.migrate("cdm").await?;
    stage
        .pool
        .execute(
            "truncate cdm.user_product_counters, cdm.user_category_counters, cdm.restaurant_category_counters, \
                 cdm.order_ledger, cdm.names",
        )
        .await?;
    let mut cdm = stage.start("cdm", &[])?;
    cdm.ready(PATIENCE).await?;
    let done = Arc::new(AtomicBool::new(false));
    let host = cdm.url.trim_start_matches("http://").to_owned();
    let beside = tokio::spawn(beside(host, Arc::clone(&done)));
    let rate = drain::rate(&cdm).await?;
    done.store(true, Ordering::Relaxed);
    let came = beside.await.map_err(std::io::Error::other)??;
    cdm.stop(STOP).await?;
    Ok((rate, came))
}

async fn nothing(_: String, _: Arc<AtomicBool>) -> Result<(), Error> {
    Ok(())
}

/// A page a hundredth of a second, and how long each took.
async fn pages(host: String, done: Arc<AtomicBool>) -> Result<Vec<Duration>, Error> {
    let mut connection = Connection::open(&host).await?;
    let mut times = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    while !done.load(Ordering::Relaxed) {
        pace.tick().await;
        times.push(connection.ask(&format!("{LIST}?sort=-order_cnt&limit=100")).await?);
    }
    Ok(times)
}

/// The whole table as a file, again and again.
async fn file_after_file(host: String, done: Arc<AtomicBool>) -> Result<(), Error> {
    while !done.load(Ordering::Relaxed) {
        let mut answer = reqwest::get(format!("http://{host}{LIST}?format=csv")).await?;
        while answer.chunk().await?.is_some() {}
    }
    Ok(())
}

fn quantile(mut times: Vec<Duration>, share: f64) -> Duration {
    times.sort_unstable();
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
    let place = (times.len() as f64 * share) as usize;
    times.get(place.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
