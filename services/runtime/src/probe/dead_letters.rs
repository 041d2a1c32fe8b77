//! How many dead letters there are, and how old.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::EVERY;
use crate::database::Database;
use crate::dead_letter::{self, Counted};
use crate::metrics::{Metrics, Shown};

const COUNT_WITHIN: Duration = Duration::from_mins(1);
/// Counting takes a twentieth of the time at the most.
const IDLE_SHARE: u32 = 20;
/// So many codes are shown by themselves.
const CODES: usize = 30;

/// Counts the dead letters for ever, for the metrics. Millions of them are no ill health, so a slow count is none.
pub async fn count_dead_letters(database: Database, layer: &'static str, metrics: Arc<Metrics>) {
    let mut shown = Shown::default();
    loop {
        let rest = match database.pool().acquire().await {
            Ok(mut connection) => {
                let began = Instant::now();
                let counted = tokio::time::timeout(COUNT_WITHIN, dead_letter::count(&mut connection, layer)).await;
                if let Ok(Ok(counted)) = counted {
                    show(&counted, &metrics, &mut shown);
                }
                began.elapsed() * IDLE_SHARE
            }
            // The wait for a database that is away is no counting to rest from.
            Err(_) => Duration::ZERO,
        };
        tokio::time::sleep(EVERY.max(rest)).await;
    }
}

fn show(counted: &[Counted], metrics: &Metrics, shown: &mut Shown) {
    let mut by_code: BTreeMap<&str, i64> = BTreeMap::new();
    for row in counted {
        *by_code.entry(&row.code).or_default() += row.letters;
    }
    let mut commonest: Vec<_> = by_code.into_iter().map(|(code, letters)| (-letters, code)).collect();
    commonest.sort_unstable();
    let named: Vec<&str> = commonest.into_iter().take(CODES).map(|(_, code)| code).collect();

    let mut rows: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for status in ["open", "waiting", "resolved", "discarded"] {
        let of_status = || counted.iter().filter(|row| row.status == status);
        if of_status().next().is_none() {
            rows.insert((status, ""), 0);
        }
        for row in of_status() {
            let code = if named.contains(&&*row.code) { &row.code } else { "other" };
            *rows.entry((status, code)).or_default() += row.letters;
        }
    }
    let labelled =
        rows.into_iter().map(|((status, code), letters)| (vec![status.to_owned(), code.to_owned()], letters));
    shown.replace(&metrics.dead_letters, labelled);
    for status in ["open", "waiting"] {
        let ages = counted.iter().filter(|row| row.status == status).map(|row| row.oldest_age_seconds);
        let oldest = ages.fold(0.0, f64::max);
        metrics.dead_letters_oldest_age_seconds.with_label_values(&[status]).set(oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: &str, code: &str, letters: i64) -> Counted {
        Counted { status: status.to_owned(), code: code.to_owned(), letters, oldest_age_seconds: 5.0 }
    }

    #[test]
    fn the_commonest_codes_are_shown_and_the_rest_is_one_however_many_there_are() {
        let (metrics, mut shown) = (Metrics::new("dds"), Shown::default());
        let counted: Vec<Counted> = (1..=1_000).map(|nth| row("open", &format!("code{nth}"), nth)).collect();
        show(&counted, &metrics, &mut shown);
        let text = metrics.text();
        let series = || text.lines().filter(|line| line.starts_with("ordervault_dead_letters{"));
        assert_eq!(series().filter(|line| line.contains("status=\"open\"")).count(), CODES + 1);
        assert!(series().any(|line| line.contains("code=\"code1000\"") && line.ends_with(" 1000")), "{text}");
        let rest: i64 = (1..=970).sum();
        assert!(series().any(|line| line.contains("code=\"other\"") && line.ends_with(&format!(" {rest}"))), "{text}");
        let oldest = metrics.dead_letters_oldest_age_seconds.with_label_values(&["open"]).get();
        assert!((oldest - 5.0).abs() < 1e-9, "{oldest}");
    }

    #[test]
    fn a_code_that_is_gone_leaves_no_series_and_a_status_without_letters_shows_none() {
        let (metrics, mut shown) = (Metrics::new("dds"), Shown::default());
        show(&[row("open", "not_json", 3)], &metrics, &mut shown);
        show(&[row("resolved", "not_json", 3)], &metrics, &mut shown);
        let text = metrics.text();
        let mut series: Vec<&str> = text.lines().filter(|line| line.starts_with("ordervault_dead_letters{")).collect();
        series.sort_unstable();
        assert_eq!(
            series,
            [
                r#"ordervault_dead_letters{code="",status="discarded",layer="dds"} 0"#,
                r#"ordervault_dead_letters{code="",status="open",layer="dds"} 0"#,
                r#"ordervault_dead_letters{code="",status="waiting",layer="dds"} 0"#,
                r#"ordervault_dead_letters{code="not_json",status="resolved",layer="dds"} 3"#,
            ]
        );
    }
}
