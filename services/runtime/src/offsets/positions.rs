//! How far the group is in each partition, and how far behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::standing::Standing;
use crate::broker::{Broker, BrokerError, First};

/// How far the group is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Positions {
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// The lag of all partitions together whose lag is known.
    pub total_lag: i64,
    /// Every partition of the topic, in their order.
    pub partitions: Vec<PartitionPosition>,
}

/// How far the group is in one partition.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct PartitionPosition {
    /// The partition.
    pub partition: i32,
    /// The offset that the group has committed; null where it has not, or where `error` says why that is not known.
    #[schema(required = true)]
    pub committed: Option<i64>,
    /// The offset that the partition's member works at; null where no member owns it, or it has not begun.
    #[schema(required = true)]
    pub position: Option<i64>,
    /// The offset of the first record that the broker still has; null with `error`.
    #[schema(required = true)]
    pub low: Option<i64>,
    /// One past the last record that may be read; null with `error`.
    #[schema(required = true)]
    pub high: Option<i64>,
    /// How many offsets lie between what the group would read next and the end, 0 where none of them is a record's, but
    /// all are a transaction's marks and what was taken back; null with `error`.
    #[schema(required = true)]
    pub lag: Option<i64>,
    /// How many seconds ago the first record entered Kafka that is not yet processed; 0 without lag, null where that
    /// could not be had.
    #[schema(required = true)]
    pub lag_seconds: Option<f64>,
    /// The member that owns the partition; null where none does.
    #[schema(required = true)]
    pub member: Option<String>,
    /// Why the broker has no answer about this partition at this moment, such as that it has no leader; null where it has.
    #[schema(required = true)]
    pub error: Option<String>,
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
    let _turn = broker.turn().await?;
    let standings = broker.ask(|broker| Standing::ask(broker, &broker.partitions()?, None)).await?;
    let known = standings.iter().filter_map(|(id, standing)| Some((*id, standing.as_ref().ok()?)));
    let next: BTreeMap<i32, i64> =
        known.filter(|(_, standing)| standing.lag() > 0).map(|(id, standing)| (id, standing.next())).collect();
    let firsts = broker.ask(move |broker| broker.first_records(&next)).await?;
    let now = Utc::now();
    let position = |(id, standing): (i32, Result<Standing, BrokerError>)| {
        let (position, member) = held.remove(&id).map_or((None, None), |held| (held.position, Some(held.member)));
        let (standing, error) = match standing {
            Ok(standing) => (Some(standing), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let first = firsts.get(&id).copied();
        let lag = standing.map(|standing| if first == Some(First::Nothing) { 0 } else { standing.lag() });
        PartitionPosition {
            partition: id,
            committed: standing.and_then(|standing| standing.committed),
            position,
            low: standing.map(|standing| standing.low),
            high: standing.map(|standing| standing.high),
            lag,
            lag_seconds: if lag == Some(0) {
                Some(0.0)
            } else {
                first.and_then(First::time).map(|time| seconds_since(time, now))
            },
            member,
            error,
        }
    };
    let partitions: Vec<PartitionPosition> = standings.into_iter().map(position).collect();
    Ok(Positions {
        topic: broker.topic().to_owned(),
        group: broker.group().to_owned(),
        total_lag: partitions.iter().filter_map(|partition| partition.lag).sum(),
        partitions,
    })
}

/// A producer's clock may be ahead of ours.
fn seconds_since(time: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    let millis = u64::try_from((now - time).num_milliseconds()).unwrap_or(0);
    Duration::from_millis(millis).as_secs_f64()
}
