//! How far the group is, and what a reset of its offsets would do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

mod ago;
mod target;
mod standing;
mod plan;
mod positions;

pub use ago::Ago;
pub use plan::{Effect, PartitionPlan, Plan, Refusal};
pub use positions::{Held, PartitionPosition, Positions, positions};
pub use standing::Standing;
pub use target::Target;

use crate::broker::{Broker, BrokerError};

/// Why a reset could not be planned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PlanError {
    /// What was asked for does not fit the topic.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The broker could not be asked.
    #[error(transparent)]
    Broker(#[from] BrokerError),
}

/// Plans a reset of the chosen partitions, or of all; nothing is changed by it.
pub async fn plan(
    broker: &Arc<Broker>,
    target: &Target,
    chosen: Option<&BTreeSet<i32>>,
    now: DateTime<Utc>,
) -> Result<Plan, PlanError> {
    let _turn = broker.turn().await?;
    let known = broker.ask(Broker::partitions).await?.into_iter().collect();
    let partitions: Vec<i32> = plan::choose(target, chosen, broker.topic(), &known)?.into_iter().collect();
    let time = target.time(now);
    let standings = broker.ask(move |broker| Standing::ask(broker, &partitions, time)).await?;
    // A plan is of all that it is about, or none.
    let standings = standings.into_iter().map(|(id, standing)| Ok((id, standing?)));
    let standings = standings.collect::<Result<BTreeMap<i32, Standing>, BrokerError>>()?;
    let mut plan = Plan::draw(target, &standings);
    let before_the_end = plan.partitions.iter().filter(|moved| moved.target < standings[&moved.partition].high);
    let firsts = before_the_end.map(|moved| (moved.partition, moved.target)).collect();
    let firsts = broker.ask(move |broker| broker.first_records(&firsts)).await?;
    for moved in &mut plan.partitions {
        moved.first_record_time = firsts.get(&moved.partition).and_then(|first| first.time());
    }
    Ok(plan)
}
