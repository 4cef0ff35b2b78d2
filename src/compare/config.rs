//! The `[held_out]` section: the fixed set on which models are compared. Defaults stand in `config/default.toml`.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;

use crate::replay::{Format, ReadOptions};
use crate::train::escape::Escape;

/// Labelled texts that no model is trained on, and what stands where in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOutConfig {
    /// None: there is no fixed set.
    pub files: Vec<PathBuf>,
    /// As a [`Format`] is called on the command line; empty: told by the file's name.
    pub format: String,
    /// The column's header or number (from 1), in JSON a path; empty: the field's own name.
    pub text_field: String,
    pub label_field: String,
    pub source_field: String,
    pub subject_field: String,
    /// The source of texts that name none; empty: they have none.
    pub source: String,
    /// Escapes to undo, as for training.
    pub unescape: Vec<Escape>,
}

impl HeldOutConfig {
    /// Says which values make no sense.
    ///
    /// # Errors
    /// One sentence about the first of them.
    pub fn check(&self) -> Result<(), String> {
        self.options().map(|_| ())
    }

    /// How the files are to be read.
    ///
    /// # Errors
    /// One sentence, where there is no such format.
    pub fn options(&self) -> Result<ReadOptions, String> {
        let given = |value: &String| (!value.is_empty()).then(|| value.clone());
        let format = given(&self.format)
            .map(|name| Format::from_str(&name, false))
            .transpose()
            .map_err(|_| {
                format!(
                    "[held_out] format is {:?}; it must be tsv, csv, jsonl or empty",
                    self.format
                )
            })?;
        Ok(ReadOptions {
            format,
            text_field: given(&self.text_field),
            label_field: given(&self.label_field),
            source_field: given(&self.source_field),
            subject_field: given(&self.subject_field),
            source: given(&self.source),
            ..ReadOptions::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_settings_leave_it_to_the_reader_and_a_strange_format_is_refused() {
        let mut config = HeldOutConfig::default();
        let options = config.options().unwrap();
        assert_eq!((options.format, options.text_field), (None, None));
        config.format = "tsv".into();
        config.label_field = "2".into();
        let options = config.options().unwrap();
        assert_eq!(options.format, Some(Format::Tsv));
        assert_eq!(options.label_field.as_deref(), Some("2"));
        config.format = "xlsx".into();
        assert!(config.check().unwrap_err().contains("\"xlsx\""));
    }
}
