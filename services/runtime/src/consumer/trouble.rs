//! Errors of the client that concern no record: which of them say that the layer is not well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::mpsc::unbounded_channel;

use super::{Consumer, client};
use crate::fault::Dependency;
use crate::processor::Processor;

/// Trouble that has not shown itself for so long is over; the client repeats an error at least every 30 s.
const OVER_AFTER: Duration = Duration::from_secs(45);
const WATCHER: &str = "consumer";

impl<P: Processor> Consumer<P> {
    /// An error that the client tells of beside the records, with its reason in words.
    pub(super) fn on_trouble(&mut self, error: &KafkaError, reason: &str) {
        use RDKafkaErrorCode as C;
        match error.rdkafka_error_code() {
            Some(C::Fatal) => self.rejoin(),
            Some(
                C::Authentication
                | C::SaslAuthenticationFailed
                | C::UnsupportedSASLMechanism
                | C::SSL
                | C::TopicAuthorizationFailed
                | C::GroupAuthorizationFailed
                | C::ClusterAuthorizationFailed,
            ) => {
                self.trouble = Some(Instant::now());
                self.road.health.fails(Dependency::Kafka.name(), WATCHER, reason);
            }
            // Connections come and go, to one broker of several or to all: the client makes them anew, and the probe
            // says when that lasts.
            _ => tracing::debug!(%error, reason, "the client met an error"),
        }
    }

    /// An error that came where a record might have. Those of the connection were told beside the records as well,
    /// and with a better reason.
    pub(super) fn on_client_error(&mut self, error: &KafkaError) {
        use RDKafkaErrorCode as C;
        match error {
            KafkaError::MessageConsumptionFatal(_) => self.rejoin(),
            _ if matches!(error.rdkafka_error_code(), Some(C::Authentication | C::SSL)) => {}
            _ => self.on_trouble(error, &error.to_string()),
        }
    }

    /// A record that did not come by its partition's queue has been missed by its worker, which may be past it.
    pub(super) fn on_stray_record(&mut self, partition: i32) {
        tracing::error!(partition, "a record came outside its partition's queue");
        self.rejoin();
    }

    /// The broker has given us partitions or records: whatever it was, it is over.
    pub(super) fn over_trouble(&mut self) {
        if self.trouble.take().is_some() {
            self.road.health.passes(Dependency::Kafka.name(), WATCHER);
        }
    }

    pub(super) fn expire_trouble(&mut self) {
        if self.trouble.is_some_and(|last| last.elapsed() > OVER_AFTER) {
            self.over_trouble();
        }
    }

    /// A client beyond repair is replaced; everything that is not committed is read again.
    fn rejoin(&mut self) {
        let (tell, events) = unbounded_channel();
        match client::subscribe(&self.config, &self.limits, tell) {
            Ok(client) => {
                tracing::warn!("the client is beyond repair and is replaced");
                let workers = self.drop_workers();
                self.events = events;
                let old = std::mem::replace(&mut self.client, Arc::new(client));
                old.context().close();
                tokio::spawn(async move {
                    // The workers hold the old client by their queues, and its end blocks.
                    futures_util::future::join_all(workers).await;
                    drop(tokio::task::spawn_blocking(move || drop(old)));
                });
            }
            Err(error) => tracing::error!(%error, "the consumer could not be made anew"),
        }
    }
}
