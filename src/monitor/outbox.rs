//! Reports on their way to Kafka.

use std::time::Duration;

use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use crate::pipeline::client;
use crate::pipeline::config::KafkaConfig;
use crate::refusal;
use crate::store::Store;

/// How long a report may take to arrive; after that it is tried again with the next look.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends what stands in Postgres and has not reached Kafka. A report whose confirmation is lost is sent again: its key is its
/// id, by which a reader tells.
pub(super) struct Reports {
    config: KafkaConfig,
    topic: String,
    producer: Option<FutureProducer>,
}

impl Reports {
    pub(super) fn new(config: KafkaConfig, topic: String) -> Self {
        Self {
            config,
            topic,
            producer: None,
        }
    }

    pub(super) async fn send(&mut self, store: &Store) -> Result<(), String> {
        if self.topic.is_empty() {
            return Ok(());
        }
        let reports = store
            .unsent_reports()
            .await
            .map_err(|error| error.to_string())?;
        for report in reports {
            let producer = match &self.producer {
                Some(producer) => producer,
                None => self.producer.insert(self.connect()?),
            };
            let body = report.report.to_string();
            let record = FutureRecord::to(&self.topic).key(&report.id).payload(&body);
            if let Err((error, _)) = producer.send(record, Timeout::After(PATIENCE)).await {
                self.producer = None;
                return Err(format!(
                    "a report cannot be sent to {}: {error}",
                    self.topic
                ));
            }
            store
                .report_sent(&report.id)
                .await
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn connect(&self) -> Result<FutureProducer, String> {
        client::base(&self.config)
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            .create()
            .map_err(|error| refusal::of_client(&error))
    }
}
