//! All three layers at once on the same processors: throughput, latency at a steady rate, and what they cost when
//! there is nothing to do.

use std::time::{Duration, Instant};

use super::drain::{ORDERS, plan};
use super::figures::{Aim, Figures};
use super::process::processor_time;
use crate::Error;
use crate::dictionary::Dictionary;
use crate::kafka::Producer;
use crate::orders::{Backlog, Mix, Trickle};
use crate::recount::NameCheck;
use crate::stage::{LAYERS, Service, Stage, until};
use crate::watch::Histogram;

const PATIENCE: Duration = Duration::from_mins(10);
const STEADY_RATE: f64 = 100.0;
const STEADY_FOR: Duration = Duration::from_secs(20);
const IDLE_FOR: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(10);

/// Measures on a stage of its own.
pub async fn measure(figures: &mut Figures) -> Result<(), Error> {
    let mut stage = Stage::build("flow", 3).await?;
    let seed = fastrand::u64(..);
    let dictionary = Dictionary::generate(seed, 500, 40);
    dictionary.write(&mut stage.redis).await?;
    let mut services = LAYERS.iter().map(|layer| stage.start(layer, &[])).collect::<Result<Vec<_>, _>>()?;
    for service in &services {
        service.ready(PATIENCE).await?;
    }
    idle(figures, &services).await?;

    let began = Instant::now();
    stage.produce(LAYERS[0], Backlog::new(&dictionary, plan(seed, stage.partitions))).await?;
    let counted = "select count(*) from cdm.order_ledger";
    until("the backlog", PATIENCE, async || {
        let orders: i64 = sqlx::query_scalar(counted).fetch_one(&stage.pool).await?;
        Ok((orders >= i64::from(ORDERS)).then_some(()))
    })
    .await?;
    let through = began.elapsed().as_secs_f64();
    figures.note("all layers, 50,000 orders end to end", "s", Aim::Below(20.0), through);
    for report in stage.recount(&NameCheck::Present).await? {
        if !report.is_equal() {
            return Err(std::io::Error::other(format!("what was measured is wrong:\n{report}")).into());
        }
    }

    let (p50, p99) = latency(&stage, &dictionary, &services).await?;
    figures.note("source record to counter, 100/s, p50", "ms", Aim::None, p50 * 1e3);
    figures.note("source record to counter, 100/s, p99", "ms", Aim::Below(100.0), p99 * 1e3);
    println!("end to end {through:.1} s; latency p50 {:.0} ms, p99 {:.0} ms", p50 * 1e3, p99 * 1e3);
    for service in &mut services {
        service.stop(STOP).await?;
    }
    stage.tear_down().await
}

/// The share of a core that each service needs to wait for work.
async fn idle(figures: &mut Figures, services: &[Service]) -> Result<(), Error> {
    let used = || services.iter().map(|service| service.process.id().map_or(Ok(Duration::ZERO), processor_time));
    let before = used().collect::<Result<Vec<_>, _>>()?;
    tokio::time::sleep(IDLE_FOR).await;
    for ((service, before), after) in services.iter().zip(before).zip(used()) {
        let share = after?.saturating_sub(before).as_secs_f64() / IDLE_FOR.as_secs_f64();
        figures.note(&format!("{} idle", service.layer.to_uppercase()), "% of core", Aim::Below(1.0), share * 100.0);
    }
    Ok(())
}

/// Seconds from the source record's time in Kafka until CDM has committed its counters, as CDM's histogram has them.
async fn latency(stage: &Stage, dictionary: &Dictionary, services: &[Service]) -> Result<(f64, f64), Error> {
    let cdm = services.last().ok_or_else(|| std::io::Error::other("no services"))?;
    let histogram = async || -> Result<Histogram, Error> {
        Ok(Histogram::parse(&cdm.get("/metrics").await?.1, "ordervault_end_to_end_seconds"))
    };
    let mut trickle = Trickle::new(dictionary, fastrand::u64(..), i64::from(ORDERS) + 1, Mix::calm());
    let mut producer = Producer::new(&stage.cluster)?;
    let topic = stage.source_topic(LAYERS[0]);
    // A new producer needs a moment for its connection and its id, and a record's time is that at which it was handed
    // over: the first one is not measured.
    if let Some(first) = trickle.next() {
        producer.send(&topic, &first).await?;
    }
    producer.flush().await?;
    stage.settle(PATIENCE).await?;
    let before = histogram().await?;
    let paced = producer.pace(&topic, trickle, STEADY_RATE);
    // The stream is endless: its end is that of the time it is given.
    if let Ok(failed) = tokio::time::timeout(STEADY_FOR, paced).await {
        failed?;
    }
    producer.flush().await?;
    stage.settle(PATIENCE).await?;
    let steady = histogram().await?.since(&before);
    Ok((steady.quantile(0.5).unwrap_or(f64::NAN), steady.quantile(0.99).unwrap_or(f64::NAN)))
}
