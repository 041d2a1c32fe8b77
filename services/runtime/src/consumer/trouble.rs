//! Errors of the client that concern no record: which of them say that the layer is not well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::mpsc::unbounded_channel;

use super::commits::Commits;
use super::partition::{Partition, Phase};
use super::{Consumer, client, farewell};
use crate::fault::Dependency;
use crate::probe::Renewed;
use crate::processor::Processor;

/// Trouble that has not shown itself for so long is over; the client repeats an error at least every 30 s.
const OVER_AFTER: Duration = Duration::from_secs(45);
const WATCHER: &str = "consumer";
/// A new client gets so long before it is given up in its turn.
const REJOIN_EVERY: Duration = Duration::from_secs(15);

impl<P: Processor> Consumer<P> {
    /// An error that the client tells of beside the records, with its reason in words.
    pub(super) fn on_trouble(&mut self, error: &KafkaError, reason: &str) {
        use RDKafkaErrorCode as C;
        match error.rdkafka_error_code() {
            Some(C::Fatal) => self.rejoin(reason),
            // The client does not ask again, and the partitions would lie still.
            _ if reason.starts_with("Failed to fetch committed offset") => self.rejoin(reason),
            Some(
                C::Authentication
                | C::SaslAuthenticationFailed
                | C::UnsupportedSASLMechanism
                | C::SSL
                | C::TopicAuthorizationFailed
                | C::GroupAuthorizationFailed
                | C::ClusterAuthorizationFailed
                // The group takes us in by no means: its members share it out in another way, say.
                | C::InconsistentGroupProtocol
                | C::InvalidGroupId
                | C::InvalidSessionTimeout
                | C::GroupMaxSizeReached,
            ) => {
                self.trouble = Some(Instant::now());
                self.road.health.fails(Dependency::Kafka.name(), WATCHER, reason);
            }
            // Connections come and go, to one broker of several or to all: the client makes them anew as a rule, and the
            // probe says when that lasts.
            code => {
                if code == Some(C::AllBrokersDown) {
                    self.contact.doubt();
                }
                tracing::debug!(%error, reason, "the client met an error");
            }
        }
    }

    /// An error that came where a record might have. Those of the connection were told beside the records as well,
    /// and with a better reason.
    pub(super) fn on_client_error(&mut self, error: &KafkaError) {
        use RDKafkaErrorCode as C;
        match error {
            KafkaError::MessageConsumptionFatal(_) => self.rejoin(&error.to_string()),
            _ if matches!(error.rdkafka_error_code(), Some(C::Authentication | C::SSL)) => {}
            _ => self.on_trouble(error, &error.to_string()),
        }
    }

    /// A record that did not come by its partition's queue has been missed by its worker, which may be past it.
    pub(super) fn on_stray_record(&mut self, partition: i32) {
        self.rejoin(&format!("a record of partition {partition} came outside its queue"));
    }

    /// The client would go on at its offsets of the old topic. The next one begins where the group's commits say, and without
    /// any at the first record.
    pub(super) fn on_renewed(&mut self, ends: &Renewed) {
        self.rejoin(&format!(
            "partitions end before where they ended, or have lost their commit: the ends now are {ends:?}"
        ));
    }

    /// A worker that has ended without being asked has met a fault of this program. Its partition begins again at the
    /// last commit.
    pub(super) fn look_for_fallen_workers(&mut self) {
        let finished = |held: &Partition| held.task.is_finished() && !held.ended && !held.revoked;
        let at_end: Vec<(i32, u64)> =
            self.partitions.iter().filter(|(_, held)| finished(held)).map(|(id, held)| (*id, held.worker)).collect();
        // One that has come to its end in good order has said so, and that may just not have been heard yet.
        while let Ok(report) = self.reports.try_recv() {
            self.on_report(report);
        }
        let fallen = |id: &i32, worker: u64| {
            self.partitions.get(id).is_some_and(|held| {
                // A worker that was dropped for a reset is no fallen one.
                held.worker == worker && finished(held) && !matches!(held.phase, Phase::Stopping)
            })
        };
        let Some((id, _)) = at_end.into_iter().find(|(id, worker)| fallen(id, *worker)) else { return };
        let reason = format!("the worker of partition {id} has fallen; its log says why");
        self.trouble = Some(Instant::now());
        self.road.health.fails(Dependency::Kafka.name(), WATCHER, &reason);
        self.rejoin(&reason);
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

    /// A client beyond repair is to be replaced, soon: not at once again where that has just been done.
    pub(super) fn rejoin(&mut self, reason: &str) {
        self.rejoin_for.get_or_insert_with(|| reason.to_owned());
    }

    /// Replaces the client where that is due; everything that is not committed is read again.
    pub(super) fn rejoin_if_due(&mut self) {
        if self.rejoined.is_some_and(|last| last.elapsed() < REJOIN_EVERY) {
            return;
        }
        let Some(reason) = self.rejoin_for.take() else { return };
        self.rejoined = Some(Instant::now());
        let (tell, events) = unbounded_channel();
        match client::subscribe(&self.config, &self.limits, tell, &self.road.metrics) {
            Ok(client) => {
                tracing::warn!(reason, "the client is beyond repair and is replaced");
                let revoked = self.revoked();
                let workers = self.drop_workers();
                self.events = events;
                self.contact.begin_anew();
                // One that is under way may never be answered. It is none of the new member's: the broker takes it
                // before the group has gone on to that, or not at all.
                self.commits = Commits::default();
                let old = std::mem::replace(&mut self.client, Arc::new(client));
                farewell::close(&old, &revoked);
                tokio::spawn(async move {
                    // The workers hold the old client by their queues, and its end blocks.
                    futures_util::future::join_all(workers).await;
                    drop(tokio::task::spawn_blocking(move || drop(old)));
                });
            }
            Err(error) => {
                tracing::error!(%error, "the consumer could not be made anew; it is tried again");
                self.rejoin_for = Some(reason);
            }
        }
    }
}
