//! The CDM service.

use std::process::ExitCode;

fn main() -> ExitCode {
    ordervault_runtime::program::main::<ordervault_cdm::Cdm>()
}
