//! Prints `docs/metrics.md`.

fn main() {
    print!("{}", ordervault_runtime::metrics::page());
}
