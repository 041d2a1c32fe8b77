//! How quickly a layer takes a backlog that lies ready, against a raw replay of the rows that it wrote.

use std::time::{Duration, Instant};

use super::figures::{Aim, Figures};
use super::process::peak_resident_mib;
use super::replay;
use crate::Error;
use crate::dictionary::Dictionary;
use crate::orders::{Backlog, Mix, Plan};
use crate::stage::{LAYERS, Service, Stage, until};
use crate::watch::total;

/// Orders of the backlog, one record each.
pub const ORDERS: u32 = 50_000;
const PATIENCE: Duration = Duration::from_mins(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);
const STOP: Duration = Duration::from_secs(10);

/// The share of the raw replay's rate that each layer should reach.
const AIMS: [f64; 3] = [0.6, 0.8, 0.6];

/// A backlog of orders, each in a single version.
pub fn plan(seed: u64, partitions: i32) -> Plan {
    let mix = Mix { versions: 0.0, ..Mix::calm() };
    Plan { seed, first_order_id: 1, orders: u64::from(ORDERS), partitions, mix }
}

/// Drains each layer in its turn; what one sends onward is the next one's backlog.
pub async fn measure(figures: &mut Figures) -> Result<(), Error> {
    let mut stage = Stage::build("drain", 3).await?;
    let seed = fastrand::u64(..);
    let dictionary = Dictionary::generate(seed, 500, 40);
    dictionary.write(&mut stage.redis).await?;
    stage.produce(LAYERS[0], Backlog::new(&dictionary, plan(seed, stage.partitions))).await?;
    for (layer, aim) in LAYERS.into_iter().zip(AIMS) {
        stage.migrate(layer).await?;
        let began = Instant::now();
        let mut service = stage.start(layer, &[])?;
        service.ready(PATIENCE).await?;
        let ready = began.elapsed().as_secs_f64();
        let rate = rate(&service).await?;
        let peak = service.process.id().map_or(Ok(f64::NAN), peak_resident_mib)?;
        service.stop(STOP).await?;
        let raw = replay::rate(&stage, layer).await?;
        let name = layer.to_uppercase();
        figures.note(&format!("{name} drain"), "orders/s", Aim::None, rate);
        figures.note(&format!("{name} raw replay of the same rows"), "orders/s", Aim::None, raw);
        figures.note(&format!("{name} drain / raw replay"), "of raw", Aim::AtLeast(aim), rate / raw);
        figures.note(&format!("{name} peak memory while draining"), "MiB", Aim::Below(64.0), peak);
        figures.note(&format!("{name} start to ready"), "s", Aim::Below(1.0), ready);
        println!("{name}: {rate:.0} orders/s, raw {raw:.0}, {peak:.1} MiB, ready after {ready:.2} s");
    }
    stage.tear_down().await
}

/// Orders a second between the first batch and the last: the start is a figure of its own.
pub async fn rate(service: &Service) -> Result<f64, Error> {
    let (first, since) = until("the first batch", PATIENCE, async || {
        let done = processed(service).await?;
        Ok((done > 0.0).then(|| (done, Instant::now())))
    })
    .await?;
    loop {
        let done = processed(service).await?;
        if done >= f64::from(ORDERS) {
            return Ok((done - first) / since.elapsed().as_secs_f64());
        }
        if since.elapsed() > PATIENCE {
            return Err(Error::Stalled(service.layer.to_owned(), PATIENCE.as_secs()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn processed(service: &Service) -> Result<f64, Error> {
    let (_, metrics) = service.get("/metrics").await?;
    Ok(total(&metrics, "ordervault_records_total").unwrap_or_default())
}
