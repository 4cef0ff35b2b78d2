//! What the arms of a rollout say of the same messages, or of their own: counted, and beside labels.

use chrono::DateTime;

use super::rollout::Rollout;
use super::{Store, StoreError};
use crate::rollout::sequential::Tally;

/// What the present stage of a rollout has brought. Of pairs the candidate comes first, then the other model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RolloutCounts {
    /// Messages that the candidate serves.
    pub served: u64,
    /// Messages that one of the models serves and the other has scored too.
    pub both: u64,
    /// Messages that the candidate has scored, serving or in shadow.
    pub messages: u64,
    /// Of [`RolloutCounts::both`], 1 where the labels are equal.
    pub agreement: Tally,
    /// Confidence in the predicted label: of messages that both have scored, where there are any; else of each arm's own.
    pub confidence: (Tally, Tally),
    /// For each class, in the order of the models' labels, which of the same messages were predicted to be of it.
    pub classes: Vec<(Tally, Tally)>,
}

/// Sums over messages of one label.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    messages: u64,
    confidence: f64,
}

/// Messages of one model by their label.
#[derive(Debug, Default)]
struct ByLabel(Vec<(String, Sum)>);

impl ByLabel {
    fn add(&mut self, label: String, messages: i64, confidence: f64) {
        let messages = messages.unsigned_abs();
        match self.0.iter_mut().find(|(known, _)| *known == label) {
            Some((_, sum)) => {
                sum.messages += messages;
                sum.confidence += confidence;
            }
            None => self.0.push((
                label,
                Sum {
                    messages,
                    confidence,
                },
            )),
        }
    }

    fn messages(&self) -> u64 {
        self.0.iter().map(|(_, sum)| sum.messages).sum()
    }

    fn confidence(&self) -> Tally {
        Tally {
            count: self.messages(),
            sum: self.0.iter().map(|(_, sum)| sum.confidence).sum(),
        }
    }

    fn class(&self, label: &str) -> Tally {
        let found = self.0.iter().find(|(known, _)| known == label);
        Tally::of(found.map_or(0, |(_, sum)| sum.messages), self.messages())
    }
}

impl Store {
    /// Counts what the present stage of a rollout has brought, from the rows written since it was entered.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn rollout_counts(&self, rollout: &Rollout) -> Result<RolloutCounts, StoreError> {
        let since = DateTime::from_timestamp_millis(rollout.state.entered_at).unwrap_or_default();
        let own = sqlx::query!(
            r#"SELECT m.version = $2 AS "by_candidate!", p.label, count(*) AS "messages!", sum(p.confidence::float8) AS "confidence!"
                 FROM predictions p JOIN models m ON m.id = p.model AND m.version IN ($2, $3)
                WHERE p.scored_at >= $1 GROUP BY 1, 2"#,
            since,
            rollout.candidate,
            rollout.champion,
        )
        .fetch_all(&self.pool)
        .await?;
        let (mut candidate, mut champion) = (ByLabel::default(), ByLabel::default());
        for row in own {
            let arm = if row.by_candidate {
                &mut candidate
            } else {
                &mut champion
            };
            arm.add(row.label, row.messages, row.confidence);
        }
        let pairs = sqlx::query!(
            r#"SELECT m.version = $3 AS "by_candidate!", s.label, s.served_label, count(*) AS "messages!",
                      sum(s.confidence::float8) AS "confidence!", sum(s.served_confidence::float8) AS "served_confidence!"
                 FROM shadow_predictions s
                 JOIN models m ON m.id = s.model AND m.version IN ($3, $4)
                 JOIN models v ON v.id = s.served AND v.version IN ($3, $4)
                WHERE s.rollout = $1 AND s.scored_at >= $2 GROUP BY 1, 2, 3"#,
            rollout.id,
            since,
            rollout.candidate,
            rollout.champion,
        )
        .fetch_all(&self.pool)
        .await?;
        let served = candidate.messages();
        let mut counts = RolloutCounts {
            served,
            messages: served,
            ..RolloutCounts::default()
        };
        let (mut equal, mut ours, mut theirs) = (0, ByLabel::default(), ByLabel::default());
        for row in pairs {
            let messages = row.messages.unsigned_abs();
            counts.both += messages;
            if row.label == row.served_label {
                equal += messages;
            }
            let shadow = (row.label, row.messages, row.confidence);
            let serving = (row.served_label, row.messages, row.served_confidence);
            let (one, other) = if row.by_candidate {
                counts.messages += messages;
                (shadow, serving)
            } else {
                (serving, shadow)
            };
            ours.add(one.0, one.1, one.2);
            theirs.add(other.0, other.1, other.2);
        }
        counts.agreement = Tally::of(equal, counts.both);
        if counts.both > 0 {
            (candidate, champion) = (ours, theirs);
        }
        counts.confidence = (candidate.confidence(), champion.confidence());
        let labels = self
            .labels_of(&rollout.candidate)
            .await?
            .unwrap_or_default();
        counts.classes = labels
            .iter()
            .map(|label| (candidate.class(label), champion.class(label)))
            .collect();
        Ok(counts)
    }
}
