//! Reading a file into posts.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use super::clock::{parse_time, snowflake_time};
use super::error::{LineFault, ReplayError};
use super::fields::{Field, Format, ReadOptions};
use super::post::{Post, PostFields};

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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: Format, options: &ReadOptions) -> Vec<Result<Post, String>> {
        let input = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        Records::new(input, "f", format, options)
            .expect("the header is right")
            .map(|line| match line.expect("memory can be read") {
                Line::Post(post) => Ok(post),
                Line::Malformed(fault) => Err(fault.to_string()),
            })
            .collect()
    }

    fn json(post: &Result<Post, String>) -> String {
        let value = post.as_ref().expect("the line is right").value.clone();
        String::from_utf8(value.expect("there is a value")).expect("JSON is UTF-8")
    }

    fn tweets() -> ReadOptions {
        ReadOptions {
            id_field: Some("1".into()),
            label_field: Some("2".into()),
            text_field: Some("3".into()),
            time_from_id: true,
            ..ReadOptions::default()
        }
    }

    #[test]
    fn tweets_keep_their_quotes_escapes_and_trailing_tabs_do_no_harm() {
        let text = "260097528899452929\tneutral\t\"so\\u2019\\u002c \" quoted\t\r\n\
                    260097528899452929\tpositive\tagain";
        let posts = read(text, Format::Tsv, &tweets());
        assert_eq!(posts.len(), 2, "the same id twice is two posts");
        let value: Value = serde_json::from_str(&json(&posts[0])).expect("valid JSON");
        assert_eq!(value["text"], "\"so\\u2019\\u002c \" quoted");
        assert_eq!(value["label"], "neutral");
        assert!(
            value["event_time"]
                .as_str()
                .is_some_and(|t| t.starts_with("2012-10-21T"))
        );
    }

    #[test]
    fn a_malformed_line_is_named_and_the_rest_goes_on() {
        let posts = read(
            "1\tneutral\tok\nshort\n\nx\tneutral\tno id\n",
            Format::Tsv,
            &tweets(),
        );
        assert_eq!(posts.len(), 4);
        assert!(posts[0].is_ok());
        assert_eq!(posts[1], Err("f:2: no column 3 (the line has 1)".into()));
        assert_eq!(posts[2], Err("f:3: the line is empty".into()));
        assert_eq!(posts[3], Err("f:4: the id 'x' is not a snowflake".into()));
    }

    #[test]
    fn csv_columns_are_found_by_their_header_and_may_span_lines() {
        let options = ReadOptions {
            subject_field: Some("airline".into()),
            source: Some("twitter".into()),
            ..ReadOptions::default()
        };
        let text = "id,airline,text\n7,Morva,\"late,\nagain\"\n8,Morva\n9,,fine\n";
        let posts = read(text, Format::Csv, &options);
        assert_eq!(
            json(&posts[0]),
            r#"{"id":"7","text":"late,\nagain","source":"twitter","subject":"Morva"}"#
        );
        assert_eq!(posts[1], Err("f:4: no column 3 (the line has 2)".into()));
        assert_eq!(
            json(&posts[2]),
            r#"{"id":"9","text":"fine","source":"twitter"}"#
        );
    }

    #[test]
    fn a_column_that_is_not_there_is_an_error_at_once() {
        let input = Box::new(std::io::Cursor::new(b"id,body\n1,x\n".to_vec()));
        let error = Records::new(input, "f.csv", Format::Csv, &ReadOptions::default()).err();
        assert!(error.is_some_and(|e| e.to_string().contains("no column named 'text'")));
    }

    #[test]
    fn json_members_are_found_by_path() {
        let options = ReadOptions {
            text_field: Some("post.body".into()),
            author_field: Some("user.id".into()),
            time_field: Some("at".into()),
            ..ReadOptions::default()
        };
        let text = concat!(
            r#"{"post":{"body":"hi"},"user":{"id":12},"at":1424806552}"#,
            "\n{\n",
            r#"{"post":{"body":"hi"},"user":{"id":12}}"#,
            "\n[]\n"
        );
        let posts = read(text, Format::Jsonl, &options);
        assert_eq!(
            json(&posts[0]),
            r#"{"text":"hi","author":"12","event_time":"2015-02-24T19:35:52.000Z"}"#
        );
        assert!(
            posts[1]
                .as_ref()
                .is_err_and(|e| e.starts_with("f:2: not JSON: "))
        );
        assert_eq!(posts[2], Err("f:3: no 'at'".into()));
        assert_eq!(posts[3], Err("f:4: not a JSON object".into()));
    }

    #[test]
    fn broken_bytes_are_malformed_in_records_but_pass_as_raw_messages() {
        let bytes = || Box::new(std::io::Cursor::new(b"ok\nbro\xffken\n".to_vec()));
        let options = ReadOptions::default();
        let lines: Vec<_> = Records::new(bytes(), "f", Format::Lines, &options)
            .expect("there is no header")
            .collect();
        assert!(
            matches!(&lines[1], Ok(Line::Malformed(fault)) if fault.detail == "not UTF-8 from byte 3 on")
        );
        let raw: Vec<_> = Records::new(bytes(), "f", Format::Raw, &options)
            .expect("there is no header")
            .collect();
        assert!(
            matches!(&raw[1], Ok(Line::Post(post)) if post.value.as_deref() == Some(b"bro\xffken"))
        );
    }

    #[test]
    fn posts_without_a_time_are_malformed_where_time_orders_them() {
        let options = ReadOptions {
            timed: true,
            ..ReadOptions::default()
        };
        let posts = read("a text\n", Format::Lines, &options);
        assert_eq!(posts, [Err("f:1: no event time".into())]);
    }
}
