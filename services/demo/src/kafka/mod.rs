//! Kafka as the generator and the recount need it: create topics, produce as fast as the broker takes it, read a
//! topic whole. No consumer group is ever touched.

use rdkafka::ClientConfig;

mod read;
mod topics;
mod write;

pub use read::{Record, read_topic};
pub use topics::{create_topics, delete_topics, partitions};
pub use write::{Producer, produce, produce_raw};

/// Where a Kafka cluster is. The demonstration and the tests speak to it in plain text only.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// `host:port`, or several separated by commas.
    pub brokers: String,
}

impl Cluster {
    /// What every client of it is told; a group, acknowledgements and the like come on top.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "ordervault-demo");
        config
    }
}
