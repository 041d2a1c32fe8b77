//! Sends messages onward and waits until Kafka has acknowledged each.

use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::statistics::Statistics;
use tokio::sync::oneshot;

use crate::config::KafkaConfig;
use crate::fault::{self, Dependency, Fault, Outage, RecordFault};
use crate::kafka_statistics::{self, KafkaStatistics};
use crate::metrics::Metrics;
use crate::processor::Message;
use crate::record::{Record, SOURCE_TIME_HEADER, TRACEPARENT_HEADER};

/// A message on its way, with the record that it comes from.
pub struct Outgoing<'r> {
    /// The record that gave rise to it.
    pub source: &'r Record,
    /// What is sent.
    pub message: Message,
    /// The `traceparent` that it bears, where the record is followed; else the record's own.
    pub traceparent: Option<String>,
}

/// What became of one message.
type Delivery = Result<(), KafkaError>;
type Producer = BaseProducer<Deliveries>;

/// Tells each message's sender what became of it.
struct Deliveries {
    statistics: KafkaStatistics,
}

impl ClientContext for Deliveries {
    fn stats(&self, statistics: Statistics) {
        self.statistics.show(&statistics);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<oneshot::Sender<Delivery>>;

    fn delivery(&self, result: &DeliveryResult<'_>, sender: Self::DeliveryOpaque) {
        // A sender that is gone has been dropped with its batch, which will be done again.
        let _ = sender.send(result.as_ref().map(|_| ()).map_err(|(error, _)| error.clone()));
    }
}

/// An idempotent producer that waits for all replicas.
pub struct Publisher {
    config: KafkaConfig,
    topic: String,
    metrics: Arc<Metrics>,
    producer: RwLock<Arc<Producer>>,
}

impl Publisher {
    /// A producer for the layer's destination.
    pub fn new(config: &KafkaConfig, topic: &str, metrics: &Arc<Metrics>) -> Result<Self, KafkaError> {
        let producer = RwLock::new(producer(config, metrics)?);
        Ok(Self { config: config.clone(), topic: topic.to_owned(), metrics: Arc::clone(metrics), producer })
    }

    /// Sends all of them; returns when each is acknowledged. The answer holds those that the broker will never take,
    /// by their place in `messages`.
    pub async fn publish(&self, messages: &[Outgoing<'_>]) -> Result<Vec<(usize, RecordFault)>, Outage> {
        let producer = Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner));
        let sent = self.send_all(&producer, messages).await;
        if let Err(outage) = &sent
            && is_spent(&producer, outage)
        {
            self.replace(&producer)?;
        }
        sent
    }

    async fn send_all(
        &self,
        producer: &Producer,
        messages: &[Outgoing<'_>],
    ) -> Result<Vec<(usize, RecordFault)>, Outage> {
        let mut deliveries = Vec::with_capacity(messages.len());
        for message in messages {
            deliveries.push(self.send(producer, message).await);
        }
        let mut suspects = Vec::new();
        for (place, delivery) in deliveries.into_iter().enumerate() {
            match delivered(delivery).await {
                Ok(()) => {}
                Err(Fault::Record(_)) => suspects.push(place),
                Err(Fault::Outage(outage)) => return Err(outage),
            }
        }
        // Messages travel in company, and the broker refuses the company whole: only one that is refused alone is at
        // fault.
        let mut refused = Vec::new();
        for place in suspects {
            match delivered(self.send(producer, &messages[place]).await).await {
                Ok(()) => {}
                Err(Fault::Record(fault)) => refused.push((place, fault)),
                Err(Fault::Outage(outage)) => return Err(outage),
            }
        }
        Ok(refused)
    }

    /// Hands a message to the client, waiting while its queue is full.
    async fn send(
        &self,
        producer: &Producer,
        outgoing: &Outgoing<'_>,
    ) -> Result<oneshot::Receiver<Delivery>, KafkaError> {
        let source_time = outgoing.source.source_time().timestamp_millis().to_string();
        let traceparent = outgoing.traceparent.as_deref().or_else(|| outgoing.source.header(TRACEPARENT_HEADER));
        let traceparent = traceparent.map_or_else(new_traceparent, str::to_owned);
        let headers = OwnedHeaders::new()
            .insert(Header { key: SOURCE_TIME_HEADER, value: Some(&source_time) })
            .insert(Header { key: TRACEPARENT_HEADER, value: Some(&traceparent) });
        let (sender, delivery) = oneshot::channel();
        let mut record = BaseRecord::with_opaque_to(&self.topic, Box::new(sender))
            .key(&outgoing.message.key)
            .payload(&outgoing.message.payload)
            .headers(headers);
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    tokio::time::sleep(ROOM_AFTER).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// The next attempt is made by a new producer, unless the one that failed has been replaced already.
    fn replace(&self, used: &Arc<Producer>) -> Result<(), Outage> {
        let mut present = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&present, used) {
            tracing::info!("the producer cannot send and is replaced");
            *present = producer(&self.config, &self.metrics)
                .map_err(|error| Outage::new(Dependency::Kafka, "client", error))?;
        }
        Ok(())
    }
}

/// Whether a producer is not to be asked again. One that lost its place in the sequence can never send. One whose
/// messages time out may have nobody left to send them to, and waits for ever then ([`crate::broker`] says why); where
/// Kafka is only away, another is no worse. What the old one had in hand may still arrive, for the second time.
fn is_spent(producer: &Producer, outage: &Outage) -> bool {
    outage.class == "timeout" || producer.client().fatal_error().is_some()
}

/// How long to stand back when the client's queue is full.
const ROOM_AFTER: Duration = Duration::from_millis(5);

/// Waits for what becomes of a message that was handed over, or says why it was not.
async fn delivered(handed_over: Result<oneshot::Receiver<Delivery>, KafkaError>) -> Result<(), Fault> {
    let delivery = match handed_over {
        // The client tells of every message, also when it ends.
        Ok(delivery) => delivery.await.unwrap_or(Err(KafkaError::Canceled)),
        Err(error) => Err(error),
    };
    delivery.map_err(|error| fault::of_kafka(&error))
}

/// A producer, with a thread that hears what became of its messages. The client's own for futures would do, but its
/// thread spins for a millisecond in every hundred.
fn producer(config: &KafkaConfig, metrics: &Arc<Metrics>) -> Result<Arc<Producer>, KafkaError> {
    let mut settings = config.client();
    settings
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        // A batch is handed over at once; a longer wait for company would only add to the latency.
        .set("linger.ms", "2")
        .set("message.timeout.ms", "30000")
        .set("message.max.bytes", "10485760")
        // The queue holds what all batches send at once.
        .set("queue.buffering.max.kbytes", "16384")
        .set("statistics.interval.ms", kafka_statistics::EVERY_MS);
    let statistics = KafkaStatistics::new("producer", Arc::clone(metrics));
    let producer = Arc::new(settings.create_with_context::<_, Producer>(Deliveries { statistics })?);
    let weak: Weak<Producer> = Arc::downgrade(&producer);
    std::thread::Builder::new()
        .name("deliveries".to_owned())
        .spawn(move || {
            while let Some(producer) = weak.upgrade() {
                producer.poll(Duration::from_secs(1));
            }
        })
        .map_err(|_| KafkaError::Canceled)?;
    Ok(producer)
}

fn new_traceparent() -> String {
    let trace = uuid::Uuid::new_v4().simple();
    format!("00-{trace}-{:016x}-00", fastrand::u64(1..))
}
