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
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

mod client;
mod partition;
mod commits;
mod buffers;
mod trouble;
mod farewell;

pub(crate) use client::list_of;
use client::{Client, Event};
use commits::Commits;
use partition::{InFlight, Partition};

use crate::config::{KafkaConfig, Limits};
use crate::desired_state::{DesiredState, DesiredStateReader};
use crate::processor::Processor;
use crate::record::Record;
use crate::road::{Origin, Road};

/// How often the loop turns when nothing happens.
const TICK: Duration = Duration::from_millis(100);
/// For how long batches in flight may go on once they are to end.
const DRAIN: Duration = Duration::from_secs(5);
/// Messages taken in one turn at the most, so that the other arms get their turn.
const MESSAGES_A_TURN: usize = 1_000;

/// The loop's whole state; nobody else touches it.
pub struct Consumer<P> {
    config: KafkaConfig,
    limits: Limits,
    road: Arc<Road<P>>,
    desired: DesiredStateReader,
    client: Arc<Client>,
    topic: Arc<str>,
    events: UnboundedReceiver<Event>,
    done: UnboundedReceiver<Done>,
    tell_done: UnboundedSender<Done>,
    partitions: BTreeMap<i32, Partition>,
    commits: Commits,
    trouble: Option<Instant>,
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
            client: Arc::new(client::subscribe(config, tell)?),
            topic: Arc::from(config.source_topic.as_str()),
            config: config.clone(),
            limits,
            road,
            desired,
            events,
            done,
            tell_done,
            partitions: BTreeMap::new(),
            commits: Commits::default(),
            trouble: None,
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
                answer = self.commits.answer() => { self.on_commit(answer); None }
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
                self.over_trouble();
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
            Event::Trouble(error, reason) => self.on_trouble(&error, &reason),
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
                self.over_trouble();
                if let Some(partition) = self.partitions.get_mut(&record.partition).filter(|held| !held.revoked) {
                    partition.push(record);
                }
            }
            Err(error) => self.on_message_error(&error),
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
        self.commit();
    }

    fn on_tick(&mut self) {
        self.expire_trouble();
        // What the broker did not take is told it again.
        self.commit();
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
