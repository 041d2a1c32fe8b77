//! What a reset would do: pure, from what is asked and where the partitions stand.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

#[cfg(test)]
mod tests;

use super::standing::Standing;
use super::target::Target;

/// The namespace of the plans' tags.
const TAGS: Uuid = Uuid::from_u128(0x5d6f_2a51_0c0e_4a39_9d4b_3f0f_6a7c_1e82);

/// Where a reset would move each partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Plan {
    /// Whether nothing was done; a plan is only ever that.
    pub dry_run: bool,
    /// What was asked for.
    pub to: Target,
    /// The partitions that it is about, in their order.
    pub partitions: Vec<PartitionPlan>,
}

/// Where a reset would move one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PartitionPlan {
    /// The partition.
    pub partition: i32,
    /// The offset of the record that would come next without it.
    pub current: i64,
    /// The offset of the record that would come next with it.
    pub target: i64,
    /// Whether what was asked for lies outside what the broker has, and the nearest offset that it has is the target.
    pub clamped: bool,
    /// Which way it goes.
    pub effect: Effect,
    /// The distance in offsets, 0 or more: how many records would be replayed or skipped.
    pub records: i64,
    /// When the record that would come next with it entered Kafka; null where there is none yet, or where its time
    /// could not be had.
    #[schema(required = true)]
    pub first_record_time: Option<DateTime<Utc>>,
}

/// What a move does to the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Records come again.
    Replay,
    /// Records never come.
    Skip,
    /// Nothing moves.
    None,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The topic has not all of the partitions.
    #[error("the topic {topic} has no partition {}", listed(partitions))]
    UnknownPartitions {
        /// The topic.
        topic: String,
        /// Those that it has not.
        partitions: BTreeSet<i32>,
    },
    /// Partitions are chosen that the offsets do not name.
    #[error("`partitions` names {}, for which `offsets` has no offset", listed(partitions))]
    NotInOffsets {
        /// Those that have no offset.
        partitions: BTreeSet<i32>,
    },
    /// An empty choice means neither all nor some.
    #[error("`partitions` is empty: expected one partition or more, or no such field for all of them")]
    NoPartitions,
}

fn listed(partitions: &BTreeSet<i32>) -> String {
    let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// The partitions that a reset is about: those that were chosen, else those that the offsets name, else all.
pub fn choose(
    target: &Target,
    chosen: Option<&BTreeSet<i32>>,
    topic: &str,
    known: &BTreeSet<i32>,
) -> Result<BTreeSet<i32>, Refusal> {
    if chosen.is_some_and(BTreeSet::is_empty) {
        return Err(Refusal::NoPartitions);
    }
    let named = match target {
        Target::Offsets(offsets) => Some(offsets.keys().copied().collect::<BTreeSet<_>>()),
        _ => None,
    };
    let asked: BTreeSet<i32> = chosen.into_iter().chain(&named).flatten().copied().collect();
    let unknown: BTreeSet<i32> = asked.difference(known).copied().collect();
    if !unknown.is_empty() {
        return Err(Refusal::UnknownPartitions { topic: topic.to_owned(), partitions: unknown });
    }
    match (chosen, named) {
        (Some(chosen), Some(named)) if !chosen.is_subset(&named) => {
            Err(Refusal::NotInOffsets { partitions: chosen.difference(&named).copied().collect() })
        }
        (Some(chosen), _) => Ok(chosen.clone()),
        (None, named) => Ok(named.unwrap_or_else(|| known.clone())),
    }
}

impl Plan {
    /// The plan for the partitions that stand so. The times of the first records are not known yet.
    #[must_use]
    pub fn draw(target: &Target, standings: &BTreeMap<i32, Standing>) -> Self {
        let partitions = standings.iter().map(|(id, standing)| PartitionPlan::draw(target, *id, standing));
        Self { dry_run: true, to: target.clone(), partitions: partitions.collect() }
    }

    /// Whether records of any partition would be skipped.
    #[must_use]
    pub fn skips(&self) -> bool {
        self.partitions.iter().any(|partition| partition.effect == Effect::Skip)
    }

    /// A strong `ETag`, quotes and all: two plans bear the same one where they would do the same.
    #[must_use]
    pub fn etag(&self) -> String {
        let mut done = String::new();
        for PartitionPlan { partition, current, target, clamped, .. } in &self.partitions {
            // Writing to a string does not fail.
            let _ = writeln!(done, "{partition} {current} {target} {clamped}");
        }
        format!("\"{}\"", Uuid::new_v5(&TAGS, done.as_bytes()).simple())
    }
}

impl PartitionPlan {
    fn draw(target: &Target, partition: i32, standing: &Standing) -> Self {
        let current = standing.next();
        let wanted = match target {
            Target::Earliest => standing.low,
            Target::Latest => standing.high,
            Target::Datetime(_) | Target::Duration(_) => standing.first_at.unwrap_or(standing.high),
            Target::ShiftBy(records) => current.saturating_add(*records),
            Target::Offsets(offsets) => offsets.get(&partition).copied().unwrap_or(current),
        };
        let target = wanted.clamp(standing.low, standing.high);
        let effect = match target.cmp(&current) {
            Ordering::Less => Effect::Replay,
            Ordering::Equal => Effect::None,
            Ordering::Greater => Effect::Skip,
        };
        Self {
            partition,
            current,
            target,
            clamped: target != wanted,
            effect,
            records: (target - current).abs(),
            first_record_time: None,
        }
    }
}
