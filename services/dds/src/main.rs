//! The DDS service.

use std::process::ExitCode;

fn main() -> ExitCode {
    ordervault_runtime::program::main::<ordervault_dds::Dds>()
}
