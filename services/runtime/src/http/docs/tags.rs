//! The groups in which the document lists the operations. A layer adds its own through its router's document.

use utoipa::openapi::Tag;
use utoipa::openapi::tag::TagBuilder;

/// The consumer and its offsets.
pub const CONSUMER: &str = "consumer";
/// What was done by operators.
pub const OPERATIONS: &str = "operations";
/// Records that were set aside.
pub const DEAD_LETTERS: &str = "dead letters";
/// What Kubernetes and Prometheus ask.
pub const PROBES: &str = "probes";

/// A tag as a layer adds it.
#[must_use]
pub fn tag(name: &str, description: &str) -> Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

pub(super) fn shared() -> Vec<Tag> {
    vec![
        tag(CONSUMER, "What the layer's consumer does, and what it is told to do: state, lag, pause, resume, reset."),
        tag(OPERATIONS, "Who did what, when, why, and what became of it."),
        tag(DEAD_LETTERS, "Records that were set aside whole, and their replay."),
    ]
}

/// Comes after everything else.
pub(super) fn probes() -> Tag {
    tag(PROBES, "What Kubernetes and Prometheus ask; open to everybody.")
}
