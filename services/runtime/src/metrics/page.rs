//! `docs/metrics.md`, written from the declarations.

use std::fmt::Write as _;

use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;

use super::{DECLARED, Declared};

const HEAD: &str = "# Metrics

`GET /metrics` of each service, in Prometheus' text format. Every one of Ordervault's own also bears the label `layer`:
`stg`, `dds` or `cdm`. This page is written from the code by `./dev metrics`.

What is of a *member* is that replica's own: sum it over the replicas. What is of the *layer* every replica shows alike:
take the greatest, `max by (layer, partition) (…)`, and never the sum.

| metric | type | labels | of the | |
|---|---|---|---|---|
";

const BUCKETS: &str = "
Buckets of the histograms, by their upper bounds:

| histogram | bounds |
|---|---|
";

const PROCESS: &str = "
Of the process:

| metric | |
|---|---|
";

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for metric in DECLARED {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let Declared { name, kind, help, scope, .. } = metric;
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {} | {} |", labels.join(" "), scope.name(), help.trim());
    }
    page.push_str(BUCKETS);
    for metric in DECLARED.iter().filter(|metric| !metric.buckets.is_empty()) {
        let bounds: Vec<String> = metric.buckets.iter().map(f64::to_string).collect();
        let _ = writeln!(page, "| `{}` | {} |", metric.name, bounds.join(", "));
    }
    page.push_str(PROCESS);
    for family in ProcessCollector::for_self().collect() {
        let _ = writeln!(page, "| `{}` | {} |", family.name(), family.help());
    }
    page
}
