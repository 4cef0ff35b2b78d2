//! Reading lines to be scored, in blocks of bounded size.

use std::io::{self, BufRead, BufReader, Read};

use serde_json::Value;
use serde_json::value::RawValue;

use super::LineFormat;
use crate::record::Encoded;

/// Longer lines, in bytes, are not kept.
const LONGEST_LINE: usize = 16 << 20;
/// A block is closed after so many lines, …
const BLOCK_LINES: usize = 512;
/// … or so many bytes, or where the next line would have to be waited for.
const BLOCK_BYTES: usize = 1 << 20;
/// What is read at a time.
const BUFFER: usize = 1 << 17;

/// Consecutive lines of the input.
pub(super) struct Block {
    pub lines: Vec<Line>,
    /// The tokens of those lines that have a text, in order.
    pub encoded: Vec<Encoded>,
    /// Bytes of the input it took.
    pub bytes: u64,
}

/// One line of the input.
pub(super) struct Line {
    /// From 1.
    pub number: u64,
    /// The fields as they were, or the text as the only one; none where the line could not be read.
    pub fields: Fields,
    pub content: Content,
}

/// Whether there is something to score.
pub(super) enum Content {
    Text,
    Unusable { reason: String },
}

/// Members of a JSON object in their order, each to the last digit as it was.
#[derive(Debug, Default)]
pub(super) struct Fields(pub Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> serde::de::Visitor<'de> for Members {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Reads the input's lines.
pub(super) struct Reader<R> {
    input: BufReader<R>,
    /// Told by the first line where it is not known before.
    format: Option<LineFormat>,
    text_field: String,
    line: u64,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R, format: Option<LineFormat>, text_field: String) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, input),
            format,
            text_field,
            line: 0,
        }
    }

    /// The next lines, or `None` at the end.
    pub(super) fn next_block(
        &mut self,
        encode: impl Fn(&str) -> Encoded,
    ) -> io::Result<Option<Block>> {
        let mut block = Block {
            lines: Vec::new(),
            encoded: Vec::new(),
            bytes: 0,
        };
        while block.lines.len() < BLOCK_LINES && block.bytes < BLOCK_BYTES as u64 {
            let waits = !self.input.buffer().contains(&b'\n');
            if waits && !block.lines.is_empty() {
                break;
            }
            let Some((bytes, size)) = next_line(&mut self.input)? else {
                break;
            };
            self.line += 1;
            block.bytes += size;
            let (fields, text) = match bytes {
                None => (
                    Fields::default(),
                    Err(format!("it is longer than {LONGEST_LINE} bytes")),
                ),
                Some(bytes) => self.parse(&bytes),
            };
            let text = text.and_then(|text| {
                let says_something = |c: char| !c.is_whitespace() && !c.is_control();
                if text.chars().any(says_something) {
                    Ok(text)
                } else {
                    Err("there is no text".to_owned())
                }
            });
            let content = match text {
                Ok(text) => {
                    block.encoded.push(encode(&text));
                    Content::Text
                }
                Err(reason) => Content::Unusable { reason },
            };
            block.lines.push(Line {
                number: self.line,
                fields,
                content,
            });
        }
        Ok((!block.lines.is_empty()).then_some(block))
    }

    /// A line's fields and its text, or why it has none.
    fn parse(&mut self, bytes: &[u8]) -> (Fields, Result<String, String>) {
        // A mark that some programs put at the beginning of a file is no part of the first text.
        let bytes = match bytes.strip_prefix("\u{feff}".as_bytes()) {
            Some(rest) if self.line == 1 => rest,
            _ => bytes,
        };
        let line = match std::str::from_utf8(bytes) {
            Ok(line) => line,
            Err(error) => {
                let reason = format!("it is not UTF-8 from byte {} on", error.valid_up_to());
                return (Fields::default(), Err(reason));
            }
        };
        let format = *self.format.get_or_insert_with(|| {
            if serde_json::from_str::<Fields>(line).is_ok() {
                LineFormat::Jsonl
            } else {
                LineFormat::Lines
            }
        });
        match format {
            LineFormat::Lines => {
                let text = serde_json::value::to_raw_value(line).expect("a text is a JSON string");
                (Fields(vec![("text".to_owned(), text)]), Ok(line.to_owned()))
            }
            LineFormat::Jsonl => match serde_json::from_str::<Fields>(line) {
                Ok(fields) => {
                    let text = text_in(&fields, &self.text_field);
                    (fields, text)
                }
                Err(error) => (
                    Fields::default(),
                    Err(format!("it is not a JSON object ({error})")),
                ),
            },
        }
    }
}

/// The text at a path such as `post.body`.
fn text_in(fields: &Fields, path: &str) -> Result<String, String> {
    let missing = || format!("there is no field {path}");
    // A name with a dot in it is taken at its word first.
    let (name, rest) = match fields.0.iter().any(|(name, _)| name == path) {
        true => (path, None),
        false => path
            .split_once('.')
            .map_or((path, None), |(name, rest)| (name, Some(rest))),
    };
    let raw = fields
        .0
        .iter()
        .rev()
        .find(|(member, _)| member == name)
        .ok_or_else(missing)?;
    let value: Value = serde_json::from_str(raw.1.get())
        .map_err(|error| format!("its field {name} does not parse ({error})"))?;
    let found = rest
        .into_iter()
        .flat_map(|rest| rest.split('.'))
        .try_fold(&value, |value, name| value.get(name));
    match found {
        None | Some(Value::Null) => Err(missing()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(_) => Err(format!("its field {path} is neither text nor a number")),
    }
}

/// The next line without its end, and the bytes it took; no line where it is too long to be kept. `None` at the end.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<(Option<Vec<u8>>, u64)>> {
    let mut line = Vec::new();
    let mut size = 0;
    loop {
        let buffer = input.fill_buf()?;
        let (taken, ended) = match buffer.iter().position(|&byte| byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        if line.len() <= LONGEST_LINE {
            line.extend_from_slice(&buffer[..taken]);
        }
        size += taken as u64;
        input.consume(taken);
        if ended {
            break;
        }
    }
    if size == 0 {
        return Ok(None);
    }
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.pop();
        }
    }
    Ok(Some(((line.len() <= LONGEST_LINE).then_some(line), size)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Encoded {
        Encoded {
            ids: text.bytes().map(u32::from).collect(),
            truncated: false,
        }
    }

    /// Gives a few bytes a call, as a pipe may.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn blocks(bytes: &[u8], step: usize) -> Vec<Block> {
        let mut reader = Reader::new(Trickle(bytes, step), None, "text".to_owned());
        std::iter::from_fn(|| reader.next_block(words).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn every_line_comes_once_in_order_however_the_bytes_arrive(
            lines in prop::collection::vec("[a-z \\x00]{0,12}", 1..50), step in 1_usize..40, ended: bool,
        ) {
            let mut bytes = lines.join("\n").into_bytes();
            if ended || lines.last().is_some_and(String::is_empty) {
                bytes.push(b'\n');
            }
            let blocks = blocks(&bytes, step);
            let numbers: Vec<u64> = blocks.iter().flat_map(|b| &b.lines).map(|line| line.number).collect();
            prop_assert_eq!(numbers, (1..=lines.len() as u64).collect::<Vec<_>>());
            prop_assert_eq!(blocks.iter().map(|block| block.bytes).sum::<u64>(), bytes.len() as u64);
            let texts: Vec<Encoded> = lines
                .iter()
                .filter(|line| line.chars().any(|c| c.is_ascii_lowercase()))
                .map(|line| words(line))
                .collect();
            prop_assert_eq!(blocks.into_iter().flat_map(|block| block.encoded).collect::<Vec<_>>(), texts);
        }
    }

    #[test]
    fn a_line_is_handed_on_before_the_next_one_is_waited_for() {
        let blocks = blocks(b"one\ntwo\nthree", 4);
        let lines: Vec<usize> = blocks.iter().map(|block| block.lines.len()).collect();
        assert_eq!(lines, [1, 1, 1]);
    }

    #[test]
    fn a_line_beyond_all_bounds_is_dropped_and_the_next_one_read() {
        let mut bytes = vec![b'a'; LONGEST_LINE + 1];
        bytes.extend(b"\nnext\r\n");
        let blocks = blocks(&bytes, usize::MAX);
        let lines: Vec<&Line> = blocks.iter().flat_map(|block| &block.lines).collect();
        assert!(
            matches!(&lines[0].content, Content::Unusable { reason } if reason.contains("longer"))
        );
        assert_eq!(blocks.last().unwrap().encoded, [words("next")]);
    }

    #[test]
    fn a_text_is_found_by_its_path_and_by_a_name_with_a_dot() {
        let fields: Fields =
            serde_json::from_str(r#"{"a":{"b":"deep"},"a.c":"flat","n":12,"l":[],"z":null}"#)
                .unwrap();
        let text = |path: &str| text_in(&fields, path);
        assert_eq!(text("a.b").as_deref(), Ok("deep"));
        assert_eq!(text("a.c").as_deref(), Ok("flat"));
        assert_eq!(text("n").as_deref(), Ok("12"));
        assert!(text("l").unwrap_err().contains("neither"));
        for path in ["z", "q", "a.q", "n.q"] {
            assert!(text(path).unwrap_err().contains("no field"), "{path}");
        }
    }
}
