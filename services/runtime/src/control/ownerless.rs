//! Resets of partitions that no member holds: committed without membership, which the broker takes only while the group
//! has no members. Where it has some, one of them will be given the partition, and does it then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::steering::PendingReader;
use super::{members, resets};
use crate::broker::Broker;
use crate::database::Database;

/// A partition may be between two owners for so long.
const EVERY: Duration = Duration::from_secs(3);

/// Looks after them until it is dropped.
pub async fn look_after(
    layer: &'static str,
    member: Uuid,
    database: Database,
    broker: Arc<Broker>,
    mut pending: PendingReader,
) {
    loop {
        let due = pending.borrow_and_update().clone();
        if due.is_empty() {
            if pending.changed().await.is_err() {
                return;
            }
            continue;
        }
        tokio::time::sleep(EVERY).await;
        let pool = database.pool();
        // What cannot be asked now is asked in the next round.
        let Ok(holders) = database.attempt(members::holders(&pool, layer)).await else { continue };
        let held: BTreeSet<i32> = holders.iter().map(|holder| holder.partition).collect();
        let Ok(still_due) = database.attempt(resets::pending(&pool, layer)).await else { continue };
        for one in still_due.into_iter().filter(|one| !held.contains(&one.partition)) {
            let mark = one.operation.to_string();
            let committed =
                broker.ask(move |broker| broker.commit_for_empty_group(one.partition, one.target, &mark)).await;
            match committed {
                Ok(()) => {
                    let _ = database.attempt(resets::applied(&pool, one, member)).await;
                }
                Err(error) => tracing::debug!(%error, partition = one.partition, "left to the group's members"),
            }
        }
    }
}
