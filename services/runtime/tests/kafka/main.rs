//! What is asked of the broker, against a real one.

#![expect(clippy::unwrap_used, reason = "tests may")]

mod stand;

mod broker;
mod offsets;
