//! Tells the other members what this one does: at once where that matters to them, and every few seconds.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::members::{self, Report};
use super::settling;
use crate::actual_state::ActualStateReader;
use crate::database::Database;
use crate::health::Health;

/// Far below the time after which a member counts as gone.
const EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the last word may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Who this member is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Made anew at each start.
    pub id: Uuid,
    /// The host, in Kubernetes the pod.
    pub host: String,
}

impl Identity {
    /// A new member on this host.
    #[must_use]
    pub fn new() -> Self {
        let named = std::env::var("HOSTNAME").or_else(|_| std::fs::read_to_string("/proc/sys/kernel/hostname"));
        let host = named.ok().map(|host| host.trim().to_owned()).filter(|host| !host.is_empty());
        Self { id: Uuid::now_v7(), host: host.unwrap_or_else(|| "unknown".to_owned()) }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new()
    }
}

/// Reports until it is dropped, and notes what thereby comes to its end.
pub async fn beat(
    layer: &'static str,
    member: Identity,
    database: Database,
    mut actual: ActualStateReader,
    health: Arc<Health>,
) {
    loop {
        let now = actual.borrow_and_update().clone();
        let report =
            Report { id: member.id, layer, host: &member.host, actual: &now, last_error: health.last_failure() };
        let pool = database.pool();
        let told = async {
            members::report(&pool, &report).await?;
            settling::settle(&pool, layer).await
        };
        // The probe says what is wrong with the database.
        if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, told).await {
            tracing::debug!(%error, "the heartbeat was not written");
        }
        // The loop's end of the door outlives this task.
        let _ = tokio::time::timeout(EVERY, actual.changed()).await;
    }
}

/// Takes leave, so that nobody waits for this member.
pub async fn leave(member: &Identity, layer: &str, database: &Database) {
    let pool = database.pool();
    let told = async {
        members::leave(&pool, member.id).await?;
        settling::settle(&pool, layer).await
    };
    let _ = tokio::time::timeout(FAREWELL, told).await;
}
