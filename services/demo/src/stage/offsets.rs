//! What the broker says of a layer's topic and group, asked by a client that joins nothing.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, TopicPartitionList};

use super::Stage;
use crate::Error;
use crate::kafka::Cluster;

const PATIENCE: Duration = Duration::from_secs(10);

/// Where a partition stands for a layer's group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The partition.
    pub partition: i32,
    /// The offset that the group has committed, if any.
    pub committed: Option<i64>,
    /// The offset of the first record that the broker has.
    pub low: i64,
    /// One past the last record.
    pub high: i64,
}

impl Standing {
    /// How many records the group has not committed.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.high - self.committed.unwrap_or(self.low)
    }
}

/// Where every partition of a topic stands for a group, in their order.
pub async fn standings(
    cluster: &Cluster,
    topic: String,
    group: String,
    partitions: i32,
) -> Result<Vec<Standing>, Error> {
    let brokers = cluster.brokers.clone();
    let asked = tokio::task::spawn_blocking(move || -> Result<Vec<Standing>, Error> {
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&topic, 0, partitions - 1);
        let mut standings = Vec::new();
        for element in client.committed_offsets(list, PATIENCE)?.elements() {
            let partition = element.partition();
            let (low, high) = client.fetch_watermarks(&topic, partition, PATIENCE)?;
            let committed = element.offset().to_raw().filter(|next| *next >= 0);
            standings.push(Standing { partition, committed, low, high });
        }
        standings.sort_by_key(|standing| standing.partition);
        Ok(standings)
    });
    asked.await?
}

impl Stage {
    /// Where every partition of a layer's topic stands for its group, in their order.
    pub async fn standings(&self, layer: &str) -> Result<Vec<Standing>, Error> {
        standings(&self.cluster, self.source_topic(layer), self.group(layer), self.partitions).await
    }

    /// How many records of a layer's topic its group has not committed.
    pub async fn lag(&self, layer: &str) -> Result<u64, Error> {
        let lag: i64 = self.standings(layer).await?.iter().map(Standing::lag).sum();
        Ok(u64::try_from(lag).unwrap_or_default())
    }

    /// Waits until the layer's group has committed every record of its topic, for at most `patience`.
    pub async fn drained(&self, layer: &str, patience: Duration) -> Result<(), Error> {
        super::until(&format!("the end of {layer}'s topic"), patience, async || {
            Ok((self.lag(layer).await? == 0).then_some(()))
        })
        .await
    }
}
