//! What CDM can be told.

use chrono::NaiveTime;
use ordervault_runtime::config::{RuntimeConfig, Settings, Topics};

/// What CDM needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every layer needs.
    pub runtime: RuntimeConfig,
    /// The time of the day, UTC, at which an audit is ordered, if one is.
    pub audit_daily_at: Option<NaiveTime>,
}

impl Config {
    /// Reads all of it; `None` where something is wrong, which `settings` then knows.
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let topics = Topics { group: "ordervault-cdm", source: "dds-service-orders", destination: None };
        let runtime = RuntimeConfig::read(settings, topics);
        let audit_daily_at =
            settings.optional("AUDIT_DAILY_AT", "a time of the day, UTC, from 00:00 to 23:59", time_of_day);
        Some(Self { runtime: runtime?, audit_daily_at: audit_daily_at? })
    }
}

/// Written in one way only: with two digits each.
fn time_of_day(text: &str) -> Option<NaiveTime> {
    let time = NaiveTime::parse_from_str(text, "%H:%M").ok()?;
    (time.format("%H:%M").to_string() == text).then_some(time)
}
