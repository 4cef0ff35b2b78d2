//! Reading labelled text: files to examples, with a count and a name for every line that is none.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeZone, Utc};
use serde::Serialize;

use super::error::TrainError;
use super::recipe::{Column, Format, Labels, Role, Source, TextOptions};

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

/// What was read.
#[derive(Debug, Default)]
pub struct Dataset {
    /// The examples, in the order of the files, each id once.
    pub examples: Vec<Example>,
    /// Lines that gave no example.
    pub faults: Vec<Fault>,
    /// Lines whose id had occurred before; the first one was kept.
    pub repeated: usize,
    /// Those among the repeated whose label differs from the kept one's.
    pub conflicting: usize,
    /// The files read, in order.
    pub files: Vec<PathBuf>,
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
                Format::Tsv => separated(&file, b'\t', false, source)?,
                Format::Csv => separated(&file, b',', true, source)?,
                Format::Jsonl => json_lines(&file, source)?,
            };
            for row in rows {
                match row
                    .fields
                    .and_then(|fields| example(fields, labels, text, source.role))
                {
                    Ok(example) => dataset.add(example, &mut seen),
                    Err(reason) => dataset.faults.push(Fault {
                        file: file.clone(),
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
        if let Some(id) = &example.id {
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
fn files(source: &Source, base: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let path = base.join(&source.path);
    if !path.is_dir() {
        return Ok(vec![path]);
    }
    let entries = std::fs::read_dir(&path).map_err(|error| TrainError::read(&path, error))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry
            .map_err(|error| TrainError::read(&path, error))?
            .path();
        if file
            .extension()
            .is_some_and(|ending| ending == source.format.ending())
        {
            files.push(file);
        }
    }
    files.sort();
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
    role: Role,
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
    let time = match fields.time.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(raw) => Some(
            parse_time(raw)
                .ok_or_else(|| format!("the time {:?} cannot be read", shortened(raw)))?,
        ),
    };
    let id = fields
        .id
        .map(|id| id.trim().to_owned())
        .filter(|id| !id.is_empty());
    Ok(Example {
        id,
        text,
        label,
        time,
        role,
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// RFC 3339 (`2015-02-24 11:35:52 -0800` too), or a whole number of seconds (below 1e11) or
/// milliseconds since 1970.
fn parse_time(raw: &str) -> Option<DateTime<Utc>> {
    if let Ok(number) = raw.parse::<i64>() {
        let milliseconds = if number.abs() < 100_000_000_000 {
            number.checked_mul(1000)?
        } else {
            number
        };
        return Utc.timestamp_millis_opt(milliseconds).single();
    }
    DateTime::parse_from_rfc3339(raw)
        .or_else(|_| DateTime::parse_from_str(raw, "%Y-%m-%d %H:%M:%S %z"))
        .ok()
        .map(|time| time.with_timezone(&Utc))
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
mod tests {
    use super::*;
    use crate::train::escape::Escape;

    fn source(toml: &str) -> Source {
        toml::from_str(toml).unwrap()
    }

    fn labels() -> Labels {
        Labels {
            names: vec!["negative".into(), "positive".into()],
            map: Default::default(),
        }
    }

    fn read_one(name: &str, content: &[u8], source: &Source) -> Dataset {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), content).unwrap();
        let text = TextOptions {
            unescape: vec![Escape::Unicode, Escape::Html],
        };
        read(
            std::slice::from_ref(source),
            &labels(),
            &text,
            folder.path(),
        )
        .unwrap()
    }

    #[test]
    fn every_line_of_a_tsv_is_an_example_a_repetition_or_a_named_fault() {
        let source = source(
            r#"path = "a.tsv"
            format = "tsv"
            columns = { id = 0, label = 1, text = 2 }"#,
        );
        let content = b"1\tpositive\t\"quoted\" \\u2019 &amp; \xff broken\t\n\
            2\tmixed\ttext\n\
            3\tnegative\n\
            1\tnegative\tagain\n\
            1\tpositive\tand again\n\
            4\tnegative\t   \n\
            5\tnegative\tlast";
        let dataset = read_one("a.tsv", content, &source);
        let texts: Vec<&str> = dataset.examples.iter().map(|e| e.text.as_str()).collect();
        assert_eq!(texts, ["\"quoted\" ’ & \u{fffd} broken", "last"]);
        assert_eq!((dataset.repeated, dataset.conflicting), (2, 1));
        let faults: Vec<(u64, &str)> = dataset
            .faults
            .iter()
            .map(|f| (f.line, f.reason.as_str()))
            .collect();
        assert_eq!(
            faults,
            [
                (2, "the label \"mixed\" is not in the recipe"),
                (3, "has 2 columns, so no text in column 2"),
                (6, "the text is empty"),
            ]
        );
    }

    #[test]
    fn a_csv_is_read_by_the_names_in_its_header() {
        let source = source(
            r#"path = "a.csv"
            format = "csv"
            header = true
            columns = { label = "kind", text = "words", time = "at" }"#,
        );
        let content = b"at,kind,words\n2015-02-24 11:35:52 -0800,positive,\"two\nlines, one field\"\n\
            2015-02-24T11:35:52Z,negative,\"a \"\"b\"\"\"\n1424777752,negative,c\n1424777752123,positive,d\nnever,positive,e\n";
        let dataset = read_one("a.csv", content, &source);
        assert_eq!(dataset.examples[0].text, "two\nlines, one field");
        assert_eq!(dataset.examples[1].text, "a \"b\"");
        let times: Vec<i64> = dataset
            .examples
            .iter()
            .map(|e| e.time.unwrap().timestamp_millis())
            .collect();
        assert_eq!(
            times,
            [
                1_424_806_552_000,
                1_424_777_752_000,
                1_424_777_752_000,
                1_424_777_752_123
            ]
        );
        assert_eq!(
            dataset.faults[0].reason,
            "the time \"never\" cannot be read"
        );
    }

    #[test]
    fn broken_json_lines_are_faults_and_the_others_are_read() {
        let source = source(
            r#"path = "a.jsonl"
            format = "jsonl"
            columns = { id = "id", label = "l", text = "t" }"#,
        );
        let content = b"{\"id\":7,\"l\":\"positive\",\"t\":\"a\"}\n\n{\"id\":8,\n[1]\n{\"id\":9,\"t\":\"a\"}\n";
        let dataset = read_one("a.jsonl", content, &source);
        assert_eq!(dataset.examples.len(), 1);
        assert_eq!(dataset.examples[0].id.as_deref(), Some("7"));
        let lines: Vec<u64> = dataset.faults.iter().map(|f| f.line).collect();
        assert_eq!(lines, [3, 4, 5]);
        assert!(dataset.faults[2].reason.contains("\"l\""));
    }

    #[test]
    fn a_column_name_without_a_header_is_an_error_that_says_what_to_set() {
        let source = source(
            r#"path = "a.csv"
            format = "csv"
            columns = { label = "kind", text = 0 }"#,
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.csv"), "x,y\n").unwrap();
        let error = read(&[source], &labels(), &TextOptions::default(), folder.path()).unwrap_err();
        assert!(error.to_string().contains("header = true"), "{error}");
    }

    #[test]
    fn a_folder_stands_for_its_files_in_the_order_of_their_names() {
        let source = source(
            r#"path = "."
            format = "tsv"
            columns = { label = 0, text = 1 }"#,
        );
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.tsv", "second"), ("a.tsv", "first"), ("c.txt", "never")] {
            std::fs::write(folder.path().join(name), format!("positive\t{text}\n")).unwrap();
        }
        let dataset = read(&[source], &labels(), &TextOptions::default(), folder.path()).unwrap();
        let texts: Vec<&str> = dataset.examples.iter().map(|e| e.text.as_str()).collect();
        assert_eq!(texts, ["first", "second"]);
    }
}
