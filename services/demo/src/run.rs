//! The demonstration: a backlog through all three services, and the recount at its end.

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::dictionary::Dictionary;
use crate::kafka;
use crate::orders::{Backlog, Mix, Plan, Produced, Trickle};
use crate::recount::{NameCheck, Recount};
use crate::stage::{LAYERS, Service, Stage};

/// Orders of the backlog.
const ORDERS: u64 = 20_000;
/// Orders a second after it.
const TRICKLE: f64 = 50.0;
/// How long the backlog may take on a slow machine.
const LONGEST: Duration = Duration::from_mins(15);

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
    let seed = fastrand::u64(..);
    let mut stage = Stage::build("demo", 3).await?;
    let dictionary = Dictionary::generate(seed, 500, 40);
    dictionary.write(&mut stage.redis).await?;

    let plan = Plan { seed, first_order_id: 1, orders: ORDERS, partitions: stage.partitions, mix: Mix::adversarial() };
    let backlog: Vec<Produced> = Backlog::new(&dictionary, plan).collect();
    println!("{ORDERS} orders make a backlog of {} records: duplicates, late versions, cancellations", backlog.len());
    let bar = ProgressBar::new(backlog.len() as u64).with_style(style("into Kafka")?);
    kafka::produce(&stage.cluster, &stage.source_topic("stg"), backlog, |sent| bar.set_position(sent)).await?;
    bar.finish();

    let services: Vec<Service> = LAYERS.iter().map(|layer| stage.start(layer, &[])).collect::<Result<_, _>>()?;
    for service in &services {
        println!("{}: {}/readyz {}/metrics", service.layer, service.url, service.url);
    }
    drain(&stage).await?;

    let equal = recount(&mut stage).await?;
    if until == Until::Interrupted {
        println!("{TRICKLE} orders a second from here on; Ctrl-C stops all");
        let first_order_id = i64::try_from(ORDERS).unwrap_or(i64::MAX).saturating_mul(10);
        let trickle = Trickle::new(&dictionary, seed, first_order_id, Mix::calm());
        let mut producer = kafka::Producer::new(&stage.cluster)?;
        let topic = stage.source_topic("stg");
        tokio::select! {
            paced = producer.pace(&topic, trickle, TRICKLE) => paced?,
            interrupted = tokio::signal::ctrl_c() => interrupted?,
        }
    }
    Ok(equal)
}

/// Waits until the backlog has gone through all layers, with a bar for each.
async fn drain(stage: &Stage) -> Result<(), Box<dyn StdError + Send + Sync>> {
    let started = Instant::now();
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{spinner} {msg}")?);
    loop {
        let mut lags = Vec::new();
        for layer in LAYERS {
            lags.push(format!("{layer} {}", stage.lag(layer).await?));
        }
        bar.set_message(format!("records to go: {}", lags.join(", ")));
        // The first answers come before the services have made their tables.
        if stage.is_settled().await.unwrap_or(false) {
            break;
        }
        if started.elapsed() > LONGEST {
            return Err(format!("not settled after {} s: {}", LONGEST.as_secs(), lags.join(", ")).into());
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    bar.finish_and_clear();
    println!("all layers are done after {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

async fn recount(stage: &mut Stage) -> Result<bool, Box<dyn StdError + Send + Sync>> {
    let topic = stage.source_topic("stg");
    let recount = Recount::of_topic(&stage.cluster, &topic, &mut stage.redis, &NameCheck::Present).await?;
    let mut equal = true;
    for report in [
        recount.compare_stg(&stage.pool).await?,
        recount.compare_dds(&stage.pool).await?,
        recount.compare_cdm(&stage.pool).await?,
    ] {
        println!("{report}");
        equal &= report.is_equal();
    }
    Ok(equal)
}

fn style(what: &str) -> Result<ProgressStyle, Box<dyn StdError + Send + Sync>> {
    Ok(ProgressStyle::with_template(&format!("{what} {{bar:40}} {{pos}}/{{len}} {{per_sec}}"))?)
}
