//! The group's committed offsets, asked of Kafka.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use crate::pipeline::client;
use crate::pipeline::config::KafkaConfig;
use crate::record::TopicPartition;
use crate::refusal;

/// How long the coordinator may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client of the group that never joins it.
pub(super) struct Committed {
    config: KafkaConfig,
    client: Option<Arc<BaseConsumer>>,
}

impl Committed {
    pub(super) fn new(config: KafkaConfig) -> Self {
        Self {
            config,
            client: None,
        }
    }

    /// Every partition of the topics, and its committed offset where it has one. Those of open transactions are waited for.
    pub(super) async fn ask(
        &mut self,
        topics: &[String],
    ) -> Result<Vec<(TopicPartition, Option<i64>)>, String> {
        let client = match &self.client {
            Some(client) => Arc::clone(client),
            None => {
                let client = Arc::new(self.connect()?);
                self.client = Some(Arc::clone(&client));
                client
            }
        };
        let topics = topics.to_vec();
        let asking = tokio::task::spawn_blocking(move || offsets(&client, &topics));
        match asking.await {
            Ok(Ok(committed)) => Ok(committed),
            Ok(Err(error)) => {
                // A client may have lost sight of its brokers for good: the next one begins with those of the configuration.
                self.client = None;
                Err(format!("the committed offsets cannot be read: {error}"))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn connect(&self) -> Result<BaseConsumer, String> {
        client::base(&self.config)
            .set("group.id", &self.config.group)
            .set("enable.auto.commit", "false")
            // What makes the client wait for an open transaction's offsets.
            .set("isolation.level", "read_committed")
            .create()
            .map_err(|error| refusal::of_client(&error))
    }
}

fn offsets(
    client: &BaseConsumer,
    topics: &[String],
) -> Result<Vec<(TopicPartition, Option<i64>)>, KafkaError> {
    let mut partitions = Vec::new();
    let mut wanted = TopicPartitionList::new();
    for name in topics {
        let metadata = client.fetch_metadata(Some(name), PATIENCE)?;
        let topic: Arc<str> = Arc::from(&**name);
        for partition in metadata
            .topics()
            .iter()
            .flat_map(|topic| topic.partitions())
        {
            wanted.add_partition(name, partition.id());
            partitions.push(TopicPartition {
                topic: Arc::clone(&topic),
                partition: partition.id(),
            });
        }
    }
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let found = client.committed_offsets(wanted, PATIENCE)?;
    let offset = |partition: &TopicPartition| {
        let place = found.find_partition(&partition.topic, partition.partition)?;
        match place.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    };
    Ok(partitions
        .into_iter()
        .map(|partition| {
            let offset = offset(&partition);
            (partition, offset)
        })
        .collect())
}
