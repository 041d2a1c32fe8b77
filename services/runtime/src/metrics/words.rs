//! The values of labels that are words of the road.

/// The stages of a batch, in their order.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// From bytes to facts.
    Decode,
    /// What the facts need from elsewhere.
    Enrich,
    /// The transaction.
    Database,
    /// Onward messages, until each is acknowledged.
    Publish,
    /// The offsets.
    Commit,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Decode, Self::Enrich, Self::Database, Self::Publish, Self::Commit];

    /// The label's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Enrich => "enrich",
            Self::Database => "database",
            Self::Publish => "publish",
            Self::Commit => "commit",
        }
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the tables, and onward.
    Processed,
    /// A tombstone.
    SkippedNullValue,
    /// Another `object_type` than the layer's.
    SkippedOtherType,
    /// An envelope without a `payload`.
    SkippedNoPayload,
    /// Its dead letter was given up.
    SkippedDiscarded,
    /// A dead letter that somebody has to look at.
    DeadLetter,
    /// A dead letter that waits for the dictionary.
    Waiting,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Processed,
        Self::SkippedNullValue,
        Self::SkippedOtherType,
        Self::SkippedNoPayload,
        Self::SkippedDiscarded,
        Self::DeadLetter,
        Self::Waiting,
    ];

    /// The label's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::SkippedNullValue => "skipped_null_value",
            Self::SkippedOtherType => "skipped_other_type",
            Self::SkippedNoPayload => "skipped_no_payload",
            Self::SkippedDiscarded => "skipped_discarded",
            Self::DeadLetter => "dead_letter",
            Self::Waiting => "waiting",
        }
    }
}
