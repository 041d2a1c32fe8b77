//! What the newest audit found.

use std::sync::Arc;

use chrono::DateTime;

use super::{EVERY, PATIENCE};
use crate::control::operations::{self, Filter, Kind, Operation, State};
use crate::database::Database;
use crate::metrics::Metrics;

/// Shows for ever what the newest finished audit found, whichever member has done it and however long ago.
pub async fn show_audits(database: Database, layer: &'static str, metrics: Arc<Metrics>) {
    let newest = Filter { kind: Some(Kind::Audit), state: Some(State::Done), before: None };
    loop {
        let pool = database.pool();
        if let Ok(Ok(found)) = tokio::time::timeout(PATIENCE, operations::list(&pool, layer, newest, 1)).await {
            for audit in &found {
                show(audit, &metrics);
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn show(audit: &Operation, metrics: &Metrics) {
    for result in &audit.results {
        let (Some(table), Some(detail)) = (&result.table, &result.detail) else { continue };
        for (gauge, rows) in [(&metrics.audit_wrong_rows, "wrong"), (&metrics.audit_behind_rows, "behind")] {
            match detail[rows].as_i64() {
                // What was repaired comes after what was found.
                Some(rows) => gauge.with_label_values(&[table]).set(rows),
                // Of a table that could not be looked at nothing is known any more; where it was never known, all is well.
                None => {
                    let _ = gauge.remove_label_values(&[table]);
                }
            }
        }
    }
    if let Some(finished) = audit.finished_at {
        let finished = (finished - DateTime::UNIX_EPOCH).as_seconds_f64();
        metrics.audit_last_success_timestamp_seconds.with_label_values::<&str>(&[]).set(finished);
    }
    if let Some(seconds) = audit.progress["seconds"].as_f64() {
        metrics.audit_seconds.with_label_values::<&str>(&[]).set(seconds);
    }
}
