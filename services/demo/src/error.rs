use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why the generator or the recount could not do its work. A difference between tables and recount is no error:
/// it is what a report is for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Kafka client refused or failed.
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// A topic could not be created.
    #[error("kafka refused to create topic {topic}: {code}")]
    TopicNotCreated {
        /// The topic's name.
        topic: String,
        /// What the broker answered.
        code: RDKafkaErrorCode,
    },
    /// The topic is not known to the cluster, or has no partitions yet.
    #[error("topic {0} has no partitions that can be used")]
    TopicNotUsable(String),
    /// Nothing arrived for so long that waiting further would only hide a fault.
    #[error("{0} made no progress for {1} s")]
    Stalled(String, u64),
    /// Redis refused or failed.
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
    /// PostgreSQL refused or failed.
    #[error("postgresql: {0}")]
    Database(#[from] sqlx::Error),
    /// A file or a process could not be used.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A service did not answer.
    #[error("http: {0}")]
    Http(#[from] reqwest::Error),
    /// A service answered what it should not.
    #[error("{0} was answered with {1}: {2}")]
    Answered(String, reqwest::StatusCode, String),
    /// The address of a server is missing or is none.
    #[error("{0} is not set, or is not what it should be; ./dev sets it for what it starts")]
    NotSet(String),
    /// A background thread ended early.
    #[error("background work ended early: {0}")]
    Background(#[from] tokio::task::JoinError),
}
