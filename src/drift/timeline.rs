//! Windows over time, as they are drawn: [`svg`] for a page, [`terminal`] for a screen of text.

use serde::{Deserialize, Serialize};

use super::rule::Verdict;

pub mod axis;
pub mod svg;
pub mod terminal;

/// A window as it is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When it starts, in milliseconds since 1970.
    pub start: i64,
    /// When it ends.
    pub end: i64,
    /// Messages in it.
    pub messages: u64,
    /// The p-value of its difference from the reference, if it was tested.
    pub p: Option<f64>,
    /// What was found.
    pub verdict: Verdict,
    /// Share of each label, in the labels' order.
    pub shares: Vec<f64>,
    /// An alarm was opened on it.
    pub alarm_opened: bool,
}

/// What a picture of windows says besides the windows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Legend<'a> {
    /// Its title.
    pub title: &'a str,
    /// The labels' names, in the order of [`Point::shares`].
    pub labels: &'a [String],
    /// The p-value below which there is an alarm.
    pub alarm: f64,
}

/// Digits of a p-value before they are cut: zero has no logarithm.
const MOST_DIGITS: f64 = 300.0;

/// Minus the decimal logarithm of a p-value: 3 for one in a thousand. None for what is no probability.
fn digits(p: f64) -> Option<f64> {
    // Without the addition 1 would become minus zero.
    (0.0..=1.0)
        .contains(&p)
        .then(|| (-p.log10()).min(MOST_DIGITS) + 0.0)
}

/// One column of a picture: windows next to each other, drawn as one.
#[derive(Debug, Clone, PartialEq)]
struct Column {
    start: i64,
    end: i64,
    /// The stretch of the axis that shows it: from where the columns before it end, so that windows that overlap do not hide
    /// each other.
    from: i64,
    to: i64,
    messages: u64,
    digits: Option<f64>,
    verdict: Verdict,
    shares: Option<Vec<f64>>,
    alarm_opened: bool,
    /// An alarm was open in it: opened in it or before, and no window since was found to be without drift.
    alarm_open: bool,
}

/// The windows in the order of time as at most `most` columns, each holding about as much time. A column shows the smallest
/// p-value and the worst verdict of its windows, and the shares of all their messages: an alarm is never lost by drawing it
/// small. Shares that are not numbers count as zero.
fn columns(points: &[Point], labels: usize, most: usize) -> Vec<Column> {
    let mut ordered: Vec<&Point> = points.iter().collect();
    // By their ends: a message that came late may put a window's start anywhere before.
    ordered.sort_by_key(|point| (point.end, point.start));
    let Some(first) = ordered.first() else {
        return Vec::new();
    };
    let first = first.start as f64;
    let last = ordered.iter().map(|point| point.end).max();
    let span = (last.unwrap_or_default() as f64 - first).max(1.0);
    let mut columns: Vec<Column> = Vec::new();
    let (mut open, mut last_slot, mut reached) = (false, None, i64::MIN);
    for point in &ordered {
        let begins = point.alarm_opened;
        open = begins || (open && point.verdict != Verdict::Ok);
        let mut column = column(point, labels, open);
        column.from = column.start.max(reached);
        column.to = column.end.max(column.from);
        reached = column.to;
        let slot = ((point.start as f64 - first) / span * most as f64) as usize;
        let crowded = ordered.len() > most && last_slot == Some(slot.min(most - 1));
        match columns.last_mut() {
            Some(previous) if crowded => previous.join(column),
            _ => columns.push(column),
        }
        last_slot = Some(slot.min(most - 1));
    }
    columns
}

fn column(point: &Point, labels: usize, alarm_open: bool) -> Column {
    let sound = |share: &f64| {
        if share.is_finite() {
            share.max(0.0)
        } else {
            0.0
        }
    };
    let mut shares: Vec<f64> = point.shares.iter().take(labels).map(sound).collect();
    shares.resize(labels, 0.0);
    let total: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= total);
    Column {
        start: point.start,
        end: point.end.max(point.start),
        from: point.start,
        to: point.end.max(point.start),
        messages: point.messages,
        digits: point.p.and_then(digits),
        verdict: point.verdict,
        shares: (total > 0.0 && total.is_finite()).then_some(shares),
        alarm_opened: point.alarm_opened,
        alarm_open,
    }
}

impl Column {
    fn join(&mut self, later: Self) {
        let (mine, theirs) = (self.messages as f64 + 1e-9, later.messages as f64 + 1e-9);
        self.shares = match (self.shares.take(), later.shares) {
            (Some(a), Some(b)) => {
                let mixed = a.iter().zip(&b);
                Some(
                    mixed
                        .map(|(a, b)| (a * mine + b * theirs) / (mine + theirs))
                        .collect(),
                )
            }
            (a, b) => a.or(b),
        };
        self.end = self.end.max(later.end);
        self.to = later.to;
        self.messages = self.messages.saturating_add(later.messages);
        self.digits = match (self.digits, later.digits) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self.verdict = self.verdict.max(later.verdict);
        self.alarm_opened |= later.alarm_opened;
        self.alarm_open |= later.alarm_open;
    }
}

/// The upper end of the scale of p-values: a fifth above the largest, and above the alarm's line.
fn top(columns: &[Column], alarm: f64) -> f64 {
    let line = digits(alarm).unwrap_or(0.0);
    let seen = columns.iter().filter_map(|column| column.digits);
    1.2 * seen.fold(line.max(1.0), f64::max)
}

/// How many messages there are in all, with spaces between the thousands.
fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests;
