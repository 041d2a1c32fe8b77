//! Creating and deleting topics.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;

use super::Cluster;
use crate::Error;

const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Creates the topics with `partitions` partitions each, and waits until every one has a leader. A topic that
/// exists stays as it is.
///
/// # Errors
///
/// When the cluster cannot be reached, refuses a topic, or does not make it usable in time.
pub async fn create_topics(cluster: &Cluster, topics: &[&str], partitions: i32) -> Result<(), Error> {
    let admin: AdminClient<DefaultClientContext> = cluster.client().create()?;
    // A factor of -1 leaves the number of replicas to the cluster's own default.
    let wanted = topics.iter().map(|topic| NewTopic::new(topic, partitions, TopicReplication::Fixed(-1)));
    let wanted: Vec<_> = wanted.collect();
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    for result in admin.create_topics(&wanted, &options).await? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(Error::TopicNotCreated { topic, code }),
        }
    }
    // The broker answers before every partition has elected its leader, and a client that comes too early is
    // told that the topic does not exist.
    let topics: Vec<String> = topics.iter().map(ToString::to_string).collect();
    tokio::task::spawn_blocking(move || topics.iter().try_for_each(|topic| wait_for_leaders(&admin, topic))).await?
}

/// Deletes the topics; one that is not there is no error.
///
/// # Errors
///
/// When the cluster cannot be reached.
pub async fn delete_topics(cluster: &Cluster, topics: &[&str]) -> Result<(), Error> {
    let admin: AdminClient<DefaultClientContext> = cluster.client().create()?;
    admin.delete_topics(topics, &AdminOptions::new().operation_timeout(Some(TIMEOUT))).await?;
    Ok(())
}

/// How many partitions a topic has.
///
/// # Errors
///
/// When the cluster cannot be reached, or has no such topic.
pub async fn partitions(cluster: &Cluster, topic: &str) -> Result<i32, Error> {
    let (config, topic) = (cluster.client(), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || -> Result<i32, Error> {
        // A consumer, since a question of any other client may make the topic.
        let client: BaseConsumer = config.create()?;
        let metadata = client.fetch_metadata(Some(&topic), TIMEOUT)?;
        let partitions: usize = metadata.topics().iter().map(|topic| topic.partitions().len()).sum();
        i32::try_from(partitions).ok().filter(|partitions| *partitions > 0).ok_or(Error::TopicNotUsable(topic))
    });
    asked.await?
}

fn wait_for_leaders(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Result<(), Error> {
    let begun = Instant::now();
    while begun.elapsed() < TIMEOUT {
        let metadata = admin.inner().fetch_metadata(Some(topic), TIMEOUT)?;
        let partitions = metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
        let leaders: Vec<_> = partitions.map(rdkafka::metadata::MetadataPartition::leader).collect();
        if !leaders.is_empty() && leaders.iter().all(|leader| *leader >= 0) {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(Error::TopicNotUsable(topic.to_owned()))
}
