//! One order's way as the layers' APIs tell it, held to what the messages of its topic say.

#![expect(clippy::unwrap_used, reason = "tests may")]

mod scene;

mod stored;
mod vault;
mod counted;
mod moments;
