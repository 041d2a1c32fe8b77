//! Pauses the layer when its dead-letter breaker trips, and arms the breaker again once somebody has resumed it.

use std::sync::Arc;
use std::time::Duration;

use super::ITSELF;
use super::pauses::{self, PauseOrder};
use crate::breaker::Breaker;
use crate::database::Database;
use crate::desired_state::{DesiredState, DesiredStateReader, PauseKind};

const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Watches the breaker until it is dropped.
pub async fn watch(layer: &'static str, breaker: Arc<Breaker>, database: Database, mut desired: DesiredStateReader) {
    loop {
        let before = desired.borrow().generation;
        let tripped = tokio::select! {
            cause = breaker.trip() => Some(cause),
            // Another's word, or another replica's breaker.
            _ = desired.wait_for(DesiredState::is_paused) => None,
        };
        if let Some(cause) = tripped {
            pause(layer, &cause, &database).await;
        }
        let resumed = desired.wait_for(|desired| desired.generation > before && !desired.is_paused()).await;
        if resumed.is_err() {
            return;
        }
        drop(resumed);
        breaker.rearm();
    }
}

async fn pause(layer: &str, cause: &str, database: &Database) {
    tracing::warn!(cause, "the layer pauses itself");
    let order = PauseOrder { layer, kind: PauseKind::DeadLetterBreaker, actor: ITSELF, reason: cause, until: None };
    while let Err(fault) = database.attempt(pauses::pause(&database.pool(), &order)).await {
        tracing::debug!(%fault, "the pause could not be noted yet");
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}
