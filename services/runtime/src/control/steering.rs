//! Keeps the doors to the consumer in step with `ops`: by PostgreSQL's notifications at once, and by asking again every
//! few seconds where those are lost. With PostgreSQL away the last known state holds.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::time::Instant;

use super::resets::{self, Pending};
use super::{CHANNEL, pauses};
use crate::backoff::Backoff;
use crate::database::Database;
use crate::desired_state::{self, DesiredState, DesiredStateReader, DesiredStateWriter, PauseKind};
use crate::health::Health;
use crate::metrics::Metrics;

/// How often it is asked without a notification.
const ASK_EVERY: Duration = Duration::from_secs(4);
/// An answer that takes longer counts as none.
const PATIENCE: Duration = Duration::from_secs(3);
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Wakes who waits for a change in `ops` that is not a matter of the consumer.
pub type Changes = watch::Receiver<u64>;

/// What resets have still to do, for the consumer.
pub type PendingReader = watch::Receiver<Vec<Pending>>;

/// The writing ends of the doors.
pub struct Steering {
    layer: &'static str,
    database: Database,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    desired: DesiredStateWriter,
    pending: watch::Sender<Vec<Pending>>,
    changes: watch::Sender<u64>,
}

/// The reading ends of the doors.
#[derive(Clone, Debug)]
pub struct Doors {
    /// What the layer is to do.
    pub desired: DesiredStateReader,
    /// What resets have still to do.
    pub pending: PendingReader,
    /// That something has changed.
    pub changes: Changes,
}

impl Steering {
    /// Learns what is desired, however long that takes: before it is known nothing may be consumed.
    pub async fn learn(
        layer: &'static str,
        database: Database,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
    ) -> (Self, Doors) {
        let mut backoff = Backoff::for_outages();
        let first = loop {
            match asked(&database, layer).await {
                Some((first, ..)) => break first,
                None => tokio::time::sleep(backoff.pause()).await,
            }
        };
        let (desired, desired_reader) = desired_state::door(first.clone());
        let (pending, pending_reader) = watch::channel(Vec::new());
        let (changes, changes_reader) = watch::channel(0);
        let doors = Doors { desired: desired_reader, pending: pending_reader, changes: changes_reader };
        let steering = Self { layer, database, health, metrics, desired, pending, changes };
        steering.make_known(&first);
        (steering, doors)
    }

    /// Keeps the doors in step until it is dropped.
    pub async fn run(self) {
        loop {
            self.listen().await;
            // Without notifications the questions go on.
            self.ask().await;
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// Listens until the connection fails or the pool is given up.
    async fn listen(&self) {
        let pool = self.database.pool();
        let connected = tokio::time::timeout(PATIENCE, async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(listener)
        });
        let Ok(Ok(mut listener)) = connected.await else { return };
        while !pool.is_closed() {
            // What was changed before the listener was there was not told.
            let wait = self.ask().await;
            let next = Instant::now() + wait;
            loop {
                // Counted from the answer: what other layers are told must not put it off.
                match tokio::time::timeout_at(next, listener.recv()).await {
                    Ok(Ok(told)) if told.payload() != self.layer => {}
                    Ok(Ok(_)) | Err(_) => break,
                    Ok(Err(_)) => return,
                }
            }
            self.changes.send_modify(|times| *times += 1);
        }
    }

    /// Brings the doors up to date; returns when that is to be done again.
    async fn ask(&self) -> Duration {
        let Some((desired, pending, ends_in)) = asked(&self.database, self.layer).await else { return AGAIN_AFTER };
        self.desired.send_if_modified(|held| {
            let differs = *held != desired;
            if differs {
                self.make_known(&desired);
                *held = desired;
            }
            differs
        });
        self.pending.send_if_modified(|held| {
            let differs = *held != pending;
            *held = pending;
            differs
        });
        ends_in.map_or(ASK_EVERY, |ends_in| ends_in.clamp(Duration::from_millis(10), ASK_EVERY))
    }

    /// In the log, in `/readyz` and in the metrics.
    fn make_known(&self, desired: &DesiredState) {
        for pause in &desired.pauses {
            tracing::info!(kind = pause.kind.name(), actor = pause.actor, reason = pause.reason, until = ?pause.until, "the layer is to pause");
        }
        if !desired.is_paused() {
            tracing::info!(generation = desired.generation, "the layer is to run");
        }
        let reasons = desired.pauses.iter().map(|pause| format!("{}: {}", pause.actor, pause.reason));
        self.health.pause(desired.is_paused().then(|| reasons.collect::<Vec<_>>().join("; ")));
        for (state, wanted) in [("running", !desired.is_paused()), ("paused", desired.is_paused())] {
            self.metrics.desired_state.with_label_values(&[state]).set(i64::from(wanted));
        }
        for kind in PauseKind::ALL {
            let paused = desired.pauses.iter().any(|pause| pause.kind == kind);
            self.metrics.paused.with_label_values(&[kind.name()]).set(i64::from(paused));
        }
    }
}

async fn asked(database: &Database, layer: &'static str) -> Option<(DesiredState, Vec<Pending>, Option<Duration>)> {
    let pool = database.pool();
    let answers = async {
        pauses::expire(&pool, layer).await?;
        let (desired, ends_in) = pauses::load(&pool, layer).await?;
        Ok::<_, sqlx::Error>((desired, resets::pending(&pool, layer).await?, ends_in))
    };
    match tokio::time::timeout(PATIENCE, answers).await {
        Ok(Ok(answers)) => Some(answers),
        // The probe says what is wrong with the database.
        Ok(Err(error)) => {
            tracing::debug!(%error, "the desired state could not be asked for");
            None
        }
        Err(_) => None,
    }
}
