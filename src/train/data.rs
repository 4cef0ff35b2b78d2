//! Reading labelled text: files to examples, with a count and a name for every line that is none.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::TrainError;
use super::recipe::{Column, Format, Labels, Role, Source, TextOptions, TimeSource};
use super::time;

/// A labelled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// What identifies it, if the source says.
    pub id: Option<String>,
    /// The prepared text.
    pub text: String,
    /// Index of its class.
    pub label: u32,
    /// When it was written, if the source says.
    pub time: Option<DateTime<Utc>>,
    /// What it is for.
    pub role: Role,
    /// Index of its file in [`Dataset::files`].
    pub file: usize,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its path as the recipe names it, the same on every machine.
    pub name: PathBuf,
    /// How often each of its training examples occurs in an epoch.
    pub repeat: usize,
}

/// A line that gave no example.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// Why, as the rest of "file:line: ".
    pub reason: String,
}

/// How many lines of the data did not become an example, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Lines that gave no example.
    pub faults: usize,
    /// Lines whose id had occurred before.
    pub repeated: usize,
    /// Those among them whose label differed.
    pub conflicting: usize,
    /// Examples a split by time could not place.
    pub undated: usize,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Dataset {
    /// The examples, in the order of the files, each id once, and once more for the baseline.
    pub examples: Vec<Example>,
    /// Lines that gave no example.
    pub faults: Vec<Fault>,
    /// Lines whose id had occurred before; the first one was kept.
    pub repeated: usize,
    /// Those among the repeated whose label differs from the kept one's.
    pub conflicting: usize,
    /// The files read, in order.
    pub files: Vec<InputFile>,
}

/// Reads all sources; relative paths start at `base`.
pub fn read(
    sources: &[Source],
    labels: &Labels,
    text: &TextOptions,
    base: &Path,
) -> Result<Dataset, TrainError> {
    let mut dataset = Dataset::default();
    let mut seen: HashMap<String, u32> = HashMap::new();
    for source in sources {
        for file in files(source, base)? {
            let rows = match source.format {
                Format::Tsv => separated(&file.path, b'\t', false, source)?,
                Format::Csv => separated(&file.path, b',', true, source)?,
                Format::Jsonl => json_lines(&file.path, source)?,
            };
            let number = dataset.files.len();
            for row in rows {
                match row
                    .fields
                    .and_then(|fields| example(fields, labels, text, source, number))
                {
                    Ok(example) => dataset.add(example, &mut seen),
                    Err(reason) => dataset.faults.push(Fault {
                        file: file.path.clone(),
                        line: row.line,
                        reason,
                    }),
                }
            }
            dataset.files.push(file);
        }
    }
    Ok(dataset)
}

impl Dataset {
    fn add(&mut self, example: Example, seen: &mut HashMap<String, u32>) {
        // What the baseline is made of may validate, too.
        if example.role != Role::Baseline
            && let Some(id) = &example.id
        {
            if let Some(kept) = seen.get(id) {
                self.repeated += 1;
                self.conflicting += usize::from(*kept != example.label);
                return;
            }
            seen.insert(id.clone(), example.label);
        }
        self.examples.push(example);
    }
}

/// The file of a source, or the files of its folder.
fn files(source: &Source, base: &Path) -> Result<Vec<InputFile>, TrainError> {
    let path = base.join(&source.path);
    if !path.is_dir() {
        return Ok(vec![InputFile {
            path,
            name: source.path.clone(),
            repeat: source.repeat,
        }]);
    }
    let entries = std::fs::read_dir(&path).map_err(|error| TrainError::read(&path, error))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| TrainError::read(&path, error))?;
        let file = InputFile {
            path: entry.path(),
            name: source.path.join(entry.file_name()),
            repeat: source.repeat,
        };
        if file
            .path
            .extension()
            .is_some_and(|ending| ending == source.format.ending())
        {
            files.push(file);
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if files.is_empty() {
        let ending = source.format.ending();
        return Err(TrainError::Data(format!(
            "the folder {} holds no .{ending} file",
            path.display()
        )));
    }
    Ok(files)
}

/// The raw fields of a line.
struct Fields {
    id: Option<String>,
    text: String,
    label: String,
    time: Option<String>,
}

struct Row {
    line: u64,
    fields: Result<Fields, String>,
}

fn example(
    fields: Fields,
    labels: &Labels,
    options: &TextOptions,
    source: &Source,
    file: usize,
) -> Result<Example, String> {
    let label = labels.index(&fields.label).ok_or_else(|| {
        format!(
            "the label {:?} is not in the recipe",
            shortened(&fields.label)
        )
    })?;
    let text = options
        .unescape
        .iter()
        .fold(fields.text, |text, escape| escape.undo(&text));
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err("the text is empty".into());
    }
    let id = fields
        .id
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty());
    let time = match (source.time, fields.time.as_deref().map(str::trim)) {
        (TimeSource::Snowflake, _) => id.as_deref().and_then(time::of_snowflake),
        (TimeSource::Column, None | Some("")) => None,
        (TimeSource::Column, Some(raw)) => Some(
            time::parse(raw)
                .ok_or_else(|| format!("the time {:?} cannot be read", shortened(raw)))?,
        ),
    };
    Ok(Example {
        id,
        text,
        label,
        time,
        role: source.role,
        file,
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Numbers of a source's columns once its header is known.
struct Places {
    id: Option<usize>,
    text: usize,
    label: usize,
    time: Option<usize>,
}

impl Places {
    fn new(source: &Source, header: &[String], file: &Path) -> Result<Self, TrainError> {
        let place = |column: &Column| match column {
            Column::Number(number) => Ok(*number),
            Column::Name(name) => header
                .iter()
                .position(|known| known.trim() == name)
                .ok_or_else(|| {
                    let hint = if source.header {
                        ""
                    } else {
                        " (set `header = true` to read the first line)"
                    };
                    TrainError::Data(format!(
                        "{} has no column named \"{name}\"{hint}",
                        file.display()
                    ))
                }),
        };
        let columns = &source.columns;
        Ok(Self {
            id: columns.id.as_ref().map(place).transpose()?,
            text: place(&columns.text)?,
            label: place(&columns.label)?,
            time: columns.time.as_ref().map(place).transpose()?,
        })
    }

    fn fields(&self, record: &[String]) -> Result<Fields, String> {
        let field = |what: &str, place: usize| {
            record.get(place).cloned().ok_or_else(|| {
                format!(
                    "has {} columns, so no {what} in column {place}",
                    record.len()
                )
            })
        };
        Ok(Fields {
            id: self.id.map(|place| field("id", place)).transpose()?,
            text: field("text", self.text)?,
            label: field("label", self.label)?,
            time: self.time.map(|place| field("time", place)).transpose()?,
        })
    }
}

/// Broken UTF-8 is replaced, as the service does with what it cannot decode.
fn separated(
    file: &Path,
    delimiter: u8,
    quoting: bool,
    source: &Source,
) -> Result<Vec<Row>, TrainError> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(quoting)
        .has_headers(false)
        .flexible(true)
        .from_path(file)
        .map_err(|error| TrainError::read(file, error))?;
    let mut rows = Vec::new();
    let mut places = None;
    let mut header = source.header;
    for record in reader.byte_records() {
        let record = record.map_err(|error| TrainError::read(file, error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let record: Vec<String> = record
            .iter()
            .map(|field| String::from_utf8_lossy(field).into_owned())
            .collect();
        if header {
            places = Some(Places::new(source, &record, file)?);
            header = false;
            continue;
        }
        let places = match &mut places {
            Some(places) => places,
            none => none.insert(Places::new(source, &[], file)?),
        };
        rows.push(Row {
            line,
            fields: places.fields(&record),
        });
    }
    Ok(rows)
}

fn json_lines(file: &Path, source: &Source) -> Result<Vec<Row>, TrainError> {
    let bytes = std::fs::read(file).map_err(|error| TrainError::read(file, error))?;
    let mut rows = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if !line.trim_ascii().is_empty() {
            rows.push(Row {
                line: index as u64 + 1,
                fields: json_fields(line, source),
            });
        }
    }
    Ok(rows)
}

fn json_fields(line: &[u8], source: &Source) -> Result<Fields, String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&String::from_utf8_lossy(line))
            .map_err(|error| format!("is no JSON object ({error})"))?;
    let field = |what: &str, column: &Column| {
        let Column::Name(name) = column else {
            return Err(format!(
                "the {what} column of a JSONL file must be given by name"
            ));
        };
        match object.get(name) {
            Some(serde_json::Value::String(text)) => Ok(text.clone()),
            Some(serde_json::Value::Null) | None => {
                Err(format!("has no \"{name}\" for the {what}"))
            }
            Some(other) => Ok(other.to_string()),
        }
    };
    let columns = &source.columns;
    Ok(Fields {
        id: columns
            .id
            .as_ref()
            .map(|column| field("id", column))
            .transpose()?,
        text: field("text", &columns.text)?,
        label: field("label", &columns.label)?,
        time: columns
            .time
            .as_ref()
            .map(|column| field("time", column))
            .transpose()?,
    })
}

#[cfg(test)]
mod tests;
