//! What the view reads from a service's `/metrics`: sums of counters and quantiles of histograms.

use std::collections::BTreeMap;

/// A histogram of the Prometheus text, its buckets summed over all labels but the bound.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    /// Observations up to each bound, ascending; the last bound is infinite.
    buckets: Vec<(f64, f64)>,
}

impl Histogram {
    /// Reads the histogram `name` from a page of metrics; empty when the page has none.
    #[must_use]
    pub fn parse(metrics: &str, name: &str) -> Self {
        let bucket = format!("{name}_bucket");
        let mut buckets: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for (labels, value) in series(metrics, &bucket) {
            let Some(bound) = label(labels, "le").and_then(|bound| bound.parse::<f64>().ok()) else { continue };
            // Bits of floats that are not negative sort as the floats do.
            buckets.entry(bound.max(0.0).to_bits()).or_insert((bound, 0.0)).1 += value;
        }
        Self { buckets: buckets.into_values().collect() }
    }

    /// What was observed since `earlier`, a reading of the same histogram. After a restart of the service, which
    /// begins at zero again, that is everything.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |bound: f64| {
            let bucket = earlier.buckets.iter().find(|bucket| bucket.0.total_cmp(&bound).is_eq());
            bucket.map_or(0.0, |bucket| bucket.1)
        };
        if self.observations() < earlier.observations() {
            return self.clone();
        }
        Self { buckets: self.buckets.iter().map(|&(bound, count)| (bound, count - before(bound))).collect() }
    }

    /// How many observations there are.
    #[must_use]
    pub fn observations(&self) -> f64 {
        self.buckets.last().map_or(0.0, |bucket| bucket.1)
    }

    /// The value that the share `quantile` (0 to 1) of observations does not exceed, interpolated within its bucket as
    /// Prometheus does; `None` without observations. Beyond the last finite bound only that bound is known.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let observations = self.observations();
        if observations <= 0.0 {
            return None;
        }
        let rank = quantile * observations;
        let (mut lower, mut below) = (0.0, 0.0);
        for &(bound, count) in &self.buckets {
            if count >= rank && count > below {
                let share = (rank - below) / (count - below);
                return Some(if bound.is_finite() { lower + (bound - lower) * share } else { lower });
            }
            if bound.is_finite() {
                lower = bound;
            }
            below = count;
        }
        Some(lower)
    }
}

/// The sum of a counter or gauge over all its labels; `None` when the page has none of that name.
#[must_use]
pub fn total(metrics: &str, name: &str) -> Option<f64> {
    series(metrics, name).map(|(_, value)| value).reduce(|sum, value| sum + value)
}

/// The series of exactly this name: their labels as text, and their values.
fn series<'a>(metrics: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    metrics.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?,
            None => ("", rest.strip_prefix(' ')?),
        };
        Some((labels, value.split_whitespace().next()?.parse().ok()?))
    })
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let start = format!("{name}=\"");
    // Another label may end in the same letters, so the name must stand at the beginning or behind a comma.
    let (at, _) = labels.match_indices(&start).find(|(at, _)| *at == 0 || labels[..*at].ends_with(','))?;
    labels[at + start.len()..].split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
# TYPE seconds histogram
seconds_bucket{layer=\"stg\",le=\"0.1\"} 50
seconds_bucket{layer=\"stg\",le=\"1\"} 90
seconds_bucket{layer=\"stg\",le=\"+Inf\"} 90
seconds_bucket{scale=\"x\",le=\"0.1\",partition=\"1\"} 0
seconds_bucket{le=\"1\",partition=\"1\"} 9
seconds_bucket{le=\"+Inf\",partition=\"1\"} 10
seconds_sum 12.5
records_total{outcome=\"done\"} 7
records_total{outcome=\"a } b\"} 3
records_total_other 100
up 1
";

    #[test]
    fn buckets_are_summed_over_labels() {
        let histogram = Histogram::parse(PAGE, "seconds");
        assert_eq!(histogram.buckets, [(0.1, 50.0), (1.0, 99.0), (f64::INFINITY, 100.0)]);
        assert_eq!(Histogram::parse(PAGE, "other").quantile(0.5), None);
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let histogram = Histogram::parse(PAGE, "seconds");
        let close = |quantile, expected: f64| (histogram.quantile(quantile).unwrap() - expected).abs() < 1e-9;
        assert!(close(0.25, 0.05) && close(0.5, 0.1) && close(0.99, 1.0) && close(1.0, 1.0));
    }

    #[test]
    fn a_window_is_the_difference_of_two_readings() {
        let earlier = Histogram::parse(PAGE, "seconds");
        let mut later = earlier.clone();
        later.buckets[1].1 += 10.0;
        later.buckets[2].1 += 10.0;
        assert_eq!(later.since(&earlier).buckets, [(0.1, 0.0), (1.0, 10.0), (f64::INFINITY, 10.0)]);
        assert_eq!(earlier.since(&later), earlier);
    }

    #[test]
    fn totals_are_of_exactly_this_name() {
        assert_eq!(total(PAGE, "records_total"), Some(10.0));
        assert_eq!(total(PAGE, "up"), Some(1.0));
        assert_eq!(total(PAGE, "down"), None);
    }
}
