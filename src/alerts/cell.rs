//! What the service counts: messages of a series by label, within a short step of event time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::Level;

/// Which messages a series holds: all of the feed, those of a source, of a subject, or of a subject within a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    /// The source, where the series is of one.
    pub source: Option<Arc<str>>,
    /// The subject, where the series is of one.
    pub subject: Option<Arc<str>>,
}

impl SeriesKey {
    /// The key of a source, a subject, both or neither.
    #[must_use]
    pub fn new(source: Option<&str>, subject: Option<&str>) -> Self {
        Self {
            source: source.map(Arc::from),
            subject: subject.map(Arc::from),
        }
    }

    /// What kind of series it is.
    #[must_use]
    pub fn level(&self) -> Level {
        match (&self.source, &self.subject) {
            (None, None) => Level::Overall,
            (Some(_), None) => Level::Source,
            (None, Some(_)) => Level::Subject,
            (Some(_), Some(_)) => Level::SourceSubject,
        }
    }
}

/// Messages of one label in one cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Messages, copies included.
    pub messages: u64,
    /// Distinct texts, each counted in the cell where the series first had it that day.
    pub texts: u64,
    /// Distinct authors, each counted in the cell where the series first had them that day. A series in which no author was
    /// ever counted is one whose authors are not known; in any other 0 means that nobody new has spoken.
    pub authors: u64,
}

/// Messages of one series within a step of event time of an hour at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Whose they are.
    pub key: SeriesKey,
    /// First moment of the step, in milliseconds since the epoch.
    pub start: i64,
    /// One count for each label, in the order of the labels given to the book.
    pub counts: Vec<Count>,
    /// Sum of the scores (-1 to 1) of the texts that count: a text that is new that day, by an author who is new that day
    /// where authors are known. Neither copies nor one author's flood must weigh.
    pub score: f64,
}
