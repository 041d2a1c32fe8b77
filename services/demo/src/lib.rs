//! What surrounds the three layers without belonging to any of them: a generator of dictionary and orders, an
//! independent recount of what the tables should hold, and the live view of the demonstration.
//!
//! Nothing here uses a layer's code. The recount is written from the description of the messages and tables
//! alone, so that a mistake in a layer cannot repeat itself in the program that is to find it.

pub mod dictionary;
pub mod orders;

pub mod kafka;

pub mod recount;
pub mod watch;

pub mod stage;
pub mod own_server;
pub mod proxy;
pub mod live;
pub mod run;
pub mod servers;
pub mod generate;
pub mod bench;

mod error;
mod timestamp;

pub use error::Error;
