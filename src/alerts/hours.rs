//! A series' counts of the last hours, on which changes are looked for, before they are learnt from.

use super::cell::Cell;

/// Counts of one hour.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Hour {
    /// Hours since the epoch, in local time.
    #[prost(sint64, tag = "1")]
    pub index: i64,
    /// For each label the distinct texts that count: of an author only as many as there are authors.
    #[prost(uint32, repeated, tag = "2")]
    pub counted: Vec<u32>,
    /// Sum of the scores of the texts that count.
    #[prost(float, tag = "3")]
    pub score: f32,
    /// Distinct texts of any label.
    #[prost(uint32, tag = "4")]
    pub texts: u32,
    #[prost(uint32, tag = "5")]
    pub messages: u32,
    #[prost(uint32, tag = "6")]
    pub authors: u32,
}

impl Hour {
    pub fn empty(index: i64, labels: usize) -> Self {
        Self {
            index,
            counted: vec![0; labels],
            ..Self::default()
        }
    }

    /// A cell's counts, as an hour's. Without known authors the texts alone count.
    pub fn of(cell: &Cell, index: i64, labels: usize, authors_known: bool) -> Self {
        let mut hour = Self::empty(index, labels);
        for (counted, count) in hour.counted.iter_mut().zip(&cell.counts) {
            let texts = if authors_known {
                count.texts.min(count.authors)
            } else {
                count.texts
            };
            *counted = short(texts);
            hour.texts = hour.texts.saturating_add(short(count.texts));
            hour.messages = hour.messages.saturating_add(short(count.messages));
            hour.authors = hour.authors.saturating_add(short(count.authors));
        }
        let most = hour.texts_that_count();
        hour.score = if cell.score.is_finite() {
            cell.score.clamp(-most, most) as f32
        } else {
            0.0
        };
        hour
    }

    pub fn add(&mut self, other: &Self) {
        for (counted, more) in self.counted.iter_mut().zip(&other.counted) {
            *counted = counted.saturating_add(*more);
        }
        self.score += other.score;
        self.texts = self.texts.saturating_add(other.texts);
        self.messages = self.messages.saturating_add(other.messages);
        self.authors = self.authors.saturating_add(other.authors);
    }

    /// Texts that count, of any label.
    pub fn texts_that_count(&self) -> f64 {
        self.counted.iter().map(|counted| f64::from(*counted)).sum()
    }

    /// Texts that count, and those with the label; for the mean score (target 0) the sum of scores moved to 0 to 1.
    pub fn share(&self, target: u32) -> (f64, f64) {
        let texts = self.texts_that_count();
        let hits = match (target as usize).checked_sub(1) {
            Some(label) => self.counted.get(label).copied().unwrap_or_default().into(),
            None => f64::midpoint(texts, self.score.into()),
        };
        (texts, hits)
    }
}

fn short(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
