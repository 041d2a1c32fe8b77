//! What every layer can be told: where Kafka, PostgreSQL and the HTTP server are, and how much to hold in memory.
//!
//! Names are those of the system that this replaces, plus ours; the README's table lists them all.

use std::net::SocketAddr;

mod api;
mod control;
mod kafka;
mod postgres;
mod secret;
mod settings;
mod tokens;
mod traces;

pub use api::ApiConfig;
pub use control::ControlConfig;
pub use kafka::{KafkaConfig, Topics};
pub use postgres::PostgresConfig;
pub use secret::Secret;
pub use settings::{SettingFault, Settings};
pub use tokens::{Token, TokenList, digest};
pub use traces::{Sampling, TracesConfig};

/// What every layer needs.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// The broker, the topics, the group.
    pub kafka: KafkaConfig,
    /// The warehouse.
    pub postgres: PostgresConfig,
    /// Where the HTTP server listens.
    pub http_addr: SocketAddr,
    /// Who may use the API.
    pub api: ApiConfig,
    /// How much is held in memory at once.
    pub limits: Limits,
    /// How the control plane works.
    pub control: ControlConfig,
    /// How records are followed through the layers.
    pub traces: TracesConfig,
}

/// Bounds on what one service holds in memory. The defaults keep it under 128 MiB.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records of one batch at the most.
    pub batch_records: usize,
    /// A batch that holds so many bytes takes no further record.
    pub batch_bytes: usize,
    /// Records of a partition that wait in memory for their batch: no more are fetched when there are so many.
    pub buffer_records: usize,
    /// Bytes of a partition that wait in memory for their batch: no more are fetched when there are so many.
    pub buffer_bytes: usize,
    /// Batches that are worked at once, each on a connection and a partition of its own.
    pub batches_at_once: usize,
}

impl RuntimeConfig {
    /// Reads all of it; `None` where something is wrong, which `settings` then knows.
    pub fn read(settings: &mut Settings, topics: Topics) -> Option<Self> {
        let kafka = KafkaConfig::read(settings, topics);
        let postgres = PostgresConfig::read(settings);
        let http_addr = settings.or(
            "HTTP_ADDR",
            SocketAddr::from(([0, 0, 0, 0], 5000)),
            "an IP address with a port, as in 0.0.0.0:5000",
            |text| text.parse().ok(),
        );
        let api = ApiConfig::read(settings);
        let limits = Limits::read(settings);
        let control = ControlConfig::read(settings);
        let traces = TracesConfig::read(settings);
        Some(Self {
            kafka: kafka?,
            postgres: postgres?,
            http_addr: http_addr?,
            api: api?,
            limits: limits?,
            control: control?,
            traces: traces?,
        })
    }
}

impl Limits {
    fn read(settings: &mut Settings) -> Option<Self> {
        let mut count = |name, default, most: usize| {
            let takes = format!("a whole number from 1 to {most}");
            settings.or(name, default, &takes, |text| text.parse().ok().filter(|n| (1..=most).contains(n)))
        };
        let batch_records = count("BATCH_MAX_RECORDS", 2_000, 100_000);
        let batch_bytes = count("BATCH_MAX_BYTES", 2 << 20, 1 << 30);
        let buffer_records = count("BUFFER_MAX_RECORDS", 4_000, 1_000_000);
        let buffer_bytes = count("BUFFER_MAX_BYTES", 3 << 19, 1 << 30);
        let batches_at_once = count("BATCHES_AT_ONCE", 3, 64);
        Some(Self {
            batch_records: batch_records?,
            batch_bytes: batch_bytes?,
            buffer_records: buffer_records?,
            buffer_bytes: buffer_bytes?,
            batches_at_once: batches_at_once?,
        })
    }
}

/// For settings that take any text.
#[expect(clippy::unnecessary_wraps, reason = "it has the shape of a parser")]
pub(crate) fn any_text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// What [`certificates`] takes, for people.
pub(crate) const TAKES_CERTIFICATES: &str = "the path of a readable PEM file with CA certificates";

/// For settings that take a file of certificates.
pub(crate) fn certificates(path: &str) -> Option<String> {
    let file = std::fs::read(path).ok()?;
    let marker = b"-----BEGIN CERTIFICATE-----";
    file.windows(marker.len()).any(|window| window == marker).then(|| path.to_owned())
}

/// For settings that take a port.
pub(crate) fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}
