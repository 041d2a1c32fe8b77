use std::collections::BTreeMap;

use prometheus::proto::LabelPair;

use super::*;
use crate::processor::Skip;

/// Every name is part of what dashboards, alerts and other people's queries rely on: change it here only on purpose.
const NAMES: &[(&str, &str, &[&str])] = &[
    ("ordervault_records_total", "counter", &["partition", "outcome"]),
    ("ordervault_batch_records", "histogram", &[]),
    ("ordervault_batch_seconds", "histogram", &["stage"]),
    ("ordervault_end_to_end_seconds", "histogram", &[]),
    ("ordervault_progress_age_seconds", "gauge", &[]),
    ("ordervault_retries_total", "counter", &["dependency", "class"]),
    ("ordervault_retry_wait_seconds_total", "counter", &["dependency"]),
    ("ordervault_lag_records", "gauge", &["partition"]),
    ("ordervault_lag_seconds", "gauge", &["partition"]),
    ("ordervault_retention_margin_records", "gauge", &["partition"]),
    ("ordervault_log_start_offset", "gauge", &["partition"]),
    ("ordervault_topic_partitions", "gauge", &[]),
    ("ordervault_assigned_partitions", "gauge", &[]),
    ("ordervault_desired_state", "gauge", &["state"]),
    ("ordervault_actual_state", "gauge", &["state"]),
    ("ordervault_paused", "gauge", &["kind"]),
    ("ordervault_members", "gauge", &[]),
    ("ordervault_ready", "gauge", &[]),
    ("ordervault_check_passing", "gauge", &["check"]),
    ("ordervault_dead_letters", "gauge", &["status", "code"]),
    ("ordervault_dead_letters_oldest_age_seconds", "gauge", &["status"]),
    ("ordervault_pool_connections", "gauge", &["pool", "state"]),
    ("ordervault_http_requests_total", "counter", &["method", "route", "status"]),
    ("ordervault_http_request_seconds", "histogram", &["route"]),
    ("ordervault_kafka_round_trip_seconds", "gauge", &["client"]),
    ("ordervault_kafka_fetch_queue_records", "gauge", &[]),
    ("ordervault_kafka_fetch_queue_bytes", "gauge", &[]),
    ("ordervault_kafka_produce_queue_records", "gauge", &[]),
    ("ordervault_kafka_rebalances_total", "counter", &[]),
    ("ordervault_kafka_request_errors_total", "counter", &["client"]),
    ("ordervault_audit_wrong_rows", "gauge", &["table"]),
    ("ordervault_audit_behind_rows", "gauge", &["table"]),
    ("ordervault_audit_last_success_timestamp_seconds", "gauge", &[]),
    ("ordervault_audit_seconds", "gauge", &[]),
    ("ordervault_audit_daily", "gauge", &[]),
    ("ordervault_build_info", "gauge", &["version", "commit"]),
];

#[test]
fn names_types_and_labels_are_those_that_dashboards_rely_on() {
    let declared: Vec<_> = DECLARED.iter().map(|metric| (metric.name, metric.kind, metric.labels)).collect();
    assert_eq!(declared, NAMES);
}

#[test]
fn names_follow_the_rules_of_prometheus() {
    for metric in DECLARED {
        let Declared { name, kind, help, .. } = metric;
        assert!(name.starts_with("ordervault_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == "counter", "{name}");
        assert_eq!(*kind == "histogram", !metric.buckets.is_empty(), "{name}");
        assert!(metric.buckets.is_sorted_by(|one, next| one < next), "{name}");
        assert!(help.trim().ends_with('.'), "{name}: {help}");
        // Units are base units and stand at the end.
        let base = name.strip_suffix("_total").unwrap_or(name);
        assert!(!["_ms", "_millis", "_minutes", "_percent"].iter().any(|unit| base.ends_with(unit)), "{name}");
        assert!(!base.contains("seconds") || base.ends_with("_seconds"), "{name}");
    }
}

#[test]
fn the_page_of_metrics_is_what_the_code_declares() {
    let page = include_str!("../../../../docs/metrics.md");
    assert_eq!(page, super::page(), "./dev metrics writes it");
}

#[test]
fn what_is_counted_begins_at_nought_and_each_outcome_of_a_partition_is_shown_once_it_is_taken_over() {
    let metrics = Metrics::new("dds");
    metrics.takes_over(3);
    metrics.count(3, Outcome::Processed, 7);
    metrics.count(3, Skip::OtherType.outcome(), 2);
    let text = metrics.text();
    let line =
        |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {text}"));
    assert!(line(r#"ordervault_records_total{outcome="processed",partition="3",layer="dds"}"#).ends_with(" 7"));
    assert!(
        line(r#"ordervault_records_total{outcome="skipped_other_type",partition="3",layer="dds"}"#).ends_with(" 2")
    );
    assert!(line(r#"ordervault_records_total{outcome="dead_letter",partition="3",layer="dds"}"#).ends_with(" 0"));
    assert_eq!(text.matches("ordervault_records_total{").count(), Outcome::ALL.len());
    assert!(line(r#"ordervault_retries_total{class="connection",dependency="kafka",layer="dds"}"#).ends_with(" 0"));
    assert!(line(r#"ordervault_actual_state{state="starting",layer="dds"}"#).ends_with(" 1"));
}

#[test]
fn what_the_probes_say_is_shown_when_it_is_asked_for() {
    let (metrics, health) = (Metrics::new("cdm"), Health::new(&["kafka", "postgres"]));
    metrics.show(&health);
    assert!(!metrics.text().contains("ordervault_check_passing{"), "what nobody has looked at is said to be away");
    health.passes("kafka", "probe");
    health.fails("postgres", "probe", "connection refused");
    metrics.show(&health);
    let passing = |check| metrics.check_passing.with_label_values(&[check]).get();
    assert_eq!((metrics.ready.get(), passing("kafka"), passing("postgres")), (0, 1, 0));
    health.passes("postgres", "probe");
    metrics.show(&health);
    assert_eq!((metrics.ready.get(), passing("postgres")), (1, 1));
}

#[test]
fn every_series_bears_the_layer_and_no_label_that_was_not_declared() {
    let metrics = Metrics::new("cdm");
    metrics.takes_over(0);
    let declared: BTreeMap<&str, &[&str]> = DECLARED.iter().map(|metric| (metric.name, metric.labels)).collect();
    for family in metrics.registry.gather() {
        for series in family.get_metric() {
            let labels: BTreeSet<&str> = series.get_label().iter().map(LabelPair::name).collect();
            let known = declared.get(family.name()).copied().unwrap_or_default();
            let expected: BTreeSet<&str> = known.iter().copied().chain(["layer"]).collect();
            assert_eq!(labels, expected, "{}", family.name());
        }
    }
}
