//! The consumer's side of the group: what a rebalance gives and takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use super::flight::Flight;
use crate::record::TopicPartition;

/// What the rebalance callbacks leave for the consuming thread, on which they run.
pub(super) struct Group {
    flight: Arc<Flight>,
    topics: BTreeMap<String, Arc<str>>,
    /// How long handing over waits for the chunk that is being committed.
    hand_over: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Every partition that this instance owns.
    owned: BTreeSet<TopicPartition>,
    /// Those that are paused until their epoch is raised and their committed offset is known.
    pending: BTreeSet<TopicPartition>,
    rebalances: u64,
    /// The last offset that a `read_committed` reader may see, by partition.
    ends: BTreeMap<TopicPartition, i64>,
    /// An error that the client reported and that may pass.
    trouble: Option<String>,
    /// Why a rebalance could not be followed: without that the group waits for this member in vain.
    broken: Option<String>,
}

impl Group {
    pub(super) fn new(
        flight: Arc<Flight>,
        topics: impl IntoIterator<Item = Arc<str>>,
        hand_over: Duration,
    ) -> Self {
        Self {
            flight,
            hand_over,
            topics: topics
                .into_iter()
                .map(|topic| (topic.to_string(), topic))
                .collect(),
            state: Mutex::default(),
        }
    }

    /// Every partition that this instance owns.
    pub(super) fn owned(&self) -> BTreeSet<TopicPartition> {
        self.lock().owned.clone()
    }

    /// The partitions that wait to be begun.
    pub(super) fn pending(&self) -> BTreeSet<TopicPartition> {
        self.lock().pending.clone()
    }

    /// Whether messages of this partition may be taken.
    pub(super) fn flows(&self, topic: &str, partition: i32) -> bool {
        let state = self.lock();
        let Some(topic) = self.topics.get(topic) else {
            return false;
        };
        let partition = TopicPartition {
            topic: Arc::clone(topic),
            partition,
        };
        state.owned.contains(&partition) && !state.pending.contains(&partition)
    }

    /// These partitions have been begun.
    pub(super) fn begun(&self, partitions: &BTreeSet<TopicPartition>) {
        self.lock()
            .pending
            .retain(|partition| !partitions.contains(partition));
    }

    /// Every partition must be begun anew.
    pub(super) fn restart(&self) {
        let mut state = self.lock();
        state.pending = state.owned.clone();
    }

    /// How often the group has been rebalanced.
    pub(super) fn rebalances(&self) -> u64 {
        self.lock().rebalances
    }

    /// The ends of the partitions as last reported, to measure the lag by.
    pub(super) fn ends(&self) -> BTreeMap<TopicPartition, i64> {
        self.lock().ends.clone()
    }

    /// What the client has reported since the last call.
    pub(super) fn take_trouble(&self) -> Option<String> {
        self.lock().trouble.take()
    }

    /// Why a rebalance could not be followed, if one could not.
    pub(super) fn broken(&self) -> Option<String> {
        self.lock().broken.clone()
    }

    fn partitions(&self, list: &TopicPartitionList) -> BTreeSet<TopicPartition> {
        list.elements()
            .iter()
            .filter_map(|element| {
                Some(TopicPartition {
                    topic: Arc::clone(self.topics.get(element.topic())?),
                    partition: element.partition(),
                })
            })
            .collect()
    }

    /// Takes partitions on, paused: they are begun by the consuming thread, which may have to wait for Postgres.
    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        // In this order: what was read before the assignment is known not to be lost belongs to a member in good standing.
        let metadata = consumer.group_metadata();
        if let Some(metadata) = metadata.filter(|_| !consumer.assignment_lost()) {
            self.flight.join(metadata);
        }
        let assigned = self.partitions(list);
        tracing::info!(partitions = %names(&assigned), "partitions assigned");
        {
            let mut state = self.lock();
            state.owned.extend(assigned.iter().cloned());
            state.pending.extend(assigned);
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list)?,
            _ => consumer.assign(list)?,
        }
        if list.count() == 0 {
            return Ok(());
        }
        consumer.pause(list)
    }

    /// Hands partitions over, after the chunk that is being committed. What remains is begun anew, since chunks that were
    /// under way are void.
    fn revoke(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &TopicPartitionList,
    ) -> Result<(), KafkaError> {
        let revoked = self.partitions(list);
        let metadata = consumer.group_metadata();
        if consumer.assignment_lost() {
            tracing::warn!(partitions = %names(&revoked), "partitions lost: the group went on without this instance");
            self.flight.lose();
            // It may be that no broker answers, which shows nowhere else for a minute.
            self.lock().trouble = Some("the group has missed this instance".to_owned());
        } else if !self.flight.hand_over(metadata, self.hand_over) {
            tracing::warn!(
                "a chunk was still being committed after {:.1} s: its partitions are handed over, and it is fenced",
                self.hand_over.as_secs_f64()
            );
        }
        {
            let mut state = self.lock();
            state.owned.retain(|partition| !revoked.contains(partition));
            state.pending = state.owned.clone();
            state
                .ends
                .retain(|partition, _| !revoked.contains(partition));
        }
        self.flight.forget(&revoked);
        tracing::info!(partitions = %names(&revoked), "partitions handed over");
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list)?,
            _ => consumer.unassign()?,
        }
        let rest = list_of(&self.owned());
        if rest.count() == 0 {
            return Ok(());
        }
        consumer.pause(&rest)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Group {
    fn stats(&self, statistics: Statistics) {
        let mut state = self.lock();
        for (name, topic) in statistics.topics {
            let Some(topic_name) = self.topics.get(&name) else {
                continue;
            };
            for partition in topic.partitions.into_values() {
                let place = TopicPartition {
                    topic: Arc::clone(topic_name),
                    partition: partition.partition,
                };
                // Beside the real partitions librdkafka lists one with the number -1.
                if partition.ls_offset >= 0 && state.owned.contains(&place) {
                    state.ends.insert(place, partition.ls_offset);
                }
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // One of several brokers that is away is no trouble: the others take its partitions over.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.lock().trouble = Some(reason.to_owned());
        }
        tracing::debug!("the consumer reports: {reason}");
    }
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        self.lock().rebalances += 1;
        let result = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(error) = result {
            self.lock().broken = Some(error.to_string());
        }
    }
}

/// The partitions as librdkafka takes them.
pub(super) fn list_of<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

/// `posts[0], posts[1]`.
fn names(partitions: &BTreeSet<TopicPartition>) -> String {
    if partitions.is_empty() {
        return "none".to_owned();
    }
    partitions
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
