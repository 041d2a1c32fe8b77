//! The door between the runtime and a layer: how a batch becomes rows and onward messages.

use std::future::{Future, ready};

use sqlx::postgres::{PgConnection, PgPool};

use crate::fault::{Outage, RecordFault, StoreError};
use crate::metrics::Outcome;
use crate::record::Record;

/// The one thing that a layer gives the runtime. Its functions stand in the order in which a batch passes them:
///
/// ```text
/// records ─▶ decode ─▶ enrich ─▶ prepare ─▶ apply, in one transaction ─▶ onward, until acknowledged ─▶ offsets
/// ```
///
/// Each must be idempotent: any record may be processed again at any time.
pub trait Processor: Send + Sync + 'static {
    /// What a good record says: decoded, checked, owned.
    type Fact: Send + Sync + 'static;

    /// Judges one record. Pure.
    fn decode(&self, record: &Record) -> Decoded<Self::Fact>;

    /// Adds what the facts need from elsewhere; an outage has the whole batch tried again.
    fn enrich(&self, facts: &mut [Self::Fact]) -> impl Future<Output = Result<(), Outage>> + Send {
        let _ = facts;
        ready(Ok(()))
    }

    /// What is still lacking after `enrich`, if anything: the fact's rows are stored, and its record waits. Pure.
    fn lacking(&self, fact: &Self::Fact) -> Option<RecordFault> {
        let _ = fact;
        None
    }

    /// Writes rows that many batches share, insert-only, in a short transaction of its own: within `apply` their locks
    /// would have one batch wait for the whole of another.
    fn prepare(&self, pool: &PgPool, facts: &[&Self::Fact]) -> impl Future<Output = Result<(), StoreError>> + Send {
        let _ = (pool, facts);
        ready(Ok(()))
    }

    /// Writes the facts' rows, set-based and in key order, so that batches of two partitions cannot deadlock. The
    /// facts stand in the order of their records.
    fn apply(
        &self,
        tx: &mut PgConnection,
        facts: &[&Self::Fact],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What goes onward, once the rows are there; `None` in the last layer. Pure.
    fn onward(&self, fact: &Self::Fact) -> Option<Message>;

    /// Asks whether what `enrich` needs is there, so that readiness is known also when there is no work; `None` where
    /// it needs nothing.
    fn ping(&self) -> impl Future<Output = Option<Result<(), Outage>>> + Send {
        ready(None)
    }
}

/// What a record is.
#[derive(Debug)]
pub enum Decoded<Fact> {
    /// A good one.
    Fact(Fact),
    /// Not meant for this layer.
    Skip(Skip),
    /// Proven to be at fault.
    Reject(RecordFault),
}

/// Why a record is not meant for a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// A tombstone.
    NullValue,
    /// Another `object_type` than the layer's.
    OtherType,
    /// An envelope without a `payload`.
    NoPayload,
}

impl Skip {
    /// The outcome in the metrics.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::NullValue => Outcome::SkippedNullValue,
            Self::OtherType => Outcome::SkippedOtherType,
            Self::NoPayload => Outcome::SkippedNoPayload,
        }
    }
}

/// A message for the next layer.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// The order's id, so that one order stays on one partition.
    pub key: String,
    /// The value.
    pub payload: Vec<u8>,
}
