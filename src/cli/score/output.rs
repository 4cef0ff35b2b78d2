//! Writing what was scored.

use std::io::{self, Write};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::input::Line;
use crate::record::{ModelVersion, Prediction};

/// The names this program adds; fields of the input that have one are renamed.
const OWN: [&str; 6] = [
    "label",
    "probabilities",
    "model",
    "truncated",
    "line",
    "error",
];

/// Writes one line: the input's fields, then what the model says or why it says nothing.
pub(super) fn write(
    out: &mut impl Write,
    line: &Line,
    result: Result<(Prediction, bool), String>,
    version: &ModelVersion,
) -> io::Result<()> {
    let row = Row {
        line,
        result,
        version,
    };
    serde_json::to_writer(&mut *out, &row).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

struct Row<'a> {
    line: &'a Line,
    result: Result<(Prediction, bool), String>,
    version: &'a ModelVersion,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let fields = &self.line.fields.0;
        for (name, value) in fields {
            map.serialize_entry(
                &kept(name, |name| fields.iter().any(|(other, _)| other == name)),
                value,
            )?;
        }
        match &self.result {
            Ok((prediction, truncated)) => {
                map.serialize_entry("label", &self.version.labels[prediction.label])?;
                let by_label = ByLabel(&self.version.labels, &prediction.probabilities);
                map.serialize_entry("probabilities", &by_label)?;
                map.serialize_entry("model", &self.version.version)?;
                if *truncated {
                    map.serialize_entry("truncated", truncated)?;
                }
            }
            Err(reason) => {
                map.serialize_entry("line", &self.line.number)?;
                map.serialize_entry("error", reason)?;
            }
        }
        map.end()
    }
}

/// A name of the input's under which its field does not meet another.
fn kept(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut kept = name.to_owned();
    while OWN.contains(&kept.as_str()) || (kept != name && taken(&kept)) {
        kept.insert_str(0, "input_");
    }
    kept
}

struct ByLabel<'a>(&'a [String], &'a [f32]);

impl Serialize for ByLabel<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_with_a_name_of_ours_is_kept_under_one_that_is_free() {
        let taken = |name: &str| ["label", "input_label"].contains(&name);
        assert_eq!(kept("text", taken), "text");
        assert_eq!(kept("input_label", taken), "input_label");
        assert_eq!(kept("label", taken), "input_input_label");
        assert_eq!(kept("error", taken), "input_error");
    }
}
