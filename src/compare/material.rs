//! What models are compared on, read from files.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::config::HeldOutConfig;
use super::rows::{Labelled, Reason, Rows};
use crate::gate::config::GateConfig;
use crate::gate::equity::Corpus;
use crate::labels::Sampling;
use crate::posts;

/// The fixed set; empty where none is configured.
///
/// # Errors
///
/// One sentence about the file that cannot be used.
pub fn fixed(config: &HeldOutConfig) -> Result<Rows, String> {
    if config.files.is_empty() {
        return Ok(Rows::default());
    }
    let posts = posts::load(&config.files, &config.options()?, &config.unescape);
    Ok(Rows::of_posts(posts.map_err(|error| error.to_string())?))
}

/// The Equity Evaluation Corpus, where one is configured.
///
/// # Errors
///
/// One sentence about the file that cannot be used.
pub fn corpus(config: &GateConfig) -> Result<Option<Corpus>, String> {
    let path = &config.equity;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let file = File::open(path).map_err(|error| {
        format!(
            "{} cannot be read ({error}); check --equity or [gate] equity",
            path.display()
        )
    })?;
    let corpus = Corpus::read(file).map_err(|error| error.to_string())?;
    Ok(Some(corpus))
}

/// A line of the file of messages that a training has held out.
#[derive(Deserialize)]
struct HeldOut {
    text: String,
    label: String,
    /// Empty where it is not known.
    time: String,
    source: Option<String>,
    subject: Option<String>,
    sampling: String,
    inclusion: Option<f64>,
}

/// Messages that a training has held out, as far as they were written at `from` or later.
///
/// With their inclusion probabilities each stands for so many messages as one over its own. Where none was picked by the queue,
/// those that were chosen by chance stand for themselves, and the others for nobody.
///
/// # Errors
///
/// One sentence, where the file is not what a training has written.
pub fn held_out(path: &Path, from: DateTime<Utc>) -> Result<Rows, String> {
    let fault = |error: String| format!("{} cannot be used: {error}", path.display());
    let file = File::open(path).map_err(|error| fault(error.to_string()))?;
    let mut lines = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|error| fault(error.to_string()))?;
        let line: HeldOut =
            serde_json::from_str(&line).map_err(|error| fault(error.to_string()))?;
        let time = DateTime::parse_from_rfc3339(&line.time).ok();
        if time.is_none_or(|time| time >= from) {
            lines.push(line);
        }
    }
    Ok(weighed(lines))
}

fn weighed(lines: Vec<HeldOut>) -> Rows {
    let are_picked = lines.iter().any(|line| line.inclusion.is_some());
    let mut rows = Rows::default();
    for line in lines {
        let by_chance = Sampling::named(&line.sampling) == Some(Sampling::Random);
        let weight = match line.inclusion {
            Some(inclusion) if inclusion > 0.0 => 1.0 / inclusion,
            None if by_chance && !are_picked => 1.0,
            _ => {
                rows.left_out.add(Reason::Chosen, 1);
                continue;
            }
        };
        rows.rows.push(Labelled {
            text: line.text,
            label: line.label,
            source: line.source,
            subject: line.subject,
            weight,
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sampling: &str, inclusion: Option<f64>) -> HeldOut {
        HeldOut {
            text: "fine".into(),
            label: "positive".into(),
            time: String::new(),
            source: None,
            subject: None,
            sampling: sampling.into(),
            inclusion,
        }
    }

    #[test]
    fn picked_messages_stand_for_one_over_their_chance_and_others_for_nobody() {
        let lines = vec![
            line("random", Some(0.25)),
            line("uncertain", Some(0.5)),
            line("random", None),
        ];
        let rows = weighed(lines);
        let weights: Vec<f64> = rows.rows.iter().map(|row| row.weight).collect();
        assert_eq!(weights, [4.0, 2.0]);
        assert_eq!(rows.left_out.0.get(&Reason::Chosen), Some(&1));
    }

    #[test]
    fn without_a_queue_those_chosen_by_chance_stand_for_themselves() {
        let rows = weighed(vec![line("random", None), line("uncertain", None)]);
        assert_eq!(rows.rows.len(), 1);
        assert_eq!(rows.left_out.0.get(&Reason::Chosen), Some(&1));
    }

    #[test]
    fn older_messages_are_left_out_and_a_strange_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("held-out.jsonl");
        let row = |time: &str| {
            format!(
                "{{\"id\":\"1\",\"text\":\"a\",\"label\":\"b\",\"time\":{time:?},\"source\":null,\"subject\":null,\"sampling\":\"random\",\"inclusion\":null}}\n"
            )
        };
        std::fs::write(
            &path,
            row("2020-01-01T00:00:00Z") + &row("2020-01-03T00:00:00Z") + &row(""),
        )
        .unwrap();
        let from = DateTime::parse_from_rfc3339("2020-01-02T00:00:00Z")
            .unwrap()
            .to_utc();
        assert_eq!(held_out(&path, from).unwrap().rows.len(), 2);
        std::fs::write(&path, "no line of ours\n").unwrap();
        assert!(
            held_out(&path, from)
                .unwrap_err()
                .contains("held-out.jsonl")
        );
    }
}
