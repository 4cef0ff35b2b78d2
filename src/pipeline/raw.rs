//! From the client's memory to a message of our own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chrono::DateTime;
use rdkafka::Timestamp;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message as _};

use crate::record::{Origin, RawMessage};

/// The message, without the client's memory behind it.
pub(super) fn detach(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> RawMessage {
    let milliseconds = match message.timestamp() {
        Timestamp::CreateTime(milliseconds) | Timestamp::LogAppendTime(milliseconds) => {
            milliseconds
        }
        Timestamp::NotAvailable => 0,
    };
    RawMessage {
        origin: Origin {
            topic: Arc::clone(topic),
            partition: message.partition(),
            offset: message.offset(),
        },
        kafka_time: DateTime::from_timestamp_millis(milliseconds).unwrap_or_default(),
        key: message.key().map(bytes::Bytes::copy_from_slice),
        headers: message.headers().map_or_else(Vec::new, readable),
        payload: message.payload().map(bytes::Bytes::copy_from_slice),
    }
}

/// The headers whose names can be read. The client panics on a name that is not UTF-8, which anybody may send; such a header
/// is nothing that is passed on.
fn readable(headers: &BorrowedHeaders) -> Vec<(String, Option<bytes::Bytes>)> {
    let read = |index| {
        let header = headers.get(index);
        (
            header.key.to_owned(),
            header.value.map(bytes::Bytes::copy_from_slice),
        )
    };
    (0..headers.count())
        .filter_map(|index| catch_unwind(AssertUnwindSafe(|| read(index))).ok())
        .collect()
}
