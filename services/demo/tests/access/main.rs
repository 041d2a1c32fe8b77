//! Who may do what with a running layer, over every operation that its document tells of.

#![expect(clippy::unwrap_used, reason = "tests may")]

mod document;

mod routes;
mod tokens;
