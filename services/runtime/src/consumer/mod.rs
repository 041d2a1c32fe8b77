//! The one consumer loop.
//!
//! One task owns the Kafka consumer and never stops polling it. Each assigned partition has a worker of its own, which
//! takes batches from the partition's queue, one at a time; several partitions are worked at once. Records therefore
//! wait in the client's queues, whose size is bounded, and never hold up what else the client has to say: the arms of
//! the loop stand in the order of their urgency, so that the assignment is known before a worker's report is judged
//! by it, and what is done is committed before more is waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rdkafka::Message as _;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::error::{KafkaError, KafkaResult};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod client;
mod gate;
mod batch;
mod worker;
mod partition;
mod reset;
mod commits;
mod handover;
mod backpressure;
mod account;
mod trouble;
mod contact;
mod farewell;

pub(crate) use client::list_of;
use client::{Client, Event, Events};
use commits::Commits;
use contact::Contact;
use partition::Partition;
use worker::Report;

use crate::actual_state::{ActualStateWriter, LastBatch};
use crate::broker::Broker;
use crate::config::{KafkaConfig, Limits};
use crate::control::steering::PendingReader;
use crate::desired_state::DesiredStateReader;
use crate::probe::Renewed;
use crate::processor::Processor;
use crate::road::Road;

/// How often the loop turns when nothing happens.
const TICK: Duration = Duration::from_millis(100);
/// For how long batches in flight may go on once they are to end.
const DRAIN: Duration = Duration::from_secs(5);

/// The queue of one partition's records.
type Queue = StreamPartitionQueue<Events>;

/// What the loop hears from the control plane, and what it tells it.
pub struct Doors {
    /// Who this member is.
    pub member: Uuid,
    /// What the layer is to do.
    pub desired: DesiredStateReader,
    /// What resets have still to do.
    pub pending: PendingReader,
    /// What the consumer does.
    pub actual: ActualStateWriter,
    /// Partitions that were made anew under the client's feet.
    pub renewed: UnboundedReceiver<Renewed>,
}

/// The loop's whole state; nobody else touches it.
pub struct Consumer<P> {
    config: KafkaConfig,
    limits: Limits,
    road: Arc<Road<P>>,
    doors: Doors,
    client: Arc<Client>,
    topic: Arc<str>,
    events: UnboundedReceiver<Event>,
    reports: UnboundedReceiver<Report>,
    tell: UnboundedSender<Report>,
    partitions: BTreeMap<i32, Partition>,
    /// As many as batches may be worked at once; workers take turns in the order in which they ask.
    turns: Arc<Semaphore>,
    workers: u64,
    commits: Commits,
    contact: Contact,
    trouble: Option<Instant>,
    /// Why the client is to be replaced.
    rejoin_for: Option<String>,
    rejoined: Option<Instant>,
    /// Turns beyond the usual ones, in the place of those that halted batches keep.
    lent: usize,
    progress_at: DateTime<Utc>,
    last_batch: Option<LastBatch>,
    reached: Option<i64>,
}

impl<P: Processor> Consumer<P> {
    /// A member of the layer's group. `broker` is another client of the same Kafka, to compare with.
    pub fn join(
        config: &KafkaConfig,
        limits: Limits,
        road: Arc<Road<P>>,
        doors: Doors,
        broker: Arc<Broker>,
    ) -> Result<Self, KafkaError> {
        let (tell_event, events) = unbounded_channel();
        let (tell, reports) = unbounded_channel();
        Ok(Self {
            client: Arc::new(client::subscribe(config, &limits, tell_event, &road.metrics)?),
            topic: Arc::from(config.source_topic.as_str()),
            config: config.clone(),
            limits,
            road,
            doors,
            events,
            reports,
            tell,
            partitions: BTreeMap::new(),
            turns: Arc::new(Semaphore::new(limits.batches_at_once)),
            workers: 0,
            commits: Commits::default(),
            contact: Contact::new(broker),
            trouble: None,
            rejoin_for: None,
            rejoined: None,
            lent: 0,
            progress_at: Utc::now(),
            last_batch: None,
            reached: None,
        })
    }

    /// Turns until `shutdown`, then finishes or drops what is in flight, commits what is done and leaves the group.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            self.road.health.turned();
            let polled = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(event) = self.events.recv() => { self.on_event(event); None }
                Some(report) = self.reports.recv() => { self.on_report(report); None }
                answer = self.commits.answer() => { self.on_commit(answer); None }
                Ok(()) = self.doors.desired.changed() => { self.give_account(); None }
                Ok(()) = self.doors.pending.changed() => { self.begin_resets(); None }
                Some(renewed) = self.doors.renewed.recv() => { self.on_renewed(&renewed); None }
                _ = tick.tick() => { self.on_tick(); None }
                // Records come by their partitions' queues; here the client says what concerns all of them.
                polled = self.client.recv() => Some(polled.map(|message| message.partition())),
            };
            if let Some(polled) = polled {
                self.on_polled(polled);
            }
            self.hand_back_ended();
            self.gate_stopped();
            self.move_passed();
            self.lend_turns();
            self.bound_fetch();
        }
        self.farewell().await;
    }

    /// What came by the client itself: the partition of a record, or an error.
    fn on_polled(&mut self, polled: KafkaResult<i32>) {
        match polled {
            Ok(partition) => self.on_stray_record(partition),
            Err(error) => self.on_client_error(&error),
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Assigned(partitions) => self.take_over(partitions),
            Event::Revoked { partitions, lost } => self.let_go(&partitions, lost),
            Event::Trouble(error, reason) => self.on_trouble(&error, &reason),
        }
    }

    fn on_report(&mut self, report: Report) {
        let (id, worker) = report.of();
        // A worker of an earlier assignment says nothing about this one.
        let Some(partition) = self.partitions.get_mut(&id).filter(|held| held.worker == worker) else { return };
        match report {
            Report::Began { .. } => partition.busy_since = Some(Instant::now()),
            Report::Passed { reset, .. } => self.on_passed(id, reset),
            Report::Done { frontier, records, .. } => {
                partition.busy_since = None;
                partition.frontier = Some(frontier);
                self.note_progress();
                self.last_batch = Some(LastBatch { partition: id, records, finished_at: self.progress_at });
                self.over_trouble();
                self.commit();
            }
            Report::Trouble { error, .. } => self.on_client_error(&error),
            Report::Ended { .. } => partition.ended = true,
        }
    }

    fn on_tick(&mut self) {
        self.expire_trouble();
        self.look_for_fallen_workers();
        self.keep_contact();
        self.rejoin_if_due();
        self.begin_resets();
        // What the broker did not take is told it again.
        self.commit();
        if self.partitions.values().all(|partition| partition.busy_since.is_none()) {
            self.note_progress();
        }
        self.give_account();
    }
}

fn watcher(partition: i32) -> String {
    format!("partition {partition}")
}
