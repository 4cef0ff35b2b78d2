//! The `[labels]` section. Defaults stand in `config/default.toml`.

use serde::Deserialize;

/// How labels come in, and how long they are kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsConfig {
    /// The topic they come by. Empty: none.
    pub topic: String,
    /// Days for which labels are kept, with the messages they are about.
    pub retention_days: u32,
    /// Where each field stands in a JSON object.
    pub fields: LabelFields,
}

/// Paths into a JSON object, with dots between the names of nested objects (`origin.offset`). Empty: it has no such field.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelFields {
    /// The message's own id.
    pub id: String,
    /// The message's place in Kafka.
    pub topic: String,
    pub partition: String,
    pub offset: String,
    pub label: String,
    pub annotator: String,
    /// When the label was given: RFC 3339 text, or a number of seconds or milliseconds since the epoch.
    pub time: String,
    /// `random` or `uncertain`.
    pub sampling: String,
}

impl LabelsConfig {
    /// Says what makes no sense, if anything does.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.retention_days == 0 {
            return Err("[labels] retention_days must be at least 1".to_owned());
        }
        let fields = &self.fields;
        let place = [&fields.topic, &fields.partition, &fields.offset];
        if fields.id.is_empty() && place.iter().any(|field| field.is_empty()) {
            return Err(
                "[labels.fields] must say where a label names its message: by id, or by topic, partition and offset".to_owned(),
            );
        }
        if fields.label.is_empty() {
            return Err("[labels.fields] label is empty: say where the label stands".to_owned());
        }
        Ok(())
    }
}
