//! Labelled texts to compare on, and what was left out of them and why.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::labels::Sampling;
use crate::posts::Posts;
use crate::store::RecentMessage;

/// A text with the label that people gave it.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    pub text: String,
    /// By its name, whatever its case.
    pub label: String,
    pub source: Option<String>,
    pub subject: Option<String>,
    /// How many messages it stands for: 1 in a plain sample, else one over the chance with which it was chosen.
    pub weight: f64,
}

/// Why a text is not compared on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A line that gives no text, or lacks a field that was named.
    Malformed,
    /// Nobody gave it a label, or as many people another.
    NoLabel,
    /// Its label is none of the models'.
    OtherLabel,
    /// Its text is not kept.
    NoText,
    /// It was chosen for labelling because the model was unsure of it, and with what chance is not known.
    Chosen,
    /// It was written before the newest text that a model was trained on, so it may be one of these.
    Trained,
    /// A model failed on it.
    Unscorable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "lines that could not be used",
            Self::NoLabel => "without a label",
            Self::OtherLabel => "with a label that is none of the models'",
            Self::NoText => "without a kept text",
            Self::Chosen => "not chosen by chance",
            Self::Trained => "as old as what a model was trained on",
            Self::Unscorable => "that a model cannot score",
        })
    }
}

/// How many were left out for each reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut(pub BTreeMap<Reason, u64>);

impl LeftOut {
    pub(super) fn add(&mut self, reason: Reason, count: u64) {
        if count > 0 {
            *self.0.entry(reason).or_default() += count;
        }
    }

    /// Whether nothing was left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing was left out");
        }
        for (index, (reason, count)) in self.0.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{count} {reason}")?;
        }
        Ok(())
    }
}

/// Labelled texts, in an order of their own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    pub rows: Vec<Labelled>,
    pub left_out: LeftOut,
}

impl Rows {
    /// Those of a file, as far as they have a label.
    #[must_use]
    pub fn of_posts(posts: Posts) -> Self {
        let mut found = Self::default();
        found
            .left_out
            .add(Reason::Malformed, posts.malformed as u64);
        for post in posts.posts {
            let Some(label) = post.label else {
                found.left_out.add(Reason::NoLabel, 1);
                continue;
            };
            found.rows.push(Labelled {
                text: post.text,
                label,
                source: post.source,
                subject: post.subject,
                weight: 1.0,
            });
        }
        found
    }

    /// Recent messages that were labelled by chance, so that they stand for all, and that were written after the newest text
    /// either model was trained on, where that is known.
    #[must_use]
    pub fn of_recent(messages: Vec<RecentMessage>, trained: Option<DateTime<Utc>>) -> Self {
        let mut found = Self::default();
        for message in messages {
            let reason = if message.sampling != Sampling::Random {
                Reason::Chosen
            } else if trained.is_some_and(|newest| message.event_time <= newest) {
                Reason::Trained
            } else if let Some(label) = message.label {
                if let Some(text) = message.text {
                    found.rows.push(Labelled {
                        text,
                        label,
                        source: message.source,
                        subject: message.subject,
                        weight: 1.0,
                    });
                    continue;
                }
                Reason::NoText
            } else {
                Reason::NoLabel
            };
            found.left_out.add(reason, 1);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posts::Post;

    fn message(second: i64, label: Option<&str>, text: Option<&str>) -> RecentMessage {
        RecentMessage {
            event_time: DateTime::from_timestamp(second, 0).unwrap(),
            label: label.map(str::to_owned),
            sampling: Sampling::Random,
            source: None,
            subject: Some("coffee".into()),
            text: text.map(str::to_owned),
        }
    }

    #[test]
    fn recent_messages_count_that_were_chosen_by_chance_after_the_training() {
        let mut chosen = message(20, Some("positive"), Some("fine"));
        chosen.sampling = Sampling::Uncertain;
        let messages = vec![
            chosen,
            message(9, Some("positive"), Some("old")),
            message(10, Some("positive"), Some("as old")),
            message(11, Some("positive"), Some("new")),
            message(12, None, Some("two say two things")),
            message(13, Some("negative"), None),
        ];
        let trained = DateTime::from_timestamp(10, 0);
        let found = Rows::of_recent(messages.clone(), trained);
        let texts: Vec<&str> = found.rows.iter().map(|row| &*row.text).collect();
        assert_eq!(texts, ["new"]);
        let counts: Vec<_> = found.left_out.0.into_iter().collect();
        assert_eq!(
            counts,
            [
                (Reason::NoLabel, 1),
                (Reason::NoText, 1),
                (Reason::Chosen, 1),
                (Reason::Trained, 2)
            ]
        );
        assert_eq!(Rows::of_recent(messages, None).rows.len(), 3);
    }

    #[test]
    fn posts_without_a_label_and_lines_without_a_text_are_counted() {
        let post = |label: Option<&str>| Post {
            text: "fine".into(),
            event_time: None,
            author: None,
            source: None,
            subject: None,
            label: label.map(str::to_owned),
        };
        let found = Rows::of_posts(Posts {
            posts: vec![post(Some("Positive")), post(None)],
            malformed: 3,
        });
        assert_eq!(found.rows.len(), 1);
        assert_eq!(
            found.left_out.to_string(),
            "3 lines that could not be used, 1 without a label"
        );
        assert_eq!(LeftOut::default().to_string(), "nothing was left out");
    }
}
