//! The demonstration: a backlog through all three services, the recount at its end, and then a trickle.

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::dictionary::Dictionary;
use crate::kafka;
use crate::live::Live;
use crate::orders::{Backlog, Mix, Plan, Produced, Trickle};
use crate::recount::NameCheck;
use crate::stage::{LAYERS, OPS_TOKEN, Service, Stage};
use crate::watch;

/// Orders of the backlog.
const ORDERS: u64 = 20_000;
/// Orders a second after it.
const TRICKLE: f64 = 50.0;
/// How long the services may take to start, and the backlog to drain, on a slow machine.
const START: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_mins(15);
/// How long a service has for its end.
const STOP: Duration = Duration::from_secs(10);

/// When the demonstration ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After the recount.
    Recounted,
    /// When it is interrupted.
    Interrupted,
}

/// Runs the demonstration; says whether the recount found the counters equal.
pub async fn run(until: Until) -> Result<bool, Box<dyn StdError + Send + Sync>> {
    let mut stage = Stage::build("demo", 3).await?;
    let mut services = Vec::new();
    let ended = tokio::select! {
        ended = play(until, &mut stage, &mut services) => ended,
        // Nobody has asked for a verdict that is still to come.
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| true).map_err(Into::into),
    };
    println!("stopping the services");
    for service in &mut services {
        service.stop(STOP).await?;
    }
    stage.tear_down().await?;
    ended
}

async fn play(
    until: Until,
    stage: &mut Stage,
    services: &mut Vec<Service>,
) -> Result<bool, Box<dyn StdError + Send + Sync>> {
    let seed = fastrand::u64(..);
    let dictionary = Dictionary::generate(seed, 500, 40);
    dictionary.write(&mut stage.redis).await?;

    let plan = Plan { seed, first_order_id: 1, orders: ORDERS, partitions: stage.partitions, mix: Mix::adversarial() };
    let backlog: Vec<Produced> = Backlog::new(&dictionary, plan).collect();
    println!("{ORDERS} orders make {} records: with duplicates, late versions and cancellations", backlog.len());
    let bar = ProgressBar::new(backlog.len() as u64);
    bar.set_style(ProgressStyle::with_template("into Kafka {bar:40} {pos}/{len} {per_sec}")?);
    kafka::produce(&stage.cluster, &stage.source_topic("stg"), backlog, |sent| bar.set_position(sent)).await?;
    bar.finish();

    for layer in LAYERS {
        services.push(stage.start(layer, &[])?);
    }
    for service in &*services {
        service.ready(START).await?;
        println!("{} is ready: {}/docs {1}/metrics", service.layer, service.url);
    }
    println!("to change something there: Authorize with the token {OPS_TOKEN}");
    let begun = Instant::now();
    let mut live = Live::new(services, stage.pool.clone());
    tokio::select! {
        settled = stage.settle(LONGEST) => settled?,
        shown = watch::watch(async || live.snapshot("the backlog drains").await) => shown?,
    }
    println!("\nthe backlog is through all layers after {:.1} s; counting anew", begun.elapsed().as_secs_f64());
    let mut equal = true;
    let cdm = services.last().ok_or("no services")?;
    for report in stage.recount_with_reads(&NameCheck::Present, cdm).await? {
        println!("{report}");
        equal &= report.is_equal();
    }

    if until == Until::Interrupted {
        let first_order_id = i64::try_from(ORDERS).unwrap_or(i64::MAX).saturating_add(1);
        let trickle = Trickle::new(&dictionary, seed, first_order_id, Mix::calm());
        let mut producer = kafka::Producer::new(&stage.cluster)?;
        let topic = stage.source_topic("stg");
        let phase = format!("{TRICKLE} orders a second; Ctrl-C stops all");
        tokio::select! {
            paced = producer.pace(&topic, trickle, TRICKLE) => paced?,
            shown = watch::watch(async || live.snapshot(&phase).await) => shown?,
        }
    }
    Ok(equal)
}
