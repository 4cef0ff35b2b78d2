//! Beginning with partitions: the fence first, then the place to read from.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;

use super::config::Start;
use super::error::PipelineError;
use super::flight::Flight;
use super::group::{Group, list_of};
use super::limits::Limits;
use crate::fault;
use crate::health::Part;
use crate::record::TopicPartition;
use crate::store::{Store, StoreError};

/// Why partitions cannot be begun.
pub(super) enum Hindrance {
    /// It may work later.
    Later(Part, String),
    Fatal(PipelineError),
}

/// Claims partitions for this instance.
pub(super) struct Claim {
    pub store: Store,
    pub runtime: Handle,
    pub instance: String,
    pub start: Start,
    pub limits: Limits,
}

impl Claim {
    /// Raises the partitions' epochs, then reads their committed offsets, then lets them flow: in this order, so that
    /// nothing a predecessor still does can come after what is read.
    pub(super) fn begin(
        &self,
        consumer: &BaseConsumer<Group>,
        flight: &Flight,
        partitions: &BTreeSet<TopicPartition>,
    ) -> Result<(), Hindrance> {
        let wanted: Vec<TopicPartition> = partitions.iter().cloned().collect();
        let Limits { claim, request, .. } = self.limits;
        let claiming =
            async { tokio::time::timeout(claim, self.store.claim(&self.instance, &wanted)).await };
        let epochs = match self.runtime.block_on(claiming) {
            Ok(Ok(epochs)) => epochs,
            Ok(Err(error @ StoreError::Unavailable { .. })) => {
                return Err(Hindrance::Later(Part::Postgres, error.to_string()));
            }
            Ok(Err(error)) => return Err(Hindrance::Fatal(error.into())),
            Err(_) => {
                let said = format!(
                    "Postgres did not answer within {:.0} s",
                    claim.as_secs_f64()
                );
                return Err(Hindrance::Later(Part::Postgres, said));
            }
        };

        fault::point("claimed");
        let later = |error: KafkaError| {
            Hindrance::Later(
                Part::Kafka,
                format!("the committed offsets cannot be read: {error}"),
            )
        };
        let committed = consumer
            .committed_offsets(list_of(partitions), request)
            .map_err(later)?;
        fault::point("offsets-read");
        let mut positions = BTreeMap::new();
        let mut first_choices = list_of([]);
        for partition in partitions {
            let (topic, number) = (&*partition.topic, partition.partition);
            let Some(found) = committed.find_partition(topic, number) else {
                let said = format!("the committed offset of {partition} was not answered");
                return Err(Hindrance::Later(Part::Kafka, said));
            };
            found.error().map_err(later)?;
            let offset = match found.offset() {
                Offset::Offset(offset) => offset,
                _ => {
                    let first = self.first_offset(consumer, partition).map_err(later)?;
                    first_choices
                        .add_partition_offset(topic, number, Offset::Offset(first))
                        .map_err(later)?;
                    first
                }
            };
            positions.insert(partition.clone(), offset);
        }
        if self.start == Start::Latest && first_choices.count() > 0 {
            // Else a message that came after this choice would be skipped by the next one, should this instance end before
            // its first commit.
            consumer
                .commit(&first_choices, CommitMode::Sync)
                .map_err(later)?;
        }
        let mut places = list_of([]);
        for (partition, offset) in &positions {
            let offset = Offset::Offset(*offset);
            places
                .add_partition_offset(&partition.topic, partition.partition, offset)
                .map_err(later)?;
        }
        let sought = consumer.seek_partitions(places, request).map_err(later)?;
        for element in sought.elements() {
            element.error().map_err(later)?;
        }
        flight.claimed(epochs, positions);
        consumer.resume(&list_of(partitions)).map_err(later)
    }

    /// Where a partition without a committed offset begins.
    fn first_offset(
        &self,
        consumer: &BaseConsumer<Group>,
        partition: &TopicPartition,
    ) -> Result<i64, KafkaError> {
        let (topic, number) = (&*partition.topic, partition.partition);
        let (low, high) = consumer.fetch_watermarks(topic, number, self.limits.request)?;
        Ok(match self.start {
            Start::Earliest => low,
            Start::Latest => high,
        })
    }
}
