//! What matters of the statistics that each Kafka client gives of itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::Statistics;

use crate::metrics::Metrics;

/// How often a client gives them, for its settings: rarely enough to cost nothing.
pub const EVERY_MS: &str = "5000";

/// Shows one client's statistics. A client that takes its place counts from 0 again, and so does its own of these.
pub struct KafkaStatistics {
    client: &'static str,
    metrics: Arc<Metrics>,
    counted: Mutex<Counted>,
}

/// What was counted so far.
#[derive(Clone, Copy, Default)]
struct Counted {
    errors: u64,
    rebalances: u64,
}

impl KafkaStatistics {
    /// For a client of this kind: `consumer` or `producer`.
    pub fn new(client: &'static str, metrics: Arc<Metrics>) -> Self {
        let _ = metrics.kafka_request_errors.with_label_values(&[client]);
        Self { client, metrics, counted: Mutex::default() }
    }

    /// Shows what a client says.
    pub fn show(&self, said: &Statistics) {
        let slowest = said.brokers.values().filter_map(|broker| broker.rtt.as_ref()).map(|window| window.avg).max();
        // Without an answer in the interval there is nothing new to be said.
        if let Some(slowest) = slowest.and_then(|micros| u64::try_from(micros).ok()).filter(|micros| *micros > 0) {
            let seconds = Duration::from_micros(slowest).as_secs_f64();
            self.metrics.kafka_round_trip_seconds.with_label_values(&[self.client]).set(seconds);
        }
        if let Some(group) = &said.cgrp {
            let partitions = || said.topics.values().flat_map(|topic| topic.partitions.values());
            self.metrics.kafka_fetch_queue_records.set(partitions().map(|partition| partition.fetchq_cnt).sum());
            let bytes = partitions().map(|partition| partition.fetchq_size).sum::<u64>();
            self.metrics.kafka_fetch_queue_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
            self.count(said, u64::try_from(group.rebalance_cnt).unwrap_or_default());
        } else {
            self.metrics.kafka_produce_queue_records.set(i64::try_from(said.msg_cnt).unwrap_or(i64::MAX));
            self.count(said, 0);
        }
    }

    fn count(&self, said: &Statistics, rebalances: u64) {
        let errors = said.brokers.values().map(|broker| broker.txerrs + broker.rxerrs + broker.req_timeouts).sum();
        let now = Counted { errors, rebalances };
        let before = std::mem::replace(&mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner), now);
        let grown = |now: u64, before: u64| now.saturating_sub(before);
        self.metrics.kafka_request_errors.with_label_values(&[self.client]).inc_by(grown(now.errors, before.errors));
        self.metrics.kafka_rebalances.inc_by(grown(now.rebalances, before.rebalances));
    }
}
