//! What handlers take from a request: strict about names and types, with answers that say what to send instead.

mod json;
mod limit;
mod misread;
mod object;
mod path;
mod query;
mod wait;

pub use json::{BODY_LIMIT, Json};
pub use limit::Limit;
pub use object::{object, object_or_null};
pub use path::{Path, PathId};
pub use query::{NoParameters, Query, Repeatable, RepeatableQuery};
pub use wait::Wait;
