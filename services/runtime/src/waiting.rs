//! Tries waiting records again, by themselves, until the dictionary has what they need.

use std::sync::Arc;
use std::time::Duration;

use crate::dead_letter;
use crate::desired_state::DesiredStateReader;
use crate::jobs::{PORTION_BYTES, by_partition};
use crate::processor::Processor;
use crate::road::{Origin, Road};

const EVERY: Duration = Duration::from_millis(500);
/// Claimed at once; few enough to be done before the claim ends.
const AT_ONCE: i64 = 200;
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until it is dropped. A paused layer leaves its waiting records waiting.
pub async fn retry_waiting<P: Processor>(road: Arc<Road<P>>, desired: DesiredStateReader) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(_flight) = road.flights.take_off(&desired) else { continue };
        // The probe says what is wrong with the database; the next round asks again.
        let pool = road.database.pool();
        let claim = dead_letter::claim_waiting(&pool, road.layer, AT_ONCE, PORTION_BYTES);
        let Ok(Ok(due)) = tokio::time::timeout(PATIENCE, claim).await else { continue };
        for records in by_partition(due) {
            road.travel(&records, Origin::Replay, "waiting records").await;
        }
    }
}
