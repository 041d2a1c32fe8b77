//! A batch of one partition's records, as its queue holds them at a moment.

use std::cmp::Ordering;
use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _};
use rdkafka::consumer::ConsumerContext;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::error::KafkaError;

use crate::config::Limits;
use crate::record::Record;

/// What was taken from the queue.
pub struct Batch {
    /// Records in the order of their offsets, one at least.
    pub records: Vec<Record>,
    /// A record that was read and is the first of the next batch.
    pub ahead: Option<Record>,
    /// What came in the place of records.
    pub errors: Vec<KafkaError>,
}

impl Batch {
    /// A batch as large as the backlog makes it, within the bounds: nothing is waited for.
    pub fn take<C: ConsumerContext + 'static>(
        queue: &StreamPartitionQueue<C>,
        limits: &Limits,
        topic: &Arc<str>,
        first: Record,
    ) -> Self {
        let (mut bytes, mut last) = (first.bytes(), first.offset);
        let mut batch = Self { records: vec![first], ahead: None, errors: Vec::new() };
        let mut messages = queue.stream();
        while batch.records.len() < limits.batch_records && bytes < limits.batch_bytes {
            let record = match messages.next().now_or_never().flatten() {
                Some(Ok(message)) => Record::copy_of(&message, topic),
                Some(Err(error)) => {
                    batch.errors.push(error);
                    continue;
                }
                None => break,
            };
            match record.offset.cmp(&last) {
                Ordering::Greater => {
                    (bytes, last) = (bytes + record.bytes(), record.offset);
                    batch.records.push(record);
                }
                // A pause that falls between two records has the client repeat the one that is in our hands.
                Ordering::Equal => {}
                // The broker has lost its last records, and others take their places: the frontier goes back to them.
                Ordering::Less => {
                    batch.ahead = Some(record);
                    break;
                }
            }
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rdkafka::consumer::{Consumer as _, StreamConsumer};
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
    use rdkafka::{ClientConfig, Offset};

    use super::*;
    use crate::consumer::list_of;

    const PATIENCE: Duration = Duration::from_secs(30);
    const LIMITS: Limits = Limits {
        batch_records: 100,
        batch_bytes: 1 << 20,
        buffer_records: 100,
        buffer_bytes: 1 << 20,
        batches_at_once: 1,
    };

    #[tokio::test(flavor = "multi_thread")]
    async fn a_record_before_the_last_one_ends_the_batch_and_begins_the_next() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("orders", 1, 1).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "g");
        let producer: BaseProducer = config.create().unwrap();
        for _ in 0..4 {
            producer.send(BaseRecord::<(), [u8]>::to("orders").payload(b"x").partition(0)).unwrap();
        }
        producer.flush(PATIENCE).unwrap();

        let client: Arc<StreamConsumer> = Arc::new(config.create().unwrap());
        let topic: Arc<str> = Arc::from("orders");
        let queue = client.split_partition_queue("orders", 0).unwrap();
        client.assign(&list_of("orders", [(0, Some(2))])).unwrap();
        let first = loop {
            tokio::select! {
                _ = client.recv() => {}
                message = queue.recv() => break Record::copy_of(&message.unwrap(), &topic),
            }
        };
        assert_eq!(first.offset, 2);
        client.seek("orders", 0, Offset::Beginning, PATIENCE).unwrap();
        let begun = Instant::now();
        let (mut records, mut next) = (vec![first], None);
        while next.is_none() {
            assert!(begun.elapsed() < PATIENCE, "nothing came after {records:?}");
            let batch = Batch::take(&queue, &LIMITS, &topic, records.pop().unwrap());
            (records, next) = (batch.records, batch.ahead);
        }
        assert!((2..4).contains(&records.last().unwrap().offset), "{records:?}");
        assert_eq!(next.unwrap().offset, 0);
    }
}
