//! What the control plane can be told.

use super::Settings;
use crate::breaker::Threshold;

/// When the layer pauses itself, and for how long the account of operations is kept.
#[derive(Clone, Copy, Debug)]
pub struct ControlConfig {
    /// When the dead-letter breaker trips.
    pub breaker: Threshold,
    /// Days for which finished operations are kept.
    pub operations_keep_days: u32,
}

impl ControlConfig {
    pub(super) fn read(settings: &mut Settings) -> Option<Self> {
        let records = settings.or("DEAD_LETTER_BREAKER_RECORDS", 1_000, "a whole number from 1 to 1000000", |text| {
            text.parse().ok().filter(|records| (1..=1_000_000).contains(records))
        });
        let percent = settings.or(
            "DEAD_LETTER_BREAKER_PERCENT",
            50,
            "a whole number from 1 to 100, of which 100 means never",
            |text| text.parse().ok().filter(|percent| (1..=100).contains(percent)),
        );
        let operations_keep_days = settings.or("OPERATIONS_KEEP_DAYS", 90, "a whole number from 1 to 36500", |text| {
            text.parse().ok().filter(|days| (1..=36_500).contains(days))
        });
        Some(Self {
            breaker: Threshold { records: records?, percent: percent? },
            operations_keep_days: operations_keep_days?,
        })
    }
}
