//! `ordervault-demo run [--once]`: the whole pipeline on private servers, with an independent recount.
//! `ordervault-demo bench JSON [reads | SECONDS]`: the benchmarks, or those of the reads alone; with what a cold build took
//! where that was measured.
//! `ordervault-demo generate [--orders N] [--seed N]`: a backlog for services that run elsewhere, on the servers that the
//! environment names as it does for them.
//! `ordervault-demo recount [CDM]`: what they made of it, counted anew; with CDM's address also what it serves.

use std::path::Path;
use std::process::ExitCode;

use ordervault_demo::bench::{self, Part};
use ordervault_demo::generate::{self, Wanted};
use ordervault_demo::run::{self, Until};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match arguments.as_slice() {
        ["run"] => run::run(Until::Interrupted).await,
        ["run", "--once"] => run::run(Until::Recounted).await,
        ["bench", json] => bench::run(Part::All, Path::new(json), None).await,
        ["bench", json, "reads"] => bench::run(Part::Reads, Path::new(json), None).await,
        ["bench", json, seconds] if seconds.parse::<f64>().is_ok() => {
            bench::run(Part::All, Path::new(json), seconds.parse().ok()).await
        }
        ["generate", options @ ..] => match Wanted::parse(options) {
            Some(wanted) => generate::generate(wanted).await,
            None => return usage(),
        },
        ["recount"] => generate::recount(None).await,
        ["recount", cdm] => generate::recount(Some(cdm)).await,
        _ => return usage(),
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

fn usage() -> ExitCode {
    eprintln!(
        "usage: ordervault-demo run [--once] | bench JSON [reads | SECONDS]; ./dev demo and ./dev bench start what they need"
    );
    eprintln!("       ordervault-demo generate [--orders N] [--seed N] | recount [CDM]; docker-compose.yaml has both");
    ExitCode::from(64)
}
