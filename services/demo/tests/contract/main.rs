//! The documents of the layers against their running services, by the tools that others would use on them.
//! `tools/checkers` installs those, and `./dev test` runs these tests where they are.

#![expect(clippy::unwrap_used, reason = "tests may")]

mod pipeline;

mod client;
mod conformance;
