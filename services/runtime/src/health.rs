//! What is well and what is not: the source of `/livez` and `/readyz`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// The loop turns at least every 100 ms; a turn that takes this long is a stall.
const STALL: Duration = Duration::from_secs(30);

/// The health of one service, written by its tasks and read by its probes.
#[derive(Debug)]
pub struct Health {
    last_turn: Mutex<Instant>,
    progress: Mutex<Instant>,
    checks: Mutex<BTreeMap<&'static str, Check>>,
    last_failure: Mutex<Option<(DateTime<Utc>, String)>>,
    paused: Mutex<Option<String>>,
}

/// A named check. It fails while any of the tasks that watch it says so.
#[derive(Debug, Default)]
struct Check {
    known: bool,
    failures: BTreeMap<String, Failure>,
}

#[derive(Clone, Debug)]
struct Failure {
    reason: String,
    since: DateTime<Utc>,
}

/// One line of `/readyz`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CheckReport {
    /// The check: `startup`, `postgres`, `kafka`, `redis`, …
    #[schema(example = "postgres")]
    pub name: &'static str,
    /// Whether it passes.
    pub ok: bool,
    /// Why it does not, in the words of everybody who noticed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it does not, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
}

impl CheckReport {
    /// Whether anybody has looked yet: what fails fails since some time.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.ok || self.since.is_some()
    }
}

impl Health {
    /// All the checks a service has, each failing until it is first reported on.
    #[must_use]
    pub fn new(checks: &[&'static str]) -> Self {
        let checks = checks.iter().map(|name| (*name, Check::default())).collect();
        Self {
            last_turn: Mutex::new(Instant::now()),
            progress: Mutex::new(Instant::now()),
            checks: Mutex::new(checks),
            last_failure: Mutex::new(None),
            paused: Mutex::new(None),
        }
    }

    /// Says that the consumer loop has turned once more.
    pub fn turned(&self) {
        *lock(&self.last_turn) = Instant::now();
    }

    /// Says that the consumer has finished a batch, or found nothing to do.
    pub fn progressed(&self) {
        *lock(&self.progress) = Instant::now();
    }

    /// For how long it has not.
    #[must_use]
    pub fn progress_age(&self) -> Duration {
        lock(&self.progress).elapsed()
    }

    /// For how long the loop has not turned, where that is long enough to be a stall.
    #[must_use]
    pub fn stalled_for(&self) -> Option<Duration> {
        let still = lock(&self.last_turn).elapsed();
        (still >= STALL).then_some(still)
    }

    /// `watcher` finds nothing wrong with `check`. Logged where it did before.
    pub fn passes(&self, check: &'static str, watcher: &str) {
        let mut checks = lock(&self.checks);
        let entry = checks.entry(check).or_default();
        let first = !std::mem::replace(&mut entry.known, true);
        if entry.failures.remove(watcher).is_some() && entry.failures.is_empty() {
            tracing::info!(check, watcher, "well again");
        } else if first {
            tracing::info!(check, "well");
        }
    }

    /// `watcher` finds `check` failing, and says why. Logged when it begins, not while it lasts.
    pub fn fails(&self, check: &'static str, watcher: &str, reason: &str) {
        *lock(&self.last_failure) = Some((Utc::now(), format!("{check}: {reason}")));
        let mut checks = lock(&self.checks);
        let entry = checks.entry(check).or_default();
        entry.known = true;
        if let Some(failure) = entry.failures.get_mut(watcher) {
            reason.clone_into(&mut failure.reason);
            return;
        }
        tracing::warn!(check, watcher, reason, "not well");
        entry.failures.insert(watcher.to_owned(), Failure { reason: reason.to_owned(), since: Utc::now() });
    }

    /// What was last found failing, and when.
    #[must_use]
    pub fn last_failure(&self) -> Option<(DateTime<Utc>, String)> {
        lock(&self.last_failure).clone()
    }

    /// Says why the layer is paused, or that it is not. No sign of ill health, but something to be seen.
    pub fn pause(&self, reason: Option<String>) {
        *lock(&self.paused) = reason;
    }

    /// Why the layer is paused, if it is.
    #[must_use]
    pub fn paused(&self) -> Option<String> {
        lock(&self.paused).clone()
    }

    /// `watcher` is gone: what it was worried about is somebody else's worry now.
    pub fn forget(&self, watcher: &str) {
        for check in lock(&self.checks).values_mut() {
            check.failures.remove(watcher);
        }
    }

    /// Every check with its reason, by name.
    #[must_use]
    pub fn report(&self) -> Vec<CheckReport> {
        lock(&self.checks).iter().map(|(name, check)| check.report(name)).collect()
    }
}

impl Check {
    fn report(&self, name: &'static str) -> CheckReport {
        let since = self.failures.values().map(|failure| failure.since).min();
        let reasons: BTreeSet<&str> = self.failures.values().map(|failure| failure.reason.as_str()).collect();
        let reason = match (since, self.known) {
            (Some(_), _) => Some(reasons.into_iter().collect::<Vec<_>>().join("; ")),
            (None, true) => None,
            (None, false) => Some("not checked yet".to_owned()),
        };
        CheckReport { name, ok: reason.is_none(), reason, since }
    }
}

/// A panic elsewhere leaves these maps whole, so a poisoned lock is taken as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_fails_until_every_watcher_is_content() {
        let health = Health::new(&["postgres"]);
        assert!(!health.report()[0].ok);
        health.passes("postgres", "probe");
        assert!(health.report()[0].ok);
        health.fails("postgres", "partition 3", "permission denied");
        health.passes("postgres", "probe");
        let report = health.report();
        assert_eq!(report[0].reason.as_deref(), Some("permission denied"));
        health.passes("postgres", "partition 3");
        assert!(health.report()[0].ok);
    }
}
