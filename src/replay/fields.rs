//! Which column or member of a record holds each field of a post.

use std::path::Path;
use std::str::FromStr;

use super::error::ReplayError;

/// How a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tab-separated, one record a line; quotes mean nothing
    Tsv,
    /// Comma-separated with quoting, as RFC 4180 has it
    Csv,
    /// One JSON object a line
    Jsonl,
    /// Each line is a text
    Lines,
    /// Each line is a message as it stands
    Raw,
}

impl Format {
    /// Tells the format by the file's name.
    ///
    /// # Errors
    ///
    /// The name ends in nothing known.
    pub fn of(path: &Path) -> Result<Self, ReplayError> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("tsv" | "tab") => Ok(Self::Tsv),
            Some("csv") => Ok(Self::Csv),
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("txt") => Ok(Self::Lines),
            _ => Err(ReplayError::UnknownFormat { path: path.into() }),
        }
    }
}

/// How to read a file; on the command line of `replay` and of `demo --input` alike.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ReadOptions {
    /// Layout of the file; told by its name where this is left out
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// The text: a column's header or number (from 1), in JSON a path such as `post.body` [default: text]
    #[arg(long, value_name = "FIELD")]
    pub text_field: Option<String>,
    /// The post's identifier, which also becomes the message's key [default: id, where there is one]
    #[arg(long, value_name = "FIELD")]
    pub id_field: Option<String>,
    /// The author [default: author, where there is one]
    #[arg(long, value_name = "FIELD")]
    pub author_field: Option<String>,
    /// The platform or feed [default: source, where there is one]
    #[arg(long, value_name = "FIELD")]
    pub source_field: Option<String>,
    /// What the post is about [default: subject, where there is one]
    #[arg(long, value_name = "FIELD")]
    pub subject_field: Option<String>,
    /// The language tag [default: language, where there is one]
    #[arg(long, value_name = "FIELD")]
    pub language_field: Option<String>,
    /// A label given by a person, passed on in the message and not used for scoring [default: label, where there is one]
    #[arg(long, value_name = "FIELD")]
    pub label_field: Option<String>,
    /// When it was written: RFC 3339, seconds or milliseconds since the epoch, Twitter's created_at, and the like
    /// [default: event_time, where there is one]
    #[arg(long, value_name = "FIELD")]
    pub time_field: Option<String>,
    /// Take the event time out of the id, which is a Twitter snowflake
    #[arg(long, conflicts_with = "time_field")]
    pub time_from_id: bool,
    /// The source of posts that name none
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// Whether a post without an event time is malformed: order and speed go by it.
    #[arg(skip)]
    pub timed: bool,
}

/// The fields of a post, in the order in which readers hand over their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Text,
    Id,
    Author,
    Source,
    Subject,
    Language,
    Label,
    Time,
}

impl Field {
    pub(super) const ALL: [Self; 8] = [
        Self::Text,
        Self::Id,
        Self::Author,
        Self::Source,
        Self::Subject,
        Self::Language,
        Self::Label,
        Self::Time,
    ];
}

impl ReadOptions {
    /// The name given for a field by a flag, if any.
    pub(super) fn given(&self, field: Field) -> Option<&str> {
        match field {
            Field::Text => self.text_field.as_deref(),
            Field::Id => self.id_field.as_deref(),
            Field::Author => self.author_field.as_deref(),
            Field::Source => self.source_field.as_deref(),
            Field::Subject => self.subject_field.as_deref(),
            Field::Language => self.language_field.as_deref(),
            Field::Label => self.label_field.as_deref(),
            Field::Time => self.time_field.as_deref(),
        }
    }

    /// The name looked for where no flag names one.
    pub(super) fn usual(field: Field) -> &'static str {
        match field {
            Field::Text => "text",
            Field::Id => "id",
            Field::Author => "author",
            Field::Source => "source",
            Field::Subject => "subject",
            Field::Language => "language",
            Field::Label => "label",
            Field::Time => "event_time",
        }
    }

    /// Whether the first line of a delimited file names its columns: it does unless every field is given by number.
    pub(super) fn has_header(&self) -> bool {
        let given: Vec<&str> = Field::ALL.iter().filter_map(|f| self.given(*f)).collect();
        given.is_empty() || given.iter().any(|name| usize::from_str(name).is_err())
    }

    /// For each field of [`Field::ALL`] the index of its column, told by the header where columns have names.
    pub(super) fn columns(
        &self,
        file: &str,
        header: Option<&[String]>,
    ) -> Result<[Option<usize>; 8], ReplayError> {
        let mut columns = [None; 8];
        for (column, field) in columns.iter_mut().zip(Field::ALL) {
            *column = self.column(field, file, header)?;
        }
        Ok(columns)
    }

    fn column(
        &self,
        field: Field,
        file: &str,
        header: Option<&[String]>,
    ) -> Result<Option<usize>, ReplayError> {
        let named = |name: &str| header.and_then(|names| names.iter().position(|n| n == name));
        let missing = |name: &str| ReplayError::NoSuchColumn {
            file: file.to_owned(),
            column: name.to_owned(),
        };
        match self.given(field) {
            Some(name) => match usize::from_str(name) {
                Ok(number) => match number.checked_sub(1) {
                    Some(index) => Ok(Some(index)),
                    None => Err(ReplayError::ColumnZero(name.to_owned())),
                },
                Err(_) => named(name).map(Some).ok_or_else(|| missing(name)),
            },
            None => match named(Self::usual(field)) {
                // Only the text has to be there; the rest is taken where the file has it.
                None if field == Field::Text => Err(missing(Self::usual(field))),
                found => Ok(found),
            },
        }
    }
}
