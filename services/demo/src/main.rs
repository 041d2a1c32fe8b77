//! `ordervault-demo run [--once]`: the whole pipeline on private servers, with an independent recount.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run"] => ordervault_demo::run::run(ordervault_demo::run::Until::Interrupted).await,
        ["run", "--once"] => ordervault_demo::run::run(ordervault_demo::run::Until::Recounted).await,
        _ => {
            eprintln!("usage: ordervault-demo run [--once]; ./dev demo starts what it needs");
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
