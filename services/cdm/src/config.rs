//! What CDM can be told.

use ordervault_runtime::config::{RuntimeConfig, Settings, Topics};

/// CDM needs nothing beyond what every layer needs.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every layer needs.
    pub runtime: RuntimeConfig,
}

impl Config {
    /// Reads all of it; `None` where something is wrong, which `settings` then knows.
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let topics = Topics { group: "ordervault-cdm", source: "dds-service-orders", destination: None };
        Some(Self { runtime: RuntimeConfig::read(settings, topics)? })
    }
}
