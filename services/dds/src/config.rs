//! What DDS can be told.

use ordervault_runtime::config::{RuntimeConfig, Settings, Topics};

/// DDS needs nothing beyond what every layer needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every layer needs.
    pub runtime: RuntimeConfig,
}

impl Config {
    /// Reads all of it; `None` where something is wrong, which `settings` then knows.
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let topics =
            Topics { group: "ordervault-dds", source: "stg-service-orders", destination: Some("dds-service-orders") };
        Some(Self { runtime: RuntimeConfig::read(settings, topics)? })
    }
}
