//! The counters as analysts read them.
//!
//! ```text
//! query ─▶ Selection ─▶ Statement ─┬▶ page    one JSON page, with the freshness of the same snapshot
//!                                  ├▶ stream  CSV or NDJSON, as long as it is, in one snapshot
//!                                  └▶ changes what has changed since a cursor
//! ```
//!
//! Every statement is made of this program's own words; what comes from a client is always a value apart from it.

pub mod counter;
pub mod statement;
pub mod selection;
mod token;
pub mod snapshot;
mod change_log;
pub mod freshness;
pub mod form;
pub mod page;
mod throttle;
pub mod stream;
pub mod changes;
