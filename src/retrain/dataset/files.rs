//! The chosen rows as files: JSON Lines, as `tidewatch-finetune` reads them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use super::Selection;
use super::error::DatasetError;
use super::rows::{HeldOutRow, Row};

/// Labelled messages to train on.
pub const FEEDBACK_FILE: &str = "feedback.jsonl";
/// Base rows to train on.
pub const BASE_FILE: &str = "base.jsonl";
/// Rows that validate.
pub const VALIDATION_FILE: &str = "validation.jsonl";
/// Labelled messages for the gate. The recipe does not name it.
pub const HELD_OUT_FILE: &str = "held-out.jsonl";
/// Rows to make the drift baseline of.
pub const BASELINE_FILE: &str = "baseline.jsonl";
/// Unlabelled texts.
pub const TEXTS_FILE: &str = "texts.jsonl";
/// What was chosen and what was left out.
pub const REPORT_FILE: &str = "report.json";

/// A row to train or validate with: `id`, `text`, `label` and `time`, which is empty where it is not known.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    text: &'a str,
    label: &'a str,
    time: String,
}

/// A row for the gate.
#[derive(Serialize)]
struct HeldOutLine<'a> {
    #[serde(flatten)]
    line: Line<'a>,
    source: Option<&'a str>,
    subject: Option<&'a str>,
    sampling: &'a str,
    inclusion: Option<f64>,
}

#[derive(Serialize)]
struct TextLine<'a> {
    text: &'a str,
}

impl Selection {
    /// Writes all files into a folder that exists, and waits until they are on disk. A file without rows is not written.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path, labels: &[String]) -> Result<(), DatasetError> {
        for (name, rows) in [
            (FEEDBACK_FILE, &self.feedback),
            (BASE_FILE, &self.base),
            (VALIDATION_FILE, &self.validation),
            (BASELINE_FILE, &self.baseline),
        ] {
            if !rows.is_empty() {
                write_to(folder.join(name), |file| write_rows(rows, labels, file))?;
            }
        }
        if !self.held_out.is_empty() {
            let path = folder.join(HELD_OUT_FILE);
            write_to(path, |file| write_held_out(&self.held_out, labels, file))?;
        }
        if !self.texts.is_empty() {
            let lines = self.texts.iter().map(|text| TextLine { text });
            write_to(folder.join(TEXTS_FILE), |file| write_lines(lines, file))?;
        }
        write_to(folder.join(REPORT_FILE), |file| {
            serde_json::to_writer_pretty(file, &self.report).map_err(io::Error::from)
        })
    }
}

/// Writes each row as often as it is to occur. Of repeated ids the trainer keeps the first, so each repetition has one of
/// its own: the id, `#` and a number from 2.
///
/// # Errors
/// The writer's.
pub fn write_rows(rows: &[Row], labels: &[String], to: &mut impl Write) -> io::Result<()> {
    for row in rows {
        for occurrence in 1..=row.repeats {
            let id = match occurrence {
                1 => row.id.clone(),
                _ => format!("{}#{occurrence}", row.id),
            };
            write_lines(std::iter::once(line(row, &id, labels)), to)?;
        }
    }
    Ok(())
}

/// Writes rows for the gate: as those to train on, each once, with `source`, `subject`, `sampling` and `inclusion`.
///
/// # Errors
/// The writer's.
pub fn write_held_out(
    rows: &[HeldOutRow],
    labels: &[String],
    to: &mut impl Write,
) -> io::Result<()> {
    let lines = rows.iter().map(|held| HeldOutLine {
        line: line(&held.row, &held.row.id, labels),
        source: held.source.as_deref(),
        subject: held.subject.as_deref(),
        sampling: held.sampling.as_str(),
        inclusion: held.inclusion,
    });
    write_lines(lines, to)
}

fn line<'a>(row: &'a Row, id: &'a str, labels: &'a [String]) -> Line<'a> {
    let time = row.time.and_then(DateTime::from_timestamp_millis);
    Line {
        id,
        text: &row.text,
        label: &labels[row.label],
        time: time.map_or_else(String::new, |time| {
            time.to_rfc3339_opts(SecondsFormat::Millis, true)
        }),
    }
}

fn write_lines(lines: impl Iterator<Item = impl Serialize>, to: &mut impl Write) -> io::Result<()> {
    for line in lines {
        serde_json::to_writer(&mut *to, &line)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

fn write_to(
    path: PathBuf,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), DatasetError> {
    let written = || {
        let mut file = BufWriter::new(File::create(&path)?);
        write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()
    };
    written().map_err(|source| DatasetError::Write {
        path: path.clone(),
        source,
    })
}
