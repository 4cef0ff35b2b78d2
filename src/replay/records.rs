//! Reading a file into posts.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use super::error::{LineFault, ReplayError};
use super::fields::{Field, Format, ReadOptions};
use super::post::{Post, PostFields};
use crate::clock::{parse_time, snowflake_time};

type Input = Box<dyn Read + Send>;

/// One line of a file: a post, or a fault to be counted and named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Post(Post),
    Malformed(LineFault),
}

/// The posts of a file in the order of its lines.
pub struct Records {
    file: String,
    line: u64,
    options: ReadOptions,
    rows: Rows,
}

enum Rows {
    Tsv(BufReader<Input>, [Option<usize>; 8]),
    Csv(Box<csv::Reader<Input>>, [Option<usize>; 8]),
    Jsonl(BufReader<Input>),
    Lines(BufReader<Input>),
    Raw(BufReader<Input>),
}

impl Records {
    /// Begins to read `input`, which messages call `file`.
    ///
    /// # Errors
    ///
    /// The header cannot be read, or a column named by the options is not in it.
    pub fn new(
        input: Input,
        file: &str,
        format: Format,
        options: &ReadOptions,
    ) -> Result<Self, ReplayError> {
        let mut line = 0;
        let rows = match format {
            Format::Raw => Rows::Raw(BufReader::new(input)),
            Format::Lines => Rows::Lines(BufReader::new(input)),
            Format::Jsonl => Rows::Jsonl(BufReader::new(input)),
            Format::Tsv => {
                let mut reader = BufReader::new(input);
                let header = if options.has_header() {
                    line = 1;
                    let bytes = next_line(&mut reader, file)?.unwrap_or_default();
                    Some(split_tabs(&String::from_utf8_lossy(&bytes)))
                } else {
                    None
                };
                let columns = options.columns(file, header.as_deref())?;
                Rows::Tsv(reader, columns)
            }
            Format::Csv => {
                let mut reader = csv::ReaderBuilder::new()
                    .has_headers(options.has_header())
                    .flexible(true)
                    .from_reader(input);
                let header = if options.has_header() {
                    let names = reader
                        .headers()
                        .map_err(|error| unreadable(file, error.into()))?;
                    Some(names.iter().map(str::to_owned).collect::<Vec<_>>())
                } else {
                    None
                };
                let columns = options.columns(file, header.as_deref())?;
                Rows::Csv(Box::new(reader), columns)
            }
        };
        Ok(Self {
            file: file.to_owned(),
            line,
            options: options.clone(),
            rows,
        })
    }

    fn next_row(&mut self) -> Result<Option<Line>, ReplayError> {
        let row = match &mut self.rows {
            Rows::Csv(reader, columns) => {
                let mut record = csv::StringRecord::new();
                let read = reader.read_record(&mut record);
                let position = record.position().or(Some(reader.position()));
                self.line = position.map_or(self.line + 1, csv::Position::line);
                match read {
                    Ok(false) => return Ok(None),
                    Ok(true) => pick(record.len(), columns, |index| record.get(index)),
                    Err(error) if error.is_io_error() => {
                        return Err(unreadable(&self.file, error.into()));
                    }
                    Err(error) => Err(error.to_string()),
                }
            }
            Rows::Raw(reader) => {
                return Ok(next_line(reader, &self.file)?.map(|bytes| {
                    Line::Post(Post {
                        key: None,
                        value: Some(bytes),
                        event_time: None,
                    })
                }));
            }
            Rows::Tsv(reader, _) | Rows::Jsonl(reader) | Rows::Lines(reader) => {
                let Some(bytes) = next_line(reader, &self.file)? else {
                    return Ok(None);
                };
                self.line += 1;
                self.read_line(&bytes)
            }
        };
        let post = row.and_then(|values| self.post(values));
        Ok(Some(match post {
            Ok(post) => Line::Post(post),
            Err(detail) => Line::Malformed(LineFault {
                file: self.file.clone(),
                line: self.line,
                detail,
            }),
        }))
    }

    fn read_line(&self, bytes: &[u8]) -> Result<Values, String> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| format!("not UTF-8 from byte {} on", error.valid_up_to()))?;
        match &self.rows {
            Rows::Tsv(_, columns) => {
                if text.is_empty() {
                    return Err("the line is empty".into());
                }
                let cells = split_tabs(text);
                pick(cells.len(), columns, |index| {
                    cells.get(index).map(String::as_str)
                })
            }
            Rows::Jsonl(_) => {
                let value: Value =
                    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
                self.members(&value)
            }
            Rows::Lines(_) | Rows::Raw(_) | Rows::Csv(..) => {
                let mut values = Values::default();
                values[Field::Text as usize] = Some(text.to_owned());
                Ok(values)
            }
        }
    }

    fn members(&self, object: &Value) -> Result<Values, String> {
        if !object.is_object() {
            return Err("not a JSON object".into());
        }
        let mut values = Values::default();
        for field in Field::ALL {
            let path = self
                .options
                .given(field)
                .unwrap_or(ReadOptions::usual(field));
            let found = path
                .split('.')
                .try_fold(object, |value, name| value.get(name));
            values[field as usize] = match found {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
                Some(_) => return Err(format!("'{path}' is neither text nor a number")),
            };
            if values[field as usize].is_none()
                && (field == Field::Text || self.options.given(field).is_some())
            {
                return Err(format!("no '{path}'"));
            }
        }
        Ok(values)
    }

    fn post(&self, mut values: Values) -> Result<Post, String> {
        let mut take = |field: Field| values[field as usize].take();
        let text = take(Field::Text).unwrap_or_default();
        let mut filled = |field: Field| take(field).filter(|value| !value.is_empty());
        let id = filled(Field::Id);
        let event_time = if self.options.time_from_id {
            let id = id.as_deref().unwrap_or_default();
            Some(snowflake_time(id).ok_or_else(|| format!("the id '{id}' is not a snowflake"))?)
        } else {
            filled(Field::Time)
                .map(|time| parse_time(&time).ok_or_else(|| format!("'{time}' is not a time")))
                .transpose()?
        };
        if self.options.timed && event_time.is_none() {
            return Err("no event time".into());
        }
        Ok(Post::from(PostFields {
            id,
            text,
            author: filled(Field::Author),
            source: filled(Field::Source).or_else(|| self.options.source.clone()),
            subject: filled(Field::Subject),
            language: filled(Field::Language),
            label: filled(Field::Label),
            event_time,
        }))
    }
}

/// The values of the fields, indexed by [`Field`].
type Values = [Option<String>; 8];

/// Takes each field's column out of a row. A row that lacks a column it should have is malformed.
fn pick<'a>(
    width: usize,
    columns: &[Option<usize>; 8],
    cell: impl Fn(usize) -> Option<&'a str>,
) -> Result<Values, String> {
    let mut values = Values::default();
    for (value, column) in values.iter_mut().zip(columns) {
        if let Some(index) = *column {
            let text = cell(index)
                .ok_or_else(|| format!("no column {} (the line has {width})", index + 1))?;
            *value = Some(text.to_owned());
        }
    }
    Ok(values)
}

fn split_tabs(line: &str) -> Vec<String> {
    line.split('\t').map(str::to_owned).collect()
}

/// The next line without its end, or `None` after the last one. Broken UTF-8 is kept.
fn next_line(reader: &mut impl BufRead, file: &str) -> Result<Option<Vec<u8>>, ReplayError> {
    let mut bytes = Vec::new();
    let read = reader
        .read_until(b'\n', &mut bytes)
        .map_err(|error| unreadable(file, error))?;
    if read == 0 {
        return Ok(None);
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(Some(bytes))
}

fn unreadable(file: &str, source: std::io::Error) -> ReplayError {
    ReplayError::Open {
        path: file.into(),
        source,
    }
}

impl Iterator for Records {
    /// An error ends the file: it cannot be read further.
    type Item = Result<Line, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().transpose()
    }
}

/// The posts of a file sorted by event time, its faults first.
#[must_use]
pub fn by_event_time(
    lines: impl Iterator<Item = Result<Line, ReplayError>>,
) -> Box<dyn Iterator<Item = Result<Line, ReplayError>> + Send> {
    let mut lines: Vec<Result<Line, ReplayError>> = lines.collect();
    // Stable, so that posts of one moment keep the file's order.
    lines.sort_by_key(|line| match line {
        Ok(Line::Post(Post { event_time, .. })) => *event_time,
        Ok(Line::Malformed(_)) | Err(_) => None,
    });
    Box::new(lines.into_iter())
}

#[cfg(test)]
mod tests;
