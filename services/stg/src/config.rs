//! What STG can be told.

use std::time::Duration;

use ordervault_runtime::config::{RuntimeConfig, Secret, Settings, Topics};

/// What every layer needs, and the dictionary.
#[derive(Clone, Debug)]
pub struct Config {
    /// What every layer needs.
    pub runtime: RuntimeConfig,
    /// Where users, restaurants and menus lie.
    pub redis: RedisConfig,
    /// For how long an entry of the dictionary is remembered.
    pub dictionary_ttl: Duration,
}

/// How to reach Redis.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// The host.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The password, if any.
    pub password: Option<Secret>,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

impl Config {
    /// Reads all of it; `None` where something is wrong, which `settings` then knows.
    pub fn read(settings: &mut Settings) -> Option<Self> {
        let topics =
            Topics { group: "ordervault-stg", source: "order-service_orders", destination: Some("stg-service-orders") };
        let runtime = RuntimeConfig::read(settings, topics);
        let redis = RedisConfig::read(settings);
        let dictionary_ttl =
            settings.or("DICTIONARY_TTL_SECONDS", 15_u64, "a whole number of seconds from 0 to 30", |text| {
                text.parse().ok().filter(|seconds| *seconds <= 30)
            });
        Some(Self { runtime: runtime?, redis: redis?, dictionary_ttl: Duration::from_secs(dictionary_ttl?) })
    }
}

impl RedisConfig {
    fn read(settings: &mut Settings) -> Option<Self> {
        let host = settings.required("REDIS_HOST", "a host name", |text| Some(text.to_owned()));
        let port = settings
            .or("REDIS_PORT", 6379_u16, "a port from 1 to 65535", |text| text.parse().ok().filter(|port| *port > 0));
        let password = settings.secret("REDIS_PASSWORD").map(Secret::from);
        let tls = settings.or("REDIS_TLS", false, "true or false", |text| text.to_lowercase().parse().ok());
        Some(Self { host: host?, port: port?, password, tls: tls? })
    }
}
