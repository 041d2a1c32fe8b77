//! Every metric's name, labels and meaning: the only place where a metric is named.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{
    CounterVec, Encoder as _, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Registry, TextEncoder,
};

mod declare;
mod words;
mod page;

pub use declare::{Declared, Scope};
use declare::{Metric, declare};
pub use page::page;
pub use words::{Outcome, Stage};

use crate::actual_state::MemberState;
use crate::fault::Dependency;
use crate::health::{CheckReport, Health};
use crate::version;

const RECORDS: [f64; 11] = [1., 2., 5., 10., 30., 100., 300., 1e3, 2e3, 4e3, 1e4];
const STAGE_SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1., 2.5, 5., 10., 60.];
const END_TO_END_SECONDS: [f64; 21] = [
    0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1., 2.5, 5., 10., 20., 30., 60., 120., 300., 900.,
    3600.,
];
const REQUEST_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1., 5., 30.];

declare! {
    /// Records that a member was done with, each under one outcome: processed, skipped for a reason, waiting for the
    /// dictionary, or a dead letter.
    Member records: IntCounterVec = "ordervault_records_total" ["partition", "outcome"];
    /// Records in a batch.
    Member batch_records: Histogram = "ordervault_batch_records" [] buckets RECORDS;
    /// Seconds that a batch spent in a stage, with its waits for what was away. The rate of the sum is the share of time
    /// that goes into the stage, of as many batches as are worked at once.
    Member batch_seconds: HistogramVec = "ordervault_batch_seconds" ["stage"] buckets STAGE_SECONDS;
    /// Seconds from the source record's arrival in Kafka until this layer was done with it, of records from its topic: not
    /// of dead letters and stored orders that are sent through once more.
    Member end_to_end_seconds: Histogram = "ordervault_end_to_end_seconds" [] buckets END_TO_END_SECONDS;
    /// Seconds since the consumer last finished a batch or found nothing to do.
    Member progress_age_seconds: Gauge = "ordervault_progress_age_seconds" [];
    /// Attempts that were repeated after a fault of the surroundings, by dependency and class of the fault.
    Member retries: IntCounterVec = "ordervault_retries_total" ["dependency", "class"];
    /// Seconds spent waiting before such attempts.
    Member retry_wait_seconds: CounterVec = "ordervault_retry_wait_seconds_total" ["dependency"];

    /// Records that are not yet committed.
    Layer lag_records: IntGaugeVec = "ordervault_lag_records" ["partition"];
    /// For how many seconds the first record that is not yet committed has been in Kafka; 0 without lag.
    Layer lag_seconds: GaugeVec = "ordervault_lag_seconds" ["partition"];
    /// Records between the first one that Kafka still has and the committed offset; below 0, records were deleted unread.
    /// Absent while nothing is committed.
    Layer retention_margin_records: IntGaugeVec = "ordervault_retention_margin_records" ["partition"];
    /// The offset of the first record that Kafka still has.
    Layer log_start_offset: IntGaugeVec = "ordervault_log_start_offset" ["partition"];
    /// Partitions of the source topic.
    Layer topic_partitions: IntGauge = "ordervault_topic_partitions" [];
    /// Partitions that a member holds.
    Member assigned_partitions: IntGauge = "ordervault_assigned_partitions" [];

    /// 1 for what the layer is to do, 0 for the other.
    Layer desired_state: IntGaugeVec = "ordervault_desired_state" ["state"];
    /// 1 for what the member does, 0 for the others.
    Member actual_state: IntGaugeVec = "ordervault_actual_state" ["state"];
    /// 1 while the layer is to pause for a reason of this kind.
    Layer paused: IntGaugeVec = "ordervault_paused" ["kind"];
    /// Members that have reported within the last 10 s.
    Layer members: IntGauge = "ordervault_members" [];
    /// 1 while every check of /readyz passes.
    Member ready: IntGauge = "ordervault_ready" [];
    /// 1 while the check of /readyz passes. Absent while it was not made yet.
    Member check_passing: IntGaugeVec = "ordervault_check_passing" ["check"];

    /// Dead letters by status and code. Codes beyond the 30 commonest are one, "other"; a status that has none shows 0
    /// without a code.
    Layer dead_letters: IntGaugeVec = "ordervault_dead_letters" ["status", "code"];
    /// Age of the oldest dead letter that is to be looked at (open) or is tried again by itself (waiting); 0 without one.
    Layer dead_letters_oldest_age_seconds: GaugeVec = "ordervault_dead_letters_oldest_age_seconds" ["status"];

    /// Connections to PostgreSQL by pool: that of the layer's own work, of requests, of analysts' reads.
    Member pool_connections: IntGaugeVec = "ordervault_pool_connections" ["pool", "state"];
    /// HTTP requests by the template of their route; "none" is no route.
    Member http_requests: IntCounterVec = "ordervault_http_requests_total" ["method", "route", "status"];
    /// Seconds until an HTTP answer began.
    Member http_request_seconds: HistogramVec = "ordervault_http_request_seconds" ["route"] buckets REQUEST_SECONDS;

    /// Seconds that the slowest broker took to answer, on average over the last interval of the client's statistics.
    Member kafka_round_trip_seconds: GaugeVec = "ordervault_kafka_round_trip_seconds" ["client"];
    /// Records that the consumer has fetched and no batch has taken yet.
    Member kafka_fetch_queue_records: IntGauge = "ordervault_kafka_fetch_queue_records" [];
    /// Their bytes.
    Member kafka_fetch_queue_bytes: IntGauge = "ordervault_kafka_fetch_queue_bytes" [];
    /// Onward messages that are not acknowledged yet.
    Member kafka_produce_queue_records: IntGauge = "ordervault_kafka_produce_queue_records" [];
    /// Rebalances that the consumer took part in.
    Member kafka_rebalances: IntCounter = "ordervault_kafka_rebalances_total" [];
    /// Requests to brokers that failed or had no answer in time.
    Member kafka_request_errors: IntCounterVec = "ordervault_kafka_request_errors_total" ["client"];

    /// Rows of a table that the newest finished audit found to be wrong, and has not repaired.
    Layer audit_wrong_rows: IntGaugeVec = "ordervault_audit_wrong_rows" ["table"];
    /// Rows of a table that the newest finished audit found to be only behind.
    Layer audit_behind_rows: IntGaugeVec = "ordervault_audit_behind_rows" ["table"];
    /// When the newest finished audit came to its end. Absent before the first.
    Layer audit_last_success_timestamp_seconds: GaugeVec = "ordervault_audit_last_success_timestamp_seconds" [];
    /// How long the newest finished audit took. Absent before the first.
    Layer audit_seconds: GaugeVec = "ordervault_audit_seconds" [];
    /// 1 where an audit is done every day without being asked for. Only of the layer that audits.
    Member audit_daily: IntGaugeVec = "ordervault_audit_daily" [];

    /// 1, with the program's version and commit as labels.
    Member build_info: IntGaugeVec = "ordervault_build_info" ["version", "commit"];
}

impl Metrics {
    /// Makes and registers all of them. What is counted begins at 0, so that its first increase is seen as one.
    ///
    /// # Panics
    /// When two metrics bear the same name: a fault of this file, found by its own test.
    #[must_use]
    pub fn new(layer: &'static str) -> Self {
        let labels = [("layer".to_owned(), layer.to_owned())].into();
        let registry = Registry::new_custom(None, Some(labels)).expect("without a prefix it is made");
        let metrics = Self::declared(registry).expect("names and labels of this file are valid and unique");
        metrics.registry.register(Box::new(ProcessCollector::for_self())).expect("no name of ours is among its own");
        for stage in Stage::ALL {
            let _ = metrics.batch_seconds.with_label_values(&[stage.name()]);
        }
        for dependency in Dependency::ALL {
            let _ = metrics.retries.with_label_values(&[dependency.name(), "connection"]);
            let _ = metrics.retry_wait_seconds.with_label_values(&[dependency.name()]);
        }
        metrics.build_info.with_label_values(&[version::VERSION, version::COMMIT]).set(1);
        metrics.does(MemberState::Starting);
        metrics
    }

    /// Notes how long a stage took.
    pub fn took(&self, stage: Stage, since: Instant) {
        self.batch_seconds.with_label_values(&[stage.name()]).observe(since.elapsed().as_secs_f64());
    }

    /// Counts records of a partition.
    pub fn count(&self, partition: i32, outcome: Outcome, records: usize) {
        self.records.with_label_values(&[&*partition.to_string(), outcome.name()]).inc_by(records as u64);
    }

    /// A partition that is taken over shows every outcome from now on.
    pub fn takes_over(&self, partition: i32) {
        for outcome in Outcome::ALL {
            self.count(partition, outcome, 0);
        }
    }

    /// Notes an attempt that is to be repeated after a pause.
    pub fn retries(&self, dependency: Dependency, class: &str, pause: Duration) {
        self.retries.with_label_values(&[dependency.name(), class]).inc();
        self.retry_wait_seconds.with_label_values(&[dependency.name()]).inc_by(pause.as_secs_f64());
    }

    /// Shows what the member does.
    pub fn does(&self, now: MemberState) {
        for state in [MemberState::Starting, MemberState::Running, MemberState::Paused] {
            self.actual_state.with_label_values(&[state.name()]).set(i64::from(state == now));
        }
    }

    /// Shows what the probes say at this moment.
    pub fn show(&self, health: &Health) {
        let checks = health.report();
        self.ready.set(i64::from(checks.iter().all(|check| check.ok)));
        // Of what nobody has looked at yet nobody can say that it is away.
        for check in checks.into_iter().filter(CheckReport::is_known) {
            self.check_passing.with_label_values(&[check.name]).set(i64::from(check.ok));
        }
        self.progress_age_seconds.set(health.progress_age().as_secs_f64());
    }

    /// Records that are not committed yet, of all partitions together; `None` while the broker has not been asked.
    #[must_use]
    pub fn lag(&self) -> Option<i64> {
        let gauges: Vec<i64> = self.lag_by_partition().into_iter().map(|(_, lag)| lag).collect();
        (!gauges.is_empty()).then(|| gauges.iter().sum())
    }

    /// The topic's partitions as far as they are known, with the records that are not committed yet.
    #[must_use]
    pub fn lag_by_partition(&self) -> Vec<(i32, i64)> {
        let families = self.lag_records.collect();
        let gauges = families.iter().flat_map(MetricFamily::get_metric);
        let named = gauges.filter_map(|gauge| {
            let label = gauge.get_label().iter().find(|label| label.name() == "partition")?;
            #[expect(clippy::cast_possible_truncation, reason = "the gauge holds whole numbers")]
            let lag = gauge.get_gauge().get_value() as i64;
            Some((label.value().parse().ok()?, lag))
        });
        named.collect()
    }

    /// The Prometheus text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory cannot fail, and a half-written answer would say less than an empty one.
        if TextEncoder::new().encode(&self.registry.gather(), &mut text).is_err() {
            text.clear();
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// A count as a sample; counts here stay far below the 2^52 up to which that is exact.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub fn as_f64(count: usize) -> f64 {
    count as f64
}

/// The series of a gauge whose labels come from the warehouse: those that are no longer there go.
#[derive(Debug, Default)]
pub struct Shown(BTreeSet<Vec<String>>);

impl Shown {
    /// Shows these rows in place of those before; at no moment there are none.
    pub fn replace(&mut self, gauge: &IntGaugeVec, rows: impl IntoIterator<Item = (Vec<String>, i64)>) {
        let mut now = BTreeSet::new();
        for (labels, value) in rows {
            gauge.with_label_values(&labels).set(value);
            now.insert(labels);
        }
        for gone in self.0.difference(&now) {
            let _ = gauge.remove_label_values(gone);
        }
        self.0 = now;
    }
}

#[cfg(test)]
mod tests;
