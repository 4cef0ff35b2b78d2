//! Whether transactions can be opened.

use std::time::SystemTime;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{BaseProducer, Producer};

use super::{Line, Listener, PART, PATIENCE};
use crate::pipeline::client;
use crate::pipeline::config::KafkaConfig;

/// Opens an empty transaction and aborts it, under an id that no instance has.
pub(super) fn check(kafka: &KafkaConfig) -> Line {
    match open_and_abort(kafka) {
        Ok(()) => Line::ok(PART, "transactions can be opened"),
        Err(error)
            if error.rdkafka_error_code() == Some(Code::TransactionalIdAuthorizationFailed) =>
        {
            Line::fault(
                PART,
                format!(
                    "this user may not open transactions: grant it WRITE and DESCRIBE on transactional ids that begin with {}",
                    kafka.group
                ),
            )
        }
        Err(error) => Line::fault(
            PART,
            format!(
                "no transaction can be opened ({error}): on a cluster of fewer than three brokers set \
                 transaction.state.log.replication.factor and transaction.state.log.min.isr to their number, else look at \
                 the brokers' logs"
            ),
        ),
    }
}

fn open_and_abort(kafka: &KafkaConfig) -> Result<(), KafkaError> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let nanos = now.unwrap_or_default().as_nanos();
    let producer: BaseProducer<Listener> = client::base(kafka)
        .set(
            "transactional.id",
            format!("{}.check-{nanos:x}", kafka.group),
        )
        .create_with_context(Listener::default())?;
    producer.init_transactions(PATIENCE)?;
    producer.begin_transaction()?;
    producer.abort_transaction(PATIENCE)
}
