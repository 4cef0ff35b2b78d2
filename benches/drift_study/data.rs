//! The labelled texts of the study, and which part of them serves for what.

use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};
use tidewatch::train::data;
use tidewatch::train::escape::Escape;
use tidewatch::train::recipe::{Labels, Source, TextOptions};

/// The classes, in the order of the model's outputs.
pub const LABELS: [&str; 3] = ["negative", "neutral", "positive"];
/// Tweets from then on are the later ones.
const LATER: &str = "2015-10-01T00:00:00Z";

/// Those from then on are of one stretch of time, three months.
const RECENT: &str = "2015-07-01T00:00:00Z";

/// A labelled text.
#[derive(Debug, Clone)]
pub struct Text {
    pub text: String,
    /// Index in [`LABELS`]; none for generated ones.
    pub truth: Option<usize>,
    /// In milliseconds since 1970; where it is not known, 0.
    pub time: i64,
    pub id: String,
}

/// SemEval's tweets, each in one part.
#[derive(Debug, Default)]
pub struct Tweets {
    /// Half of those before October 2015: what the model is trained on.
    pub train: Vec<Text>,
    /// A quarter: what it is calibrated on, and the baseline.
    pub held_out: Vec<Text>,
    /// The other quarter: what no part of the detector has seen.
    pub unseen: Vec<Text>,
    /// Those from October 2015 on.
    pub later: Vec<Text>,
}

impl Tweets {
    /// Reads them, as for the default model, and divides them by a hash of the id.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let source = r#"{"path": "semeval-tweets", "format": "tsv", "time": "snowflake",
            "columns": {"id": 0, "label": 1, "text": 2}}"#;
        let later = DateTime::parse_from_rfc3339(LATER)?.with_timezone(&Utc);
        let mut tweets = Self::default();
        for text in read(folder, source)? {
            let part = if text.time >= later.timestamp_millis() {
                &mut tweets.later
            } else {
                match quarter(&text.id) {
                    0 | 1 => &mut tweets.train,
                    2 => &mut tweets.held_out,
                    _ => &mut tweets.unseen,
                }
            };
            part.push(text);
        }
        Ok(tweets)
    }
}

/// Since when a baseline is a recent one, in milliseconds since 1970.
pub fn recent() -> anyhow::Result<i64> {
    Ok(DateTime::parse_from_rfc3339(RECENT)?.timestamp_millis())
}

/// Tweets to airlines.
pub fn airline(folder: &Path) -> anyhow::Result<Vec<Text>> {
    let source = r#"{"path": "airline-tweets/tweets.csv", "format": "csv", "header": true,
        "columns": {"id": "tweet_id", "label": "airline_sentiment", "text": "text"}}"#;
    read(folder, source)
}

/// Sentences of film reviews, of which the two grades on either side are one class.
pub fn films(folder: &Path) -> anyhow::Result<Vec<Text>> {
    let mut texts = Vec::new();
    for name in ["sst/fine.train.txt", "sst/fine.dev.txt"] {
        let path = folder.join(name);
        let lines = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        for line in lines.lines() {
            let Some((grade, text)) = line.split_once(' ') else {
                continue;
            };
            let truth = match grade {
                "0" | "1" => 0,
                "2" => 1,
                _ => 2,
            };
            texts.push(Text {
                text: text.to_owned(),
                truth: Some(truth),
                time: 0,
                id: String::new(),
            });
        }
    }
    Ok(texts)
}

/// Writes train.jsonl and held-out.jsonl, the files of recipes/drift-study.toml.
pub fn write_parts(folder: &Path, out: &Path) -> anyhow::Result<()> {
    let tweets = Tweets::read(folder)?;
    std::fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    for (name, texts) in [
        ("train.jsonl", &tweets.train),
        ("held-out.jsonl", &tweets.held_out),
    ] {
        let mut lines = String::new();
        for text in texts {
            let label = text.truth.map(|truth| LABELS[truth]);
            let line = json!({"id": text.id, "label": label, "text": text.text});
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        let path = out.join(name);
        std::fs::write(&path, lines)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        eprintln!("drift_study: {} texts in {}", texts.len(), path.display());
    }
    Ok(())
}

fn read(folder: &Path, source: &str) -> anyhow::Result<Vec<Text>> {
    let source: Source = serde_json::from_str(source)?;
    let labels = Labels {
        names: LABELS.map(String::from).to_vec(),
        map: Default::default(),
    };
    let options = TextOptions {
        unescape: vec![Escape::Unicode, Escape::Html],
    };
    let read = data::read(&[source], &labels, &options, folder)?;
    let text = |example: data::Example| Text {
        truth: Some(example.label as usize),
        time: example.time.map_or(0, |time| time.timestamp_millis()),
        id: example.id.unwrap_or_default(),
        text: example.text,
    };
    Ok(read.examples.into_iter().map(text).collect())
}

/// 0 to 3, by a hash of the id.
fn quarter(id: &str) -> u8 {
    Sha256::digest(id.as_bytes())[0] >> 6
}
