//! How far the group is in each partition, and how far behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::standing::Standing;
use crate::broker::{Broker, BrokerError};

/// How far the group is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Positions {
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// The lag of all partitions together.
    pub total_lag: i64,
    /// Every partition of the topic, in their order.
    pub partitions: Vec<PartitionPosition>,
}

/// How far the group is in one partition.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PartitionPosition {
    /// The partition.
    pub partition: i32,
    /// The offset that the group has committed; null where it has not.
    #[schema(required = true)]
    pub committed: Option<i64>,
    /// The offset that the partition's member works at; null where no member owns it, or it has not begun.
    #[schema(required = true)]
    pub position: Option<i64>,
    /// The offset of the first record that the broker still has.
    pub low: i64,
    /// One past the last record that may be read.
    pub high: i64,
    /// How many offsets lie between what the group would read next and the end.
    pub lag: i64,
    /// How many seconds ago the first record entered Kafka that is not yet processed; 0 without lag, null where that
    /// could not be had.
    #[schema(required = true)]
    pub lag_seconds: Option<f64>,
    /// The member that owns the partition; null where none does.
    #[schema(required = true)]
    pub member: Option<String>,
}

/// What the members say of a partition that one of them owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The offset at which it works, once it has begun.
    pub position: Option<i64>,
    /// The member's id.
    pub member: String,
}

/// Asks the broker how far the group is, whoever owns the partitions and whether or not it works.
pub async fn positions(broker: &Arc<Broker>, mut held: BTreeMap<i32, Held>) -> Result<Positions, BrokerError> {
    let standings = broker.ask(|broker| Standing::ask(broker, &broker.partitions()?, None)).await?;
    let behind = standings.iter().filter(|(_, standing)| standing.lag() > 0);
    let next: BTreeMap<i32, i64> = behind.map(|(id, standing)| (*id, standing.next())).collect();
    let times = broker.ask(move |broker| broker.first_times(&next)).await?;
    let now = Utc::now();
    let partitions: Vec<PartitionPosition> = standings
        .into_iter()
        .map(|(id, standing)| {
            let lag = standing.lag();
            let (position, member) = held.remove(&id).map_or((None, None), |held| (held.position, Some(held.member)));
            PartitionPosition {
                partition: id,
                committed: standing.committed,
                position,
                low: standing.low,
                high: standing.high,
                lag,
                lag_seconds: if lag == 0 { Some(0.0) } else { times.get(&id).map(|time| seconds_since(*time, now)) },
                member,
            }
        })
        .collect();
    Ok(Positions {
        topic: broker.topic().to_owned(),
        group: broker.group().to_owned(),
        total_lag: partitions.iter().map(|partition| partition.lag).sum(),
        partitions,
    })
}

/// A producer's clock may be ahead of ours.
fn seconds_since(time: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    let millis = u64::try_from((now - time).num_milliseconds()).unwrap_or(0);
    Duration::from_millis(millis).as_secs_f64()
}
