//! Every metric's name, labels and meaning: the only place where a metric is named.

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

/// The metrics of one service. Each also bears the label `layer`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Records by partition and outcome.
    pub records: IntCounterVec,
    /// Records of a batch.
    pub batch_records: Histogram,
    /// Seconds of a batch by stage.
    pub batch_seconds: HistogramVec,
    /// Records between the committed offset and the end of the partition.
    pub lag_records: IntGaugeVec,
    /// Seconds since the consumer last committed or found nothing to do.
    pub seconds_since_progress: Gauge,
    /// Attempts that were repeated, by what was at fault and how.
    pub retries: IntCounterVec,
    /// Dead letters of the layer by status.
    pub dead_letters: IntGaugeVec,
    /// From the source record's arrival in Kafka until this layer was done with it.
    pub end_to_end_seconds: Histogram,
    /// Connections of the pool by state.
    pub pool_connections: IntGaugeVec,
    /// 1 while the layer is paused, by the kind of the reason.
    pub paused: IntGaugeVec,
    /// Partitions that this member holds.
    pub assigned_partitions: IntGauge,
    /// What the newest audit found to be wrong, by table. Layers that have none do not show these.
    pub audit_wrong_rows: IntGaugeVec,
    /// What it found to be only behind, by table.
    pub audit_behind_rows: IntGaugeVec,
    /// When it came to its end.
    pub audit_last_success_timestamp_seconds: GaugeVec,
    /// How long it took.
    pub audit_seconds: GaugeVec,
    /// 1, with the version as a label.
    pub build_info: GaugeVec,
}

/// The stages of a batch, in their order.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// From bytes to facts.
    Decode,
    /// What the facts need from elsewhere.
    Enrich,
    /// The transaction.
    Database,
    /// Onward messages, until each is acknowledged.
    Publish,
    /// The offsets.
    Commit,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Decode, Self::Enrich, Self::Database, Self::Publish, Self::Commit];

    /// The label's value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Enrich => "enrich",
            Self::Database => "database",
            Self::Publish => "publish",
            Self::Commit => "commit",
        }
    }
}

impl Metrics {
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

    /// Makes and registers all of them.
    ///
    /// # Panics
    /// When two metrics bear the same name: a fault of this file, found by its own test.
    #[must_use]
    pub fn new(layer: &'static str) -> Self {
        let labels = [("layer".to_owned(), layer.to_owned())].into();
        let registry = Registry::new_custom(None, Some(labels)).unwrap_or_default();
        let metrics = Self {
            records: counters("ordervault_records_total", "Records by outcome.", &["partition", "outcome"]),
            batch_records: histogram(
                "ordervault_batch_records",
                "Records in a batch.",
                &[1., 2., 5., 10., 30., 100., 300., 1e3, 2e3, 4e3, 1e4],
            ),
            batch_seconds: registered(HistogramVec::new(
                HistogramOpts::new("ordervault_batch_seconds", "Seconds a batch spent in a stage.").buckets(vec![
                    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1., 2.5, 5., 10., 60.,
                ]),
                &["stage"],
            )),
            lag_records: gauges("ordervault_lag_records", "Records not yet committed, by partition.", &["partition"]),
            seconds_since_progress: registered(Gauge::new(
                "ordervault_seconds_since_progress",
                "Seconds since the consumer last finished a batch or found nothing to do.",
            )),
            retries: counters(
                "ordervault_retries_total",
                "Attempts repeated after a fault of the surroundings, by dependency and class.",
                &["dependency", "class"],
            ),
            dead_letters: gauges("ordervault_dead_letters", "Dead letters of the layer by status.", &["status"]),
            end_to_end_seconds: histogram(
                "ordervault_end_to_end_seconds",
                "Seconds from the source record's arrival in Kafka until this layer was done with it.",
                &[0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1., 2.5, 5., 10., 30., 60., 300., 3600.],
            ),
            pool_connections: gauges("ordervault_pool_connections", "Connections to PostgreSQL by state.", &["state"]),
            paused: gauges("ordervault_paused", "1 while the layer is paused, by the kind of the reason.", &["kind"]),
            assigned_partitions: registered(IntGauge::new(
                "ordervault_assigned_partitions",
                "Partitions that this member holds.",
            )),
            audit_wrong_rows: gauges(
                "ordervault_audit_wrong_rows",
                "Rows of a table that the newest finished audit found to be wrong, and has not repaired.",
                &["table"],
            ),
            audit_behind_rows: gauges(
                "ordervault_audit_behind_rows",
                "Rows of a table that the newest finished audit found to be only behind.",
                &["table"],
            ),
            audit_last_success_timestamp_seconds: registered(GaugeVec::new(
                Opts::new(
                    "ordervault_audit_last_success_timestamp_seconds",
                    "When the newest finished audit came to its end.",
                ),
                &[],
            )),
            audit_seconds: registered(GaugeVec::new(
                Opts::new("ordervault_audit_seconds", "How long the newest finished audit took."),
                &[],
            )),
            build_info: registered(GaugeVec::new(
                Opts::new("ordervault_build_info", "1, with the version as a label."),
                &["version"],
            )),
            registry,
        };
        metrics.register();
        for stage in Stage::ALL {
            let _ = metrics.batch_seconds.with_label_values(&[stage.name()]);
        }
        metrics.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        metrics
    }

    /// Notes how long a stage took.
    pub fn took(&self, stage: Stage, since: std::time::Instant) {
        self.batch_seconds.with_label_values(&[stage.name()]).observe(since.elapsed().as_secs_f64());
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

    fn register(&self) {
        let collectors: [Box<dyn Collector>; 16] = [
            Box::new(self.records.clone()),
            Box::new(self.batch_records.clone()),
            Box::new(self.batch_seconds.clone()),
            Box::new(self.lag_records.clone()),
            Box::new(self.seconds_since_progress.clone()),
            Box::new(self.retries.clone()),
            Box::new(self.dead_letters.clone()),
            Box::new(self.end_to_end_seconds.clone()),
            Box::new(self.pool_connections.clone()),
            Box::new(self.paused.clone()),
            Box::new(self.assigned_partitions.clone()),
            Box::new(self.audit_wrong_rows.clone()),
            Box::new(self.audit_behind_rows.clone()),
            Box::new(self.audit_last_success_timestamp_seconds.clone()),
            Box::new(self.audit_seconds.clone()),
            Box::new(self.build_info.clone()),
        ];
        for collector in collectors {
            registered(self.registry.register(collector));
        }
        registered(self.registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self())));
    }
}

/// A count as a sample; counts here stay far below the 2^52 up to which that is exact.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "see above")]
pub fn as_f64(count: usize) -> f64 {
    count as f64
}

fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(IntGaugeVec::new(Opts::new(name, help), labels))
}

fn histogram(name: &str, help: &str, buckets: &[f64]) -> Histogram {
    registered(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec())))
}

fn registered<T>(made: prometheus::Result<T>) -> T {
    made.expect("names and labels of this file are valid and unique")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_types_are_those_that_dashboards_rely_on() {
        let metrics = Metrics::new("dds");
        metrics.records.with_label_values(&["0", "applied"]).inc();
        metrics.lag_records.with_label_values(&["0"]).set(1);
        metrics.retries.with_label_values(&["kafka", "timeout"]).inc();
        metrics.dead_letters.with_label_values(&["open"]).set(0);
        metrics.paused.with_label_values(&["operator"]).set(0);
        metrics.pool_connections.with_label_values(&["idle"]).set(0);
        metrics.audit_wrong_rows.with_label_values(&["cdm.user_product_counters"]).set(0);
        metrics.audit_behind_rows.with_label_values(&["cdm.user_product_counters"]).set(0);
        metrics.audit_last_success_timestamp_seconds.with_label_values::<&str>(&[]).set(0.0);
        metrics.audit_seconds.with_label_values::<&str>(&[]).set(0.0);
        let text = metrics.text();
        let mut types: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ordervault_")).collect();
        types.sort_unstable();
        assert_eq!(
            types,
            [
                "assigned_partitions gauge",
                "audit_behind_rows gauge",
                "audit_last_success_timestamp_seconds gauge",
                "audit_seconds gauge",
                "audit_wrong_rows gauge",
                "batch_records histogram",
                "batch_seconds histogram",
                "build_info gauge",
                "dead_letters gauge",
                "end_to_end_seconds histogram",
                "lag_records gauge",
                "paused gauge",
                "pool_connections gauge",
                "records_total counter",
                "retries_total counter",
                "seconds_since_progress gauge",
            ]
        );
        assert!(text.contains(r#"ordervault_records_total{outcome="applied",partition="0",layer="dds"} 1"#), "{text}");
    }
}
