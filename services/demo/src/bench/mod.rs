//! The benchmarks: each figure stands beside the limit or the peer that was measured in the same run.
//!
//! ```text
//! 50,000 orders ─▶ STG ─▶ DDS ─▶ CDM, one layer after the other, each against a raw replay of the rows it wrote
//!               └▶ all three at once                100 orders a second ─▶ latency                  idle ─▶ CPU
//! 5,000,000 counters ─▶ point reads, pages, files, each against PostgreSQL's own programs; the drain beside them
//! ```

use std::error::Error as StdError;
use std::path::Path;

mod figures;
mod process;
mod drain;
mod replay;
mod flow;
mod reads;

pub use figures::{Aim, Figure, Figures};

/// Each measurement is made so often, and its median is told.
const RUNS: usize = 3;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The layers, and then the reads.
    All,
    /// The reads alone.
    Reads,
}

/// Runs the benchmarks, prints the table and writes the same as JSON; says whether every aim is met.
/// `cold_build_seconds` is what the caller has measured of a release build from nothing, if it has.
pub async fn run(
    part: Part,
    json: &Path,
    cold_build_seconds: Option<f64>,
) -> Result<bool, Box<dyn StdError + Send + Sync>> {
    let mut figures = Figures::default();
    let rounds = if part == Part::All { RUNS } else { 0 };
    for round in 1..=rounds {
        println!("round {round} of {rounds}: one layer after the other");
        drain::measure(&mut figures).await?;
        println!("round {round} of {rounds}: all layers at once");
        flow::measure(&mut figures).await?;
    }
    reads::measure(&mut figures).await?;
    if let Some(seconds) = cold_build_seconds {
        figures.note("cold release build", "s", Aim::Below(240.0), seconds);
    }
    print!("{figures}");
    std::fs::write(json, figures.to_json()?)?;
    println!("the same as JSON: {}", json.display());
    Ok(figures.all_met())
}
