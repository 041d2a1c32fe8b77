//! Looks at the dependencies from time to time, so that readiness and metrics are known also when there is no work.

use std::sync::Arc;
use std::time::Duration;

mod postgres;
mod kafka;
mod topic;
mod lag;
mod dead_letters;
mod audits;

pub use audits::show_audits;
pub use dead_letters::count_dead_letters;
pub use kafka::watch_kafka;
pub use postgres::watch_postgres;
pub use topic::Renewed;

use crate::fault::Dependency;
use crate::processor::Processor;
use crate::road::Road;

const EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(3);
const WATCHER: &str = "probe";

/// Looks for ever at what the layer's enrichment needs, if anything.
pub async fn watch_enrichment<P: Processor>(road: Arc<Road<P>>) {
    while let Some(answer) = road.processor.ping().await {
        match answer {
            Ok(()) => road.health.passes(Dependency::Redis.name(), WATCHER),
            Err(outage) => road.health.fails(outage.dependency.name(), WATCHER, &outage.detail),
        }
        tokio::time::sleep(EVERY).await;
    }
}
