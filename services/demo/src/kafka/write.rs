//! Producing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use rdkafka::producer::{BaseRecord, DeliveryResult, NoCustomPartitioner, ProducerContext, ThreadedProducer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::MissedTickBehavior;

use super::Cluster;
use crate::Error;
use crate::orders::Produced;

/// How long to stand back when the local queue is full, and how often to look whether all is delivered.
const PAUSE: Duration = Duration::from_millis(5);
/// A flush that sees nothing happen for so long is taken to see nothing any more.
const STALLED: Duration = Duration::from_secs(150);
/// Messages between two calls of the progress callback.
const PROGRESS_EVERY: u64 = 500;

/// A producer that loses and doubles nothing: idempotent, acknowledged by all replicas.
pub struct Producer {
    inner: ThreadedProducer<Deliveries>,
    sent: u64,
}

/// What became of the messages so far.
#[derive(Default)]
struct Deliveries {
    delivered: AtomicU64,
    failed: AtomicU64,
    first_error: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let Err((error, _)) = result else {
            self.delivered.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // The error is stored before it is counted, so whoever sees the count finds the error.
        if let Ok(mut first_error) = self.first_error.lock() {
            first_error.get_or_insert_with(|| error.clone());
        }
        self.failed.fetch_add(1, Ordering::Release);
    }
}

impl Producer {
    /// A producer for every topic of the cluster.
    ///
    /// # Errors
    ///
    /// When the client refuses its configuration.
    pub fn new(cluster: &Cluster) -> Result<Self, Error> {
        let mut config = cluster.client();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "5")
            .set("compression.type", "none")
            // The queue is bounded in bytes well below what the client would take by itself (1 GiB).
            .set("queue.buffering.max.kbytes", "65536");
        let inner = config.create_with_context(Deliveries::default())?;
        Ok(Self { inner, sent: 0 })
    }

    /// Hands one message to the client's queue, waiting while that is full.
    ///
    /// # Errors
    ///
    /// When the client refuses the message, or an earlier one was not delivered.
    pub async fn send(&mut self, topic: &str, message: &Produced) -> Result<(), Error> {
        self.fail_if_undelivered()?;
        loop {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).payload(message.payload.as_slice());
            if let Some(key) = &message.key {
                record = record.key(key.as_slice());
            }
            if let Some(partition) = message.partition {
                record = record.partition(partition);
            }
            match self.inner.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
        self.sent += 1;
        Ok(())
    }

    /// Sends `messages` at `per_second`, evenly spaced, until they end; an endless stream is ended by dropping
    /// the future.
    ///
    /// # Errors
    ///
    /// As [`Producer::send`].
    pub async fn pace(
        &mut self,
        topic: &str,
        messages: impl IntoIterator<Item = Produced>,
        per_second: f64,
    ) -> Result<(), Error> {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second));
        // After a hindrance the stream goes on at its rate: a burst to catch up would show as latency.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for message in messages {
            ticks.tick().await;
            self.send(topic, &message).await?;
        }
        Ok(())
    }

    /// How many messages the brokers have acknowledged.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.inner.context().delivered.load(Ordering::Relaxed)
    }

    /// Waits until every message is acknowledged.
    ///
    /// # Errors
    ///
    /// When a message was not delivered, or nothing is acknowledged any more.
    pub async fn flush(&mut self) -> Result<(), Error> {
        let (mut seen, mut since) = (self.delivered(), Instant::now());
        loop {
            self.fail_if_undelivered()?;
            let delivered = self.delivered();
            if delivered == self.sent {
                return Ok(());
            }
            if delivered != seen {
                (seen, since) = (delivered, Instant::now());
            }
            if since.elapsed() > STALLED {
                return Err(Error::Stalled("producing".to_owned(), STALLED.as_secs()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn fail_if_undelivered(&self) -> Result<(), Error> {
        let deliveries = self.inner.context();
        if deliveries.failed.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let error = deliveries.first_error.lock().ok().and_then(|first_error| first_error.clone());
        Err(error.unwrap_or(KafkaError::MessageProduction(RDKafkaErrorCode::Fail)).into())
    }
}

/// Produces `messages` at full speed and waits until all are acknowledged; `progress` is told how many are handed
/// over so far. Returns how many there were.
///
/// # Errors
///
/// As [`Producer::send`] and [`Producer::flush`].
pub async fn produce(
    cluster: &Cluster,
    topic: &str,
    messages: impl IntoIterator<Item = Produced>,
    mut progress: impl FnMut(u64),
) -> Result<u64, Error> {
    let mut producer = Producer::new(cluster)?;
    for message in messages {
        producer.send(topic, &message).await?;
        if producer.sent.is_multiple_of(PROGRESS_EVERY) {
            progress(producer.sent);
            // A stream that never finds the queue full would otherwise keep its thread to itself.
            tokio::task::yield_now().await;
        }
    }
    producer.flush().await?;
    progress(producer.sent);
    Ok(producer.sent)
}

/// Produces one record without a key, onto partition 0; no value is a tombstone. For records as no generator makes them.
///
/// # Errors
///
/// When the message is not acknowledged.
pub async fn produce_raw(cluster: &Cluster, topic: &str, value: Option<&[u8]>) -> Result<(), Error> {
    let producer: FutureProducer = cluster.client().set("acks", "all").create()?;
    let mut record = FutureRecord::<[u8], [u8]>::to(topic).partition(0);
    record.payload = value;
    producer.send(record, STALLED).await.map_err(|(error, _)| error)?;
    Ok(())
}
