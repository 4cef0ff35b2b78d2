//! Tests of the whole: cells in, events out.

mod airlines;
mod flat;
mod life;
mod normals;
mod properties;
mod rules;
mod storage;

use std::sync::Arc;

use super::synthetic::HOUR;
use super::*;

const LABELS: [&str; 3] = ["negative", "neutral", "positive"];
/// A Monday's midnight, in hours since the epoch.
const START: i64 = 4 * 24;

fn config(rules: &str) -> AlertsConfig {
    let head = "enabled = true\ntopic = ''\nstep_minutes = 10\nutc_offset_hours = 0\ndays_per_false_alert = 100\nmax_series = 50\n\
                retention_days = 90\n";
    let config: AlertsConfig = toml::from_str(&format!("{head}{rules}")).unwrap();
    config.check().unwrap();
    config
}

fn labels() -> Vec<Arc<str>> {
    LABELS.map(Into::into).to_vec()
}

/// A book with one rule, of the lines given beside its name.
fn book(rule: &str) -> Book {
    Book::new(&config(&format!("[[rule]]\nname = 'r'\n{rule}")), &labels()).unwrap()
}

fn key() -> SeriesKey {
    SeriesKey::new(None, Some("delta"))
}

/// A cell of one hour after [`START`], every message a text and an author of its own.
fn cell(hour: i64, negative: u64, others: u64) -> Cell {
    let count = |texts| Count {
        messages: texts,
        texts,
        authors: texts,
    };
    Cell {
        key: key(),
        start: (START + hour) * HOUR,
        counts: [negative, others, 0].map(count).to_vec(),
        score: -(negative as f64),
    }
}

/// Feeds hours of a hundred messages with so many negative ones.
fn feed(book: &mut Book, hours: std::ops::Range<i64>, negative: u64) -> Vec<Event> {
    hours
        .flat_map(|hour| book.observe(&cell(hour, negative, 100 - negative)))
        .collect()
}

fn statuses(events: &[Event]) -> Vec<Status> {
    events
        .iter()
        .map(|event| event.status)
        .filter(|status| *status != Status::Updated)
        .collect()
}
