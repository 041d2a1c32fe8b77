//! The STG service.

use std::process::ExitCode;

fn main() -> ExitCode {
    ordervault_runtime::program::main::<ordervault_stg::Stg>()
}
