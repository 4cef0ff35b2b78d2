//! Labels that people give, taken in.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Lease, Store, StoreError, clean, leases};
use crate::labels::{Label, LabelFault, Reference};
use crate::record::{Origin, TopicPartition};

/// What was read of the topic of labels.
#[derive(Debug, Default)]
pub struct LabelIntake {
    pub labels: Vec<Label>,
    pub rejected: Vec<RejectedLabel>,
    /// Up to where each partition has been read.
    pub next: Vec<(TopicPartition, i64)>,
    /// There may be more at once.
    pub more: bool,
}

/// A label that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedLabel {
    pub reason: LabelFault,
    pub detail: String,
    /// The beginning of the record.
    pub payload: Option<Vec<u8>>,
}

impl Store {
    /// Keeps labels from wherever; the watch finds their messages and counts them.
    ///
    /// # Errors
    ///
    /// The database does not answer; what was kept is then not known.
    pub async fn add_labels(&self, labels: &[Label]) -> Result<(), StoreError> {
        insert(&mut *self.pool.acquire().await?, labels).await
    }

    /// Keeps what was read of the topic of labels together with the positions, if the lease is still held; `false` where it is
    /// not, and nothing was written. So each record counts once, whoever reads it.
    ///
    /// # Errors
    ///
    /// The database does not answer; whether it was written is then to be read again.
    pub async fn take_labels(
        &self,
        lease: &Lease,
        intake: &LabelIntake,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !leases::hold(&mut transaction, lease).await? {
            return Ok(false);
        }
        insert(&mut transaction, &intake.labels).await?;
        reject(&mut transaction, &intake.rejected).await?;
        super::drift::advance(&mut transaction, &intake.next).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Removes labels and labelled messages that came before.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn trim_labels(&self, before: DateTime<Utc>) -> Result<(), StoreError> {
        for statement in [
            sqlx::query!("DELETE FROM labels WHERE received_at < $1", before),
            sqlx::query!(
                r#"DELETE FROM labelled_messages m WHERE labelled_at < $1 AND NOT EXISTS
                   (SELECT FROM labels l WHERE l.matched AND l.topic = m.topic AND l."partition" = m."partition"
                       AND l."offset" = m."offset")"#,
                before
            ),
            sqlx::query!("DELETE FROM rejected_labels WHERE rejected_at < $1", before),
        ] {
            statement.execute(&self.pool).await?;
        }
        Ok(())
    }
}

async fn insert(connection: &mut PgConnection, labels: &[Label]) -> Result<(), StoreError> {
    if labels.is_empty() {
        return Ok(());
    }
    let place = |label: &Label| match &label.message {
        Reference::Place(origin) => Some(origin.clone()),
        Reference::Id { .. } => None,
    };
    let places: Vec<Option<Origin>> = labels.iter().map(place).collect();
    let ids: Vec<Option<Cow<'_, str>>> = labels
        .iter()
        .map(|label| match &label.message {
            Reference::Id { id, .. } => Some(clean::name(id)),
            Reference::Place(_) => None,
        })
        .collect();
    let topics: Vec<Option<Cow<'_, str>>> = labels
        .iter()
        .map(|label| match &label.message {
            Reference::Place(origin) => Some(clean::text(&origin.topic)),
            Reference::Id { topic, .. } => topic.as_deref().map(clean::text),
        })
        .collect();
    let partitions: Vec<Option<i32>> = places
        .iter()
        .map(|place| Some(place.as_ref()?.partition))
        .collect();
    let offsets: Vec<Option<i64>> = places
        .iter()
        .map(|place| Some(place.as_ref()?.offset))
        .collect();
    let names: Vec<Cow<'_, str>> = labels
        .iter()
        .map(|label| clean::name(&label.label))
        .collect();
    let annotators: Vec<Cow<'_, str>> = labels
        .iter()
        .map(|label| clean::name(&label.annotator))
        .collect();
    let samplings: Vec<&str> = labels.iter().map(|label| label.sampling.as_str()).collect();
    let times: Vec<DateTime<Utc>> = labels
        .iter()
        .map(|label| clean::time(label.given_at))
        .collect();
    sqlx::query!(
        r#"INSERT INTO labels (topic, "partition", "offset", message_id, label, annotator, sampling, given_at)
           SELECT topic, number, position, message_id, label, annotator, sampling, given_at
             FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::timestamptz[]) WITH ORDINALITY
                  AS given (topic, number, position, message_id, label, annotator, sampling, given_at, place)
            ORDER BY place"#,
        topics as _,
        partitions as _,
        offsets as _,
        ids as _,
        names as _,
        annotators as _,
        samplings as _,
        &times,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps what is no label, or none that can be used.
pub(super) async fn reject(
    connection: &mut PgConnection,
    rejected: &[RejectedLabel],
) -> Result<(), StoreError> {
    for label in rejected {
        let payload = label.payload.as_deref();
        sqlx::query!(
            "INSERT INTO rejected_labels (reason, detail, payload) VALUES ($1, $2, $3)",
            label.reason.as_str(),
            &*clean::text(&label.detail),
            payload,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Removes single labels.
pub(super) async fn forget(connection: &mut PgConnection, ids: &[i64]) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM labels WHERE id = ANY ($1)", ids)
        .execute(connection)
        .await?;
    Ok(())
}
