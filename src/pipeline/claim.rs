//! Beginning with partitions: the fence first, then the place to read from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use tokio::runtime::Handle;

use super::config::Start;
use super::error::PipelineError;
use super::flight::Flight;
use super::group::{Group, list_of};
use crate::health::Part;
use crate::record::TopicPartition;
use crate::store::{Store, StoreError};

/// For each request about offsets.
const REQUEST: Duration = Duration::from_secs(10);

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
        let claimed = self
            .runtime
            .block_on(self.store.claim(&self.instance, &wanted));
        let epochs = claimed.map_err(|error| match error {
            error @ StoreError::Unavailable { .. } => {
                Hindrance::Later(Part::Postgres, error.to_string())
            }
            error => Hindrance::Fatal(error.into()),
        })?;

        let later = |error: KafkaError| {
            Hindrance::Later(
                Part::Kafka,
                format!("the committed offsets cannot be read: {error}"),
            )
        };
        let committed = consumer
            .committed_offsets(list_of(partitions), REQUEST)
            .map_err(later)?;
        let mut positions = BTreeMap::new();
        for partition in partitions {
            let found = committed.find_partition(&partition.topic, partition.partition);
            let offset = match found.map(|element| element.offset()) {
                Some(Offset::Offset(offset)) => offset,
                _ => self.first_offset(consumer, partition).map_err(later)?,
            };
            positions.insert(partition.clone(), offset);
        }
        let mut places = list_of([]);
        for (partition, offset) in &positions {
            let offset = Offset::Offset(*offset);
            places
                .add_partition_offset(&partition.topic, partition.partition, offset)
                .map_err(later)?;
        }
        let sought = consumer.seek_partitions(places, REQUEST).map_err(later)?;
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
        let (low, high) =
            consumer.fetch_watermarks(&partition.topic, partition.partition, REQUEST)?;
        Ok(match self.start {
            Start::Earliest => low,
            Start::Latest => high,
        })
    }
}
