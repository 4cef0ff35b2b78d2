//! How levels, states and directions are called in tables and texts.

use super::alert::Status;
use super::cell::SeriesKey;
use super::config::{AlertsConfig, Direction, Level};

impl Level {
    /// As it stands in the tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overall => "overall",
            Self::Source => "source",
            Self::Subject => "subject",
            Self::SourceSubject => "source_subject",
        }
    }

    /// The series of this kind that a message of this source and subject is in; none where it lacks the name.
    #[must_use]
    pub fn key(self, source: &str, subject: &str) -> Option<SeriesKey> {
        let (with_source, with_subject) = match self {
            Self::Overall => (false, false),
            Self::Source => (true, false),
            Self::Subject => (false, true),
            Self::SourceSubject => (true, true),
        };
        if with_source && source.is_empty() || with_subject && subject.is_empty() {
            return None;
        }
        Some(SeriesKey::new(
            with_source.then_some(source),
            with_subject.then_some(subject),
        ))
    }
}

impl Status {
    /// As it stands in the tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Updated => "updated",
            Self::Resolved => "resolved",
        }
    }
}

impl Direction {
    /// As it stands in the tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rise => "rise",
            Self::Fall => "fall",
            Self::Either => "either",
        }
    }
}

impl AlertsConfig {
    /// The kinds of series that some rule watches.
    #[must_use]
    pub fn levels(&self) -> Vec<Level> {
        [
            Level::Overall,
            Level::Source,
            Level::Subject,
            Level::SourceSubject,
        ]
        .into_iter()
        .filter(|level| self.rule.iter().any(|rule| rule.watch.contains(level)))
        .collect()
    }

    /// The length of a step in milliseconds.
    #[must_use]
    pub fn step(&self) -> i64 {
        i64::from(self.step_minutes) * 60_000
    }
}
