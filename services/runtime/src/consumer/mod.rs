//! The one consumer loop.
//!
//! One task owns the Kafka consumer and never stops polling it. Each assigned partition is worked by itself, one
//! batch in flight, several partitions at once. The arms of the loop stand in the order of their urgency: what has
//! happened to the assignment must be known before a record is taken in, and room must be made by finished batches
//! before more is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

mod client;
mod partition;

pub(crate) use client::list_of;
use client::{Client, Event};
use partition::{InFlight, Partition};

use crate::config::{KafkaConfig, Limits};
use crate::desired_state::{DesiredState, DesiredStateReader};
use crate::fault::Dependency;
use crate::metrics::Stage;
use crate::processor::Processor;
use crate::record::Record;
use crate::road::{Origin, Road};

/// How often the loop turns when nothing happens.
const TICK: Duration = Duration::from_millis(100);
/// For how long batches in flight may go on once they are to end.
const DRAIN: Duration = Duration::from_secs(5);
/// For how long the last commit and the leaving of the group may take.
const FAREWELL: Duration = Duration::from_secs(3);
/// Messages taken in one turn at the most, so that the other arms get their turn.
const MESSAGES_A_TURN: usize = 1_000;

/// The loop's whole state; nobody else touches it.
pub struct Consumer<P> {
    config: KafkaConfig,
    limits: Limits,
    road: Arc<Road<P>>,
    desired: DesiredStateReader,
    client: Client,
    topic: Arc<str>,
    events: UnboundedReceiver<Event>,
    done: UnboundedReceiver<Done>,
    tell_done: UnboundedSender<Done>,
    partitions: BTreeMap<i32, Partition>,
    commit_asked: Option<Instant>,
    progress: Instant,
    batches: u64,
}

/// A batch has come to its end.
struct Done {
    partition: i32,
    batch: u64,
    frontier: i64,
}

impl<P: Processor> Consumer<P> {
    /// A member of the layer's group.
    pub fn join(
        config: &KafkaConfig,
        limits: Limits,
        road: Arc<Road<P>>,
        desired: DesiredStateReader,
    ) -> Result<Self, KafkaError> {
        let (tell, events) = unbounded_channel();
        let (tell_done, done) = unbounded_channel();
        Ok(Self {
            client: client::subscribe(config, tell)?,
            topic: Arc::from(config.source_topic.as_str()),
            config: config.clone(),
            limits,
            road,
            desired,
            events,
            done,
            tell_done,
            partitions: BTreeMap::new(),
            commit_asked: None,
            progress: Instant::now(),
            batches: 0,
        })
    }

    /// Turns until `shutdown`, then finishes or drops what is in flight, commits what is done and leaves the group.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            self.road.health.turned();
            let message = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(event) = self.events.recv() => { self.on_event(event); None }
                Some(done) = self.done.recv() => { self.on_done(&done); None }
                Ok(()) = self.desired.changed() => None,
                _ = tick.tick() => { self.on_tick(); None }
                message = self.client.recv() => Some(message.map(|message| Record::copy_of(&message, &self.topic))),
            };
            if let Some(message) = message {
                self.on_message(message);
                self.take_more();
            }
            self.hand_back_idle();
            self.dispatch();
            self.bound_buffers();
        }
        self.farewell().await;
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Assigned(partitions) => {
                tracing::info!(?partitions, "partitions assigned");
                for partition in partitions {
                    self.partitions.insert(partition, Partition::default());
                }
            }
            Event::Revoked { partitions, lost } => {
                tracing::info!(?partitions, lost, "partitions revoked");
                for partition in partitions {
                    let held = self.partitions.entry(partition).or_default();
                    held.revoked = true;
                    held.drop_waiting();
                    if lost {
                        held.frontier = None;
                        end_in_flight(held);
                    } else if let Some(in_flight) = &held.in_flight {
                        // The rebalance waits for us: what does not end by itself in time is dropped.
                        let abort = in_flight.abort.clone();
                        tokio::spawn(async move {
                            tokio::time::sleep(DRAIN).await;
                            abort.abort();
                        });
                    }
                }
            }
            Event::Committed(result) => {
                if let Some(asked) = self.commit_asked.take() {
                    self.road.metrics.took(Stage::Commit, asked);
                }
                if let Err(error) = result {
                    // What is done stays to be committed: the next tick asks again.
                    self.partitions.values_mut().for_each(|partition| partition.committed = None);
                    tracing::warn!(%error, "offsets not committed");
                }
            }
            Event::Trouble(reason) => tracing::warn!(reason, "kafka client in trouble"),
        }
        self.road.metrics.assigned_partitions.set(i64::try_from(self.partitions.len()).unwrap_or(i64::MAX));
    }

    fn on_message(&mut self, message: Result<Record, KafkaError>) {
        // The assignment that this record belongs to may still wait to be read.
        while let Ok(event) = self.events.try_recv() {
            self.on_event(event);
        }
        match message {
            Ok(record) => {
                if let Some(partition) = self.partitions.get_mut(&record.partition).filter(|held| !held.revoked) {
                    partition.push(record);
                }
            }
            Err(error) => self.on_client_error(&error),
        }
    }

    fn on_client_error(&mut self, error: &KafkaError) {
        tracing::warn!(%error, "the consumer met an error");
        let fatal = matches!(error, KafkaError::MessageConsumptionFatal(_))
            || error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal);
        if fatal {
            self.rejoin();
        }
    }

    /// A client beyond repair is replaced; everything that is not committed is read again.
    fn rejoin(&mut self) {
        let (tell, events) = unbounded_channel();
        match client::subscribe(&self.config, tell) {
            Ok(client) => {
                self.partitions.values_mut().for_each(end_in_flight);
                self.partitions.clear();
                self.events = events;
                let old = std::mem::replace(&mut self.client, client);
                old.context().close();
                drop(tokio::task::spawn_blocking(move || drop(old)));
            }
            Err(error) => tracing::error!(%error, "the consumer could not be made anew"),
        }
    }

    fn take_more(&mut self) {
        for _ in 1..MESSAGES_A_TURN {
            let Some(message) = self.client.recv().now_or_never() else { break };
            let record = message.map(|message: BorrowedMessage<'_>| Record::copy_of(&message, &self.topic));
            self.on_message(record);
        }
    }

    fn on_done(&mut self, done: &Done) {
        self.progress = Instant::now();
        let Some(partition) = self.partitions.get_mut(&done.partition) else { return };
        if partition.in_flight.as_ref().is_none_or(|in_flight| in_flight.batch != done.batch) {
            return;
        }
        partition.in_flight = None;
        partition.frontier = Some(done.frontier);
        if self.commit_asked.is_none() {
            self.commit();
        }
    }

    fn on_tick(&mut self) {
        // An answer that never came is not waited for: the next commit says all that this one did.
        if self.commit_asked.is_none_or(|asked| asked.elapsed() > TICK) {
            self.commit();
        }
        if self.partitions.values().all(|partition| partition.in_flight.is_none() && partition.waiting() == 0) {
            self.progress = Instant::now();
        }
        for (id, partition) in &mut self.partitions {
            if partition.in_flight.as_ref().is_some_and(|in_flight| in_flight.abort.is_finished()) && partition.revoked
            {
                partition.in_flight = None;
                self.road.health.forget(&watcher(*id));
            }
        }
        self.road.metrics.seconds_since_progress.set(self.progress.elapsed().as_secs_f64());
    }

    fn commit(&mut self) {
        let frontiers: Vec<(i32, Option<i64>)> = self
            .partitions
            .iter()
            .filter_map(|(id, partition)| partition.to_commit().map(|frontier| (*id, Some(frontier))))
            .collect();
        if frontiers.is_empty() {
            return;
        }
        match self.client.commit(&client::list_of(&self.topic, frontiers.iter().copied()), CommitMode::Async) {
            Ok(()) => {
                self.commit_asked = Some(Instant::now());
                for (id, frontier) in frontiers {
                    if let Some(partition) = self.partitions.get_mut(&id) {
                        partition.committed = frontier;
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "offsets not committed"),
        }
    }

    /// Hands back revoked partitions with nothing in flight, after their last commit.
    fn hand_back_idle(&mut self) {
        let idle = |partition: &Partition| partition.revoked && partition.in_flight.is_none();
        if !self.partitions.values().any(idle) {
            return;
        }
        self.commit();
        let (back, kept) = std::mem::take(&mut self.partitions).into_iter().partition(|(_, held)| idle(held));
        self.partitions = kept;
        let back: BTreeMap<i32, Partition> = back;
        let list = client::list_of(&self.topic, back.keys().map(|id| (*id, None)));
        if let Err(error) = self.client.incremental_unassign(&list) {
            tracing::warn!(%error, "partitions could not be handed back");
        }
        tracing::info!(partitions = ?back.keys().collect::<Vec<_>>(), "partitions handed back");
    }

    /// Starts a batch on every partition that has one, fairly: those with the most waiting first.
    fn dispatch(&mut self) {
        if *self.desired.borrow() != DesiredState::Running {
            return;
        }
        let busy = self.partitions.values().filter(|partition| partition.in_flight.is_some()).count();
        let mut ready: Vec<(usize, i32)> = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.has_batch())
            .map(|(id, partition)| (partition.waiting(), *id))
            .collect();
        ready.sort_unstable_by(|one, other| other.cmp(one));
        for (_, id) in ready.into_iter().take(self.limits.batches_at_once.saturating_sub(busy)) {
            self.start(id);
        }
    }

    fn start(&mut self, id: i32) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        let (batch, bytes) = partition.take_batch(self.limits.batch_records, self.limits.batch_bytes);
        let Some(last) = batch.last() else { return };
        self.batches += 1;
        let batch_id = self.batches;
        let done = Done { partition: id, batch: batch_id, frontier: last.offset + 1 };
        let (road, tell_done) = (Arc::clone(&self.road), self.tell_done.clone());
        let records = batch.len();
        let work = tokio::spawn(async move {
            road.travel(&batch, Origin::Partition, &watcher(id)).await;
            // The loop is gone only when the service is at its end.
            let _ = tell_done.send(done);
        });
        partition.in_flight = Some(InFlight { batch: batch_id, abort: work.abort_handle(), bytes, records });
    }

    /// Keeps what is buffered within its bounds by pausing the fetch of partitions that hold more than their share,
    /// until half of it is worked off. Polling goes on all the while.
    fn bound_buffers(&mut self) {
        let shares = self.partitions.len().max(1);
        let paused = *self.desired.borrow() != DesiredState::Running;
        let most_records = (self.limits.buffer_records / shares).max(1);
        let most_bytes = (self.limits.buffer_bytes / shares).max(1);
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (id, partition) in &mut self.partitions {
            let over = |share: usize| {
                partition.waiting() >= most_records / share || partition.waiting_bytes() >= most_bytes / share
            };
            if !partition.fetch_paused && (over(1) || paused) {
                partition.fetch_paused = true;
                pause.push((*id, None));
            } else if partition.fetch_paused && !paused && (!over(2) || partition.waiting() == 0) {
                partition.fetch_paused = false;
                resume.push((*id, None));
            }
        }
        for (list, what) in [(pause, true), (resume, false)] {
            if list.is_empty() {
                continue;
            }
            let list = client::list_of(&self.topic, list);
            let done = if what { self.client.pause(&list) } else { self.client.resume(&list) };
            if let Err(error) = done {
                tracing::warn!(%error, "the fetch could not be paused or resumed");
            }
        }
    }

    async fn farewell(mut self) {
        let deadline = tokio::time::Instant::now() + DRAIN;
        while self.partitions.values().any(|partition| partition.in_flight.is_some()) {
            tokio::select! {
                Some(done) = self.done.recv() => self.on_done(&done),
                Some(event) = self.events.recv() => self.on_event(event),
                // Polling keeps the membership; what it brings is for the next owner.
                _ = self.client.recv() => {}
                () = tokio::time::sleep_until(deadline) => {
                    self.partitions.values_mut().for_each(end_in_flight);
                    break;
                }
            }
        }
        let frontiers: Vec<(i32, Option<i64>)> = self
            .partitions
            .iter()
            .filter_map(|(id, partition)| partition.frontier.map(|frontier| (*id, Some(frontier))))
            .collect();
        let list = client::list_of(&self.topic, frontiers);
        let client = self.client;
        let leave = tokio::task::spawn_blocking(move || {
            if list.count() > 0
                && let Err(error) = client.commit(&list, CommitMode::Sync)
            {
                tracing::warn!(%error, "the last offsets are not committed; their records will be processed again");
            }
            client.context().close();
            drop(client);
        });
        if tokio::time::timeout(FAREWELL, leave).await.is_err() {
            tracing::warn!("the broker did not answer the farewell; the group will notice by itself");
        }
        self.road.health.forget(Dependency::Kafka.name());
    }
}

fn watcher(partition: i32) -> String {
    format!("partition {partition}")
}

fn end_in_flight(partition: &mut Partition) {
    if let Some(in_flight) = partition.in_flight.take() {
        tracing::info!(records = in_flight.records, bytes = in_flight.bytes, "a batch in flight is dropped");
        in_flight.abort.abort();
    }
}
