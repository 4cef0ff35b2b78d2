//! One row for each message that could not be scored.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::config::TextStorage;
use super::keys::Keys;
use super::{StoreError, clean, slices};
use crate::record::DeadLetter;

/// Most bytes kept of an original value, or of a key; the whole value goes to the dead-letter topic.
const MAX_KEPT: usize = 1 << 20;

/// Inserts the rows; none of them may be there yet.
pub(super) async fn insert(
    connection: &mut PgConnection,
    letters: &[&DeadLetter],
    storage: TextStorage,
) -> Result<(), StoreError> {
    for part in slices::bounded(letters, |letter| kept(payload(letter)).len()) {
        insert_part(connection, part, storage).await?;
    }
    Ok(())
}

async fn insert_part(
    connection: &mut PgConnection,
    letters: &[&DeadLetter],
    storage: TextStorage,
) -> Result<(), StoreError> {
    let keys: Keys<'_> = letters.iter().map(|letter| &letter.raw).collect();
    let reason: Vec<&str> = letters
        .iter()
        .map(|letter| letter.reason.as_str())
        .collect();
    let detail: Vec<Cow<'_, str>> = letters
        .iter()
        .map(|letter| clean::text(&letter.detail))
        .collect();
    let bytes: Vec<i64> = letters
        .iter()
        .map(|letter| i64::try_from(payload(letter).len()).unwrap_or(i64::MAX))
        .collect();
    let key: Vec<Option<&[u8]>> = letters
        .iter()
        .map(|letter| letter.raw.key.as_deref().map(kept))
        .collect();
    // An original value holds the text, so what is kept of it follows what is kept of texts.
    let values = || letters.iter().map(|letter| letter.raw.payload.as_deref());
    let value: Vec<Option<&[u8]>> = values()
        .map(|value| value.filter(|_| storage == TextStorage::Full).map(kept))
        .collect();
    let hash: Vec<Option<[u8; 32]>> = values()
        .map(|value| {
            value
                .filter(|_| storage != TextStorage::None)
                .map(|value| Sha256::digest(value).into())
        })
        .collect();
    sqlx::query!(
        r#"INSERT INTO dead_letters (topic, "partition", "offset", kafka_time, reason, detail, payload_bytes, key, payload,
                  payload_sha256)
           SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[],
                                $7::bigint[], $8::bytea[], $9::bytea[], $10::bytea[])"#,
        &keys.topic as _,
        &keys.partition,
        &keys.offset,
        &keys.kafka_time,
        reason as _,
        detail as _,
        &bytes,
        key as _,
        value as _,
        hash as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the rows with these keys, where there are any.
pub(super) async fn delete(
    connection: &mut PgConnection,
    keys: &Keys<'_>,
) -> Result<(), StoreError> {
    let Some((first, last)) = keys.times() else {
        return Ok(());
    };
    sqlx::query!(
        r#"DELETE FROM dead_letters held
            USING unnest($1::text[], $2::integer[], $3::bigint[], $4::timestamptz[])
                  AS key (topic, number, position, kafka_time)
            WHERE held.topic = key.topic AND held."partition" = key.number
              AND held."offset" = key.position AND held.kafka_time = key.kafka_time
              AND held.kafka_time BETWEEN $5 AND $6"#,
        &keys.topic as _,
        &keys.partition,
        &keys.offset,
        &keys.kafka_time,
        first,
        last,
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn payload(letter: &DeadLetter) -> &[u8] {
    letter.raw.payload.as_deref().unwrap_or_default()
}

fn kept(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(MAX_KEPT)]
}
