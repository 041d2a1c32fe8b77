//! Sends messages onward and waits until Kafka has acknowledged each.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::config::KafkaConfig;
use crate::fault::{self, Dependency, Fault, Outage, RecordFault};
use crate::processor::Message;
use crate::record::{Record, SOURCE_TIME_HEADER, TRACEPARENT_HEADER};

/// A message on its way, with the record that it comes from.
pub struct Outgoing<'r> {
    /// The record that gave rise to it.
    pub source: &'r Record,
    /// What is sent.
    pub message: Message,
}

/// An idempotent producer that waits for all replicas.
pub struct Publisher {
    config: KafkaConfig,
    topic: String,
    producer: RwLock<Arc<FutureProducer>>,
}

impl Publisher {
    /// A producer for the layer's destination.
    pub fn new(config: &KafkaConfig, topic: &str) -> Result<Self, KafkaError> {
        let producer = RwLock::new(Arc::new(producer(config)?));
        Ok(Self { config: config.clone(), topic: topic.to_owned(), producer })
    }

    /// Sends all of them; returns when each is acknowledged. The answer holds those that the broker will never take,
    /// by their place in `messages`.
    pub async fn publish(&self, messages: &[Outgoing<'_>]) -> Result<Vec<(usize, RecordFault)>, Outage> {
        let producer = Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner));
        let sends = messages.iter().map(|message| self.send(&producer, message));
        let mut refused = Vec::new();
        for (place, sent) in join_all(sends).await.into_iter().enumerate() {
            match sent {
                Ok(()) => {}
                Err(Fault::Record(fault)) => refused.push((place, fault)),
                Err(Fault::Outage(outage)) => {
                    self.replace_if_fatal(&producer)?;
                    return Err(outage);
                }
            }
        }
        Ok(refused)
    }

    async fn send(&self, producer: &FutureProducer, outgoing: &Outgoing<'_>) -> Result<(), Fault> {
        let source_time = outgoing.source.source_time().timestamp_millis().to_string();
        let traceparent = outgoing.source.header(TRACEPARENT_HEADER).map_or_else(new_traceparent, str::to_owned);
        let headers = OwnedHeaders::new()
            .insert(Header { key: SOURCE_TIME_HEADER, value: Some(&source_time) })
            .insert(Header { key: TRACEPARENT_HEADER, value: Some(&traceparent) });
        let record = FutureRecord::to(&self.topic)
            .key(&outgoing.message.key)
            .payload(&outgoing.message.payload)
            .headers(headers);
        // The queue holds what all batches send at once; a wait for room in it means that the broker does not keep up.
        let sent = producer.send(record, Duration::from_secs(5)).await;
        sent.map(|_| ()).map_err(|(error, _)| fault::of_kafka(&error))
    }

    /// A producer that lost its place in the sequence can never send again; the next attempt needs a new one.
    fn replace_if_fatal(&self, used: &Arc<FutureProducer>) -> Result<(), Outage> {
        use rdkafka::producer::Producer as _;
        if used.client().fatal_error().is_none() {
            return Ok(());
        }
        let mut present = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&present, used) {
            tracing::warn!("the producer is beyond repair and is replaced");
            let fresh = producer(&self.config).map_err(|error| Outage::new(Dependency::Kafka, "client", error))?;
            *present = Arc::new(fresh);
        }
        Ok(())
    }
}

fn producer(config: &KafkaConfig) -> Result<FutureProducer, KafkaError> {
    config
        .client()
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        // A batch is handed over at once; a longer wait for company would only add to the latency.
        .set("linger.ms", "2")
        .set("message.timeout.ms", "30000")
        .set("message.max.bytes", "10485760")
        .set("queue.buffering.max.kbytes", "16384")
        .create()
}

fn new_traceparent() -> String {
    let trace = uuid::Uuid::new_v4().simple();
    format!("00-{trace}-{:016x}-00", fastrand::u64(1..))
}
