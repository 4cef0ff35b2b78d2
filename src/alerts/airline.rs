//! The airline tweets of February 2015 as cells, by their true labels.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use chrono::DateTime;

use super::{Cell, Count, SeriesKey};

/// Labels in the order of the counts.
pub const LABELS: [&str; 3] = ["negative", "neutral", "positive"];

/// Cells of ten minutes for each airline, in the order of time.
pub fn cells(file: &Path, step: i64) -> Vec<Cell> {
    const DAY: i64 = 86_400_000;
    let mut reader = csv::Reader::from_path(file).expect("the file can be read");
    let header = reader.headers().expect("it has a header").clone();
    let column = |name: &str| {
        header
            .iter()
            .position(|column| column == name)
            .expect("it has the column")
    };
    let [airline, sentiment, created, name, text] = [
        "airline",
        "airline_sentiment",
        "tweet_created",
        "name",
        "text",
    ]
    .map(column);
    let mut tweets: Vec<(i64, String, usize, String, String)> = reader
        .records()
        .map(|row| {
            let row = row.expect("it is CSV");
            let time = DateTime::parse_from_str(&row[created], "%Y-%m-%d %H:%M:%S %z")
                .expect("it is a time");
            let label = LABELS
                .iter()
                .position(|label| *label == &row[sentiment])
                .expect("it is a label");
            (
                time.timestamp_millis(),
                row[airline].to_owned(),
                label,
                row[name].to_owned(),
                row[text].to_owned(),
            )
        })
        .collect();
    tweets.sort();
    let mut seen = HashSet::new();
    let mut cells: BTreeMap<(i64, String), Cell> = BTreeMap::new();
    for (time, airline, label, name, text) in tweets {
        let start = time.div_euclid(step) * step;
        let cell = cells
            .entry((start, airline.clone()))
            .or_insert_with(|| Cell {
                key: SeriesKey::new(None, Some(&airline)),
                start,
                counts: vec![Count::default(); LABELS.len()],
                score: 0.0,
            });
        let day = time.div_euclid(DAY);
        let count = &mut cell.counts[label];
        count.messages += 1;
        let new_text = seen.insert((day, airline.clone(), 't', text));
        let new_author = seen.insert((day, airline, 'a', name));
        count.texts += u64::from(new_text);
        count.authors += u64::from(new_author);
        if new_text && new_author {
            cell.score += label as f64 - 1.0;
        }
    }
    cells.into_values().collect()
}
