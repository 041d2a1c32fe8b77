//! `ordervault-demo run [--once]`: the whole pipeline on private servers, with an independent recount.
//! `ordervault-demo bench JSON [reads | SECONDS]`: the benchmarks, or those of the reads alone; with what a cold build took
//! where that was measured.

use std::path::Path;
use std::process::ExitCode;

use ordervault_demo::bench::{self, Part};
use ordervault_demo::run::{self, Until};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run"] => run::run(Until::Interrupted).await,
        ["run", "--once"] => run::run(Until::Recounted).await,
        ["bench", json] => bench::run(Part::All, Path::new(json), None).await,
        ["bench", json, "reads"] => bench::run(Part::Reads, Path::new(json), None).await,
        ["bench", json, seconds] if seconds.parse::<f64>().is_ok() => {
            bench::run(Part::All, Path::new(json), seconds.parse().ok()).await
        }
        _ => {
            eprintln!(
                "usage: ordervault-demo run [--once] | bench JSON [reads | SECONDS]; ./dev demo and ./dev bench start what they need"
            );
            return ExitCode::from(64);
        }
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ordervault-demo: {error}");
            ExitCode::FAILURE
        }
    }
}
