//! Posts on their way to cells: counted by step of event time until the watermark has passed, each text and each author once a
//! day.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{Hash, Hasher};

use super::{Cell, Count, Level, SeriesKey};
use crate::record::TopicPartition;
use crate::watermark::Watermark;

const DAY: i64 = 86_400_000;
/// Texts and authors remembered in a generation. Two generations are kept; a copy that comes later than the two hold counts
/// again.
const MOST_SEEN: usize = 400_000;
/// A post so far behind what is complete says nothing of where a feed begins.
const RECENT: i64 = 6 * 3_600_000;
/// Cells that wait at most; beyond, the earliest leave whatever the watermark says.
const MOST_CELLS: usize = 200_000;

/// A scored message, as far as alerts look at it.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// When it was written, in milliseconds since 1970.
    pub time: i64,
    /// Empty where the message does not say; the subject likewise.
    pub source: &'a str,
    pub subject: &'a str,
    /// Equal for copies of a text.
    pub print: u64,
    /// None where the message does not say.
    pub author: Option<u64>,
    /// Index of the predicted label.
    pub label: usize,
    /// From -1 to 1.
    pub score: f64,
}

/// Counts posts by series and step.
#[derive(Debug)]
pub struct Gathering {
    /// Length of a step in milliseconds.
    step: i64,
    levels: Vec<Level>,
    labels: usize,
    watermark: Watermark,
    open: BTreeMap<(i64, SeriesKey), Cell>,
    /// Of the open ones, those that changed since they were last asked for.
    touched: BTreeSet<(i64, SeriesKey)>,
    seen: Seen,
}

impl Gathering {
    /// Counts for series of these levels, by `labels` labels, in steps of `step` milliseconds.
    #[must_use]
    pub fn new(levels: Vec<Level>, labels: usize, step: i64, watermark: Watermark) -> Self {
        Self {
            step: step.max(1),
            levels,
            labels,
            watermark,
            open: BTreeMap::new(),
            touched: BTreeSet::new(),
            seen: Seen::new(MOST_SEEN),
        }
    }

    /// Goes on with a cell that was open.
    pub fn restore(&mut self, cell: Cell) {
        self.open.insert((cell.start, cell.key.clone()), cell);
    }

    /// There is such a partition: it is waited for, unless it stays silent.
    pub fn expect(&mut self, partition: &TopicPartition, now: i64) {
        self.watermark.expect(partition, now);
    }

    /// Counts a post that has come at the time `now`.
    pub fn push(&mut self, partition: &TopicPartition, post: Post<'_>, now: i64) {
        if post.label >= self.labels {
            return;
        }
        self.watermark.hear(partition, post.time, now);
        let start = post.time.div_euclid(self.step) * self.step;
        let day = post.time.div_euclid(DAY);
        for level in &self.levels {
            let Some(key) = level.key(post.source, post.subject) else {
                continue;
            };
            let is_new_text = self.seen.is_new((0_u8, &key, day, post.print));
            let author = post.author.unwrap_or(post.print);
            let is_new_author = self.seen.is_new((1_u8, &key, day, author));
            let at = (start, key);
            let cell = self.open.entry(at.clone()).or_insert_with(|| Cell {
                key: at.1.clone(),
                start,
                counts: vec![Count::default(); self.labels],
                score: 0.0,
            });
            let count = &mut cell.counts[post.label];
            count.messages += 1;
            count.texts += u64::from(is_new_text);
            count.authors += u64::from(is_new_author);
            // An author's flood must not move the mean.
            if is_new_text && is_new_author {
                cell.score += post.score;
            }
            self.touched.insert(at);
        }
    }

    /// Takes the cells whose step is over at the time `now`, in the order of their steps.
    pub fn close(&mut self, now: i64) -> Vec<Cell> {
        let due = self.watermark.due(now);
        let mut closed = Vec::new();
        while let Some(entry) = self.open.first_entry() {
            let is_over = entry.key().0.saturating_add(self.step) <= due;
            if !is_over && self.open.len() <= MOST_CELLS {
                break;
            }
            let Some((at, cell)) = self.open.pop_first() else {
                break;
            };
            self.touched.remove(&at);
            closed.push(cell);
        }
        closed
    }

    /// Takes all cells that are left: nothing more will come.
    pub fn end(&mut self) -> Vec<Cell> {
        self.touched.clear();
        std::mem::take(&mut self.open).into_values().collect()
    }

    /// The open cells that changed since the last call.
    pub fn changed(&mut self) -> Vec<&Cell> {
        let touched = std::mem::take(&mut self.touched);
        touched.iter().filter_map(|at| self.open.get(at)).collect()
    }

    /// Up to which event time cells have left, if anything has been heard. Where everybody is silent, event time goes on with the
    /// clock.
    #[must_use]
    pub fn reached(&self, now: i64) -> Option<i64> {
        let newest = self.watermark.newest()?;
        let due = self.watermark.due(now);
        if due == i64::MAX {
            let silent = now.saturating_sub(self.watermark.heard().unwrap_or(now));
            return Some(newest.saturating_add(silent));
        }
        Some(due.min(newest))
    }

    /// Where the cells that are complete at the time `now` begin, but for those far behind what is complete. (Not behind the newest
    /// post: a partition may be ahead of the others by more.)
    #[must_use]
    pub fn begins(&self, now: i64) -> Option<i64> {
        let due = self.watermark.due(now);
        let recent = due.min(self.watermark.newest()?).saturating_sub(RECENT);
        self.open
            .keys()
            .map(|(start, _)| *start)
            .find(|start| *start >= recent && start.saturating_add(self.step) <= due)
    }
}

/// What was seen lately, in bounded memory: when a generation is full, the one before it is forgotten.
#[derive(Debug)]
struct Seen {
    most: usize,
    current: HashSet<u64>,
    previous: HashSet<u64>,
}

impl Seen {
    fn new(most: usize) -> Self {
        Self {
            most,
            current: HashSet::new(),
            previous: HashSet::new(),
        }
    }

    fn is_new(&mut self, what: impl Hash) -> bool {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let hash = hasher.finish();
        if self.current.contains(&hash) {
            return false;
        }
        if self.current.len() >= self.most {
            self.previous = std::mem::take(&mut self.current);
        }
        self.current.insert(hash);
        !self.previous.contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition {
            topic: Arc::from("posts"),
            partition: number,
        }
    }

    fn gathering() -> Gathering {
        Gathering::new(
            vec![Level::Overall, Level::Subject],
            2,
            100,
            Watermark::new(10, 1_000),
        )
    }

    fn post(time: i64, subject: &str, print: u64, author: u64) -> Post<'_> {
        Post {
            time,
            source: "x",
            subject,
            print,
            author: Some(author),
            label: 1,
            score: 0.5,
        }
    }

    #[test]
    fn a_step_is_complete_when_the_watermark_has_passed_its_end() {
        let mut gathering = gathering();
        gathering.push(&partition(0), post(50, "tea", 1, 1), 0);
        gathering.push(&partition(0), post(105, "tea", 2, 2), 0);
        assert_eq!(gathering.close(0), []);
        gathering.push(&partition(0), post(110, "", 3, 3), 0);
        let closed = gathering.close(0);
        let said: Vec<_> = closed
            .iter()
            .map(|cell| (cell.start, cell.key.subject.as_deref(), cell.counts[1]))
            .collect();
        let one = Count {
            messages: 1,
            texts: 1,
            authors: 1,
        };
        assert_eq!(said, [(0, None, one), (0, Some("tea"), one)]);
        assert_eq!(
            gathering.changed().len(),
            2,
            "the post without a subject counts overall alone"
        );
        assert_eq!(gathering.changed().len(), 0);
    }

    #[test]
    fn a_feed_begins_though_one_partition_is_days_ahead() {
        let mut gathering = gathering();
        gathering.push(&partition(0), post(5 * DAY, "tea", 1, 1), 0);
        gathering.push(&partition(1), post(50, "tea", 2, 2), 0);
        assert_eq!(gathering.begins(0), None, "no step is over in both");
        gathering.push(&partition(1), post(150, "tea", 3, 3), 0);
        assert_eq!(gathering.begins(0), Some(0));
    }

    #[test]
    fn a_feed_begins_where_its_recent_posts_do_and_time_goes_on_when_it_falls_silent() {
        let mut gathering = gathering();
        assert_eq!((gathering.begins(0), gathering.reached(0)), (None, None));
        gathering.push(&partition(0), post(50, "tea", 1, 1), 0);
        gathering.push(&partition(0), post(DAY + 150, "tea", 2, 2), 0);
        assert_eq!(
            gathering.begins(0),
            None,
            "the step of the recent one is not over"
        );
        gathering.push(&partition(0), post(DAY + 250, "tea", 3, 3), 0);
        assert_eq!(gathering.begins(0), Some(DAY + 100));
        assert_eq!(gathering.reached(0), Some(DAY + 240));
        assert_eq!(gathering.reached(5_000), Some(DAY + 5_250));
    }

    #[test]
    fn copies_and_authors_count_once_a_day_in_each_series() {
        let mut gathering = gathering();
        for _ in 0..3 {
            gathering.push(&partition(0), post(10, "tea", 7, 1), 0);
        }
        gathering.push(&partition(0), post(20, "tea", 8, 1), 0);
        gathering.push(&partition(0), post(DAY + 10, "tea", 7, 1), 0);
        let closed = gathering.close(5_000);
        let tea: Vec<Count> = closed
            .iter()
            .filter(|cell| cell.key.subject.is_some())
            .map(|cell| cell.counts[1])
            .collect();
        assert_eq!(
            tea,
            [
                Count {
                    messages: 4,
                    texts: 2,
                    authors: 1
                },
                Count {
                    messages: 1,
                    texts: 1,
                    authors: 1
                }
            ]
        );
    }

    #[test]
    fn what_is_seen_is_forgotten_by_generations() {
        let mut seen = Seen::new(2);
        assert!(seen.is_new(1) && seen.is_new(2));
        assert!(!seen.is_new(1));
        assert!(seen.is_new(3), "begins the next generation");
        assert!(!seen.is_new(2), "the one before is still known");
        assert!(seen.is_new(4));
        assert!(seen.is_new(1), "and now is not");
    }
}
