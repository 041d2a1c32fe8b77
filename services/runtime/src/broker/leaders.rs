//! Questions that the partitions' leaders answer, each for its own: a partition without a leader, or a leader that does not
//! answer, takes nothing from the others.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;

use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;

use super::{Broker, BrokerError, ByPartition, Deadline};
use crate::consumer::list_of;

impl Broker {
    /// Asks all leaders at once, each about those of the partitions that it leads.
    pub(super) fn ask_leaders<T: Send>(
        &self,
        partitions: &[i32],
        deadline: Deadline,
        question: impl Fn(&[i32]) -> Result<ByPartition<T>, BrokerError> + Sync,
    ) -> Result<ByPartition<T>, BrokerError> {
        // The client takes an empty list for a mistake.
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let leaders = self.leaders(deadline)?;
        let mut led: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        let mut answers = BTreeMap::new();
        for id in partitions {
            match leaders.get(id) {
                Some(leader) => led.entry(*leader).or_default().push(*id),
                None => drop(answers.insert(*id, Err(BrokerError::NoLeader(*id)))),
            }
        }
        thread::scope(|scope| {
            let question = &question;
            let asked: Vec<_> = led.values().map(|ids| (ids, scope.spawn(move || question(ids)))).collect();
            for (ids, asked) in asked {
                match asked.join() {
                    Ok(Ok(found)) => answers.extend(found),
                    Ok(Err(error)) => answers.extend(ids.iter().map(|id| (*id, Err(error.clone())))),
                    Err(fallen) => resume_unwind(fallen),
                }
            }
        });
        Ok(answers)
    }

    /// The leader of each of the topic's partitions that has one.
    fn leaders(&self, deadline: Deadline) -> Result<BTreeMap<i32, i32>, BrokerError> {
        let metadata = self.asking.ask(|client| client.fetch_metadata(Some(self.topic()), deadline.left()))?;
        let partitions = metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
        let with_leader = partitions.filter(|partition| partition.leader() >= 0);
        Ok(with_leader.map(|partition| (partition.id(), partition.leader())).collect())
    }

    /// One request to the leader of these partitions: `at` is a time in milliseconds, or one of the ends. A partition that
    /// has no such offset has no answer.
    pub(super) fn list_offsets(
        &self,
        partitions: &[i32],
        at: Offset,
        deadline: Deadline,
    ) -> Result<ByPartition<i64>, BrokerError> {
        let mut list = list_of(self.topic(), partitions.iter().map(|id| (*id, None)));
        list.set_all_offsets(at)?;
        let list = self.asking.ask(|client| client.offsets_for_times(list, deadline.left()))?;
        let mut offsets = BTreeMap::new();
        for element in list.elements() {
            match (element.error(), element.offset()) {
                (Err(error), _) => drop(offsets.insert(element.partition(), Err(error.into()))),
                (Ok(()), Offset::Offset(offset)) => drop(offsets.insert(element.partition(), Ok(offset))),
                (Ok(()), _) => {}
            }
        }
        Ok(offsets)
    }
}
