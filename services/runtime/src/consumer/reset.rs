//! Resets of a partition that is being worked: its worker ends, its gate takes it to the target, and it begins there.

use std::sync::Arc;

use futures_util::FutureExt as _;
use rdkafka::Message as _;
use rdkafka::consumer::Consumer as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::gate::Gate;
use super::partition::{Partition, Phase};
use super::worker::Worker;
use super::{Consumer, client, watcher};
use crate::control::resets::{self, Pending};
use crate::database::Database;
use crate::processor::Processor;

impl<P: Processor> Consumer<P> {
    /// Has the workers end whose partitions a reset wants elsewhere.
    pub(super) fn begin_resets(&mut self) {
        for pending in self.doors.pending.borrow_and_update().iter() {
            let Some(held) = self.partitions.get_mut(&pending.partition) else { continue };
            // At the gate it is asked for by itself.
            let at_work = matches!(held.phase, Phase::AtWork) && !held.revoked;
            if at_work && held.reset == Some(pending.operation) {
                // It is done here, and what was asked is older, or PostgreSQL came back without the note of it.
                note_applied(&self.road.database, *pending, self.doors.member);
            } else if at_work {
                held.reset = Some(pending.operation);
                held.phase = Phase::Stopping;
                held.end_soon();
            }
        }
    }

    /// Sends partitions whose worker has ended for a reset to their gate. What they had still to commit is void.
    pub(super) fn gate_stopped(&mut self) {
        // A commit that is under way may be of the partition, and would come after the reset's.
        if self.commits.is_under_way() {
            return;
        }
        let stopped = |held: &Partition| matches!(held.phase, Phase::Stopping) && !held.revoked && held.is_at_rest();
        let stopped: Vec<i32> = self.partitions.iter().filter(|(_, held)| stopped(held)).map(|(id, _)| *id).collect();
        for id in stopped {
            self.road.health.forget(&watcher(id));
            let (frontier, reset) = self.partitions.get(&id).map_or((None, None), |held| (held.frontier, held.reset));
            let mut held = self.at_gate(id, Phase::AtGate(None));
            (held.resume_at, held.reset) = (frontier, reset);
            self.partitions.insert(id, held);
        }
    }

    /// A partition at its gate.
    pub(super) fn at_gate(&mut self, id: i32, phase: Phase) -> Partition {
        self.workers += 1;
        let stop = CancellationToken::new();
        let gate = Gate {
            worker: self.workers,
            partition: id,
            topic: Arc::clone(&self.topic),
            client: Arc::clone(&self.client),
            member: self.doors.member,
            road: Arc::clone(&self.road),
            tell: self.tell.clone(),
            stop: stop.clone(),
        };
        Partition::new(phase, self.workers, tokio::spawn(gate.pass()), stop)
    }

    /// Has a partition worked that has passed its gate: from the reset's target where there was one, else from where
    /// it was.
    pub(super) fn on_passed(&mut self, id: i32, reset: Option<Pending>) {
        let Some(held) = self.partitions.get_mut(&id) else { return };
        if held.revoked {
            held.ended = true;
            return;
        }
        let Phase::AtGate(queue) = std::mem::replace(&mut held.phase, Phase::ToMove) else { return };
        if let Some(reset) = reset {
            held.reset = Some(reset.operation);
            held.resume_at = Some(reset.target);
            held.committed = Some(reset.target);
        }
        held.frontier = held.resume_at;
        match (queue, held.resume_at) {
            (Some(queue), None) => self.begin_work(id, queue),
            // What the client has fetched is of another place.
            _ => held.ended = true,
        }
    }

    /// Takes those that have passed their gates to their places, once none of ours is asked back: the client takes the
    /// first word about any partition for the answer, and another member would begin where a worker of ours still works.
    pub(super) fn move_passed(&mut self) {
        let to_move = |held: &Partition| matches!(held.phase, Phase::ToMove) && !held.revoked;
        if self.rejoin_for.is_some() || !self.partitions.values().any(to_move) {
            return;
        }
        // What the client is about to ask is heard first.
        if let Some(polled) = self.client.recv().now_or_never() {
            let polled = polled.map(|message| message.partition());
            self.on_polled(polled);
        }
        while let Ok(event) = self.events.try_recv() {
            self.on_event(event);
        }
        if self.partitions.values().any(|held| held.revoked) {
            return;
        }
        let moved = self.partitions.iter().filter(|(_, held)| to_move(held));
        let moved: Vec<(i32, Option<i64>)> = moved.map(|(id, held)| (*id, held.resume_at)).collect();
        for (id, offset) in moved {
            self.move_to(id, offset);
        }
    }

    /// Lets the client fetch from elsewhere, and has a new worker begin there.
    fn move_to(&mut self, id: i32, offset: Option<i64>) {
        let (out, back) = (client::list_of(&self.topic, [(id, None)]), client::list_of(&self.topic, [(id, offset)]));
        let Some(held) = self.partitions.get_mut(&id) else { return };
        held.fetch_paused = false;
        if let Err(error) = self.client.incremental_unassign(&out) {
            return self.rejoin(&format!("partition {id} could not be taken from its place: {error}"));
        }
        let Some(queue) = self.client.split_partition_queue(&self.topic, id) else {
            return self.rejoin(&format!("the client has no queue for partition {id}"));
        };
        if let Err(error) = self.client.resume(&out).and_then(|()| self.client.incremental_assign(&back)) {
            return self.rejoin(&format!("partition {id} could not be taken to another place: {error}"));
        }
        self.begin_work(id, queue);
    }

    fn begin_work(&mut self, id: i32, queue: super::Queue) {
        self.workers += 1;
        let stop = CancellationToken::new();
        let worker = Worker {
            id: self.workers,
            partition: id,
            topic: Arc::clone(&self.topic),
            queue,
            limits: self.limits,
            road: Arc::clone(&self.road),
            desired: self.doors.desired.clone(),
            turns: Arc::clone(&self.turns),
            tell: self.tell.clone(),
            stop: stop.clone(),
        };
        let Some(held) = self.partitions.get_mut(&id) else { return };
        (held.phase, held.worker, held.stop, held.ended) = (Phase::AtWork, self.workers, stop, false);
        held.task = tokio::spawn(worker.run());
    }

    /// Notes that a partition goes to another member before its reset is done; that member will do it.
    pub(super) fn note_lost(&self, id: i32, held: &Partition) {
        let (Some(operation), Phase::Stopping | Phase::AtGate(_)) = (held.reset, &held.phase) else { return };
        let (database, member) = (self.road.database.clone(), self.doors.member);
        tokio::spawn(async move {
            if let Err(error) = resets::lost(&database.pool(), operation, id, member).await {
                tracing::debug!(%error, partition = id, "the loss of a partition was not noted");
            }
        });
    }
}

/// Notes once more that a reset is done with a partition: where that is known, it changes nothing.
fn note_applied(database: &Database, pending: Pending, member: Uuid) {
    let pool = database.pool();
    tokio::spawn(async move {
        if let Err(error) = resets::applied(&pool, pending, member).await {
            tracing::debug!(%error, partition = pending.partition, "the end of a reset was not noted again");
        }
    });
}
