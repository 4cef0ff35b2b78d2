//! From a record of the topic of labels to a label, or to the reason why it is none.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::config::LabelFields;
use super::{Label, LabelFault, Reference, Sampling};
use crate::clock;
use crate::json::{Path, kind};
use crate::record::Origin;

/// Reads records of labels.
#[derive(Debug, Clone)]
pub struct LabelDecoder {
    id: Path,
    topic: Path,
    partition: Path,
    offset: Path,
    label: Path,
    annotator: Path,
    time: Path,
    sampling: Path,
}

impl LabelDecoder {
    #[must_use]
    pub fn new(fields: &LabelFields) -> Self {
        Self {
            id: Path::new(&fields.id),
            topic: Path::new(&fields.topic),
            partition: Path::new(&fields.partition),
            offset: Path::new(&fields.offset),
            label: Path::new(&fields.label),
            annotator: Path::new(&fields.annotator),
            time: Path::new(&fields.time),
            sampling: Path::new(&fields.sampling),
        }
    }

    /// The label that a record holds. `kafka_time` stands in for a time that is missing, cannot be read or is later: a label
    /// cannot be given after Kafka had it.
    ///
    /// # Errors
    /// Why it holds none, with a sentence for a person.
    pub fn decode(
        &self,
        payload: Option<&[u8]>,
        kafka_time: DateTime<Utc>,
    ) -> Result<Label, (LabelFault, String)> {
        let undecodable = |detail| (LabelFault::Undecodable, detail);
        let payload = payload.ok_or_else(|| undecodable("the record has no value".to_owned()))?;
        let value: Value = serde_json::from_slice(payload)
            .map_err(|error| undecodable(format!("expected JSON: {error}")))?;
        self.decode_value(&value, kafka_time)
    }

    /// The same of JSON that is read already; `arrived` is the time at which it came.
    ///
    /// # Errors
    /// Why it holds none, with a sentence for a person.
    pub fn decode_value(
        &self,
        value: &Value,
        arrived: DateTime<Utc>,
    ) -> Result<Label, (LabelFault, String)> {
        if !value.is_object() {
            let found = kind(value);
            let detail = format!("expected a JSON object, found {found}");
            return Err((LabelFault::Undecodable, detail));
        }
        let label = self.label.text(value).ok_or_else(|| {
            let detail = format!("there is no label in the field {}", self.label);
            (LabelFault::NoLabel, detail)
        })?;
        let sampling = match self.sampling.text(value) {
            None => Sampling::default(),
            Some(name) => Sampling::named(&name).ok_or_else(|| {
                let detail = format!(
                    "the field {} is neither random nor uncertain",
                    self.sampling
                );
                (LabelFault::UnknownSampling, detail)
            })?,
        };
        let time = self.time.text(value);
        let given_at = time.and_then(|time| clock::parse_time(&time));
        Ok(Label {
            message: self.message(value)?,
            label,
            annotator: self.annotator.text(value).unwrap_or_default(),
            sampling,
            given_at: given_at.map_or(arrived, |time| time.min(arrived)),
        })
    }

    fn message(&self, value: &Value) -> Result<Reference, (LabelFault, String)> {
        let number = |path: &Path| path.text(value)?.parse::<i64>().ok();
        let topic = self.topic.text(value);
        let partition = number(&self.partition).and_then(|number| i32::try_from(number).ok());
        if let (Some(topic), Some(partition), Some(offset)) =
            (&topic, partition, number(&self.offset))
        {
            return Ok(Reference::Place(Origin {
                topic: topic.as_str().into(),
                partition,
                offset,
            }));
        }
        match self.id.text(value) {
            Some(id) => Ok(Reference::Id { id, topic }),
            None => Err((
                LabelFault::NoMessage,
                "it names no message, neither by its id nor by topic, partition and offset"
                    .to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    fn decoder() -> LabelDecoder {
        LabelDecoder::new(&Config::load(None).unwrap().labels.fields)
    }

    fn now() -> DateTime<Utc> {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn decode(payload: &str) -> Result<Label, (LabelFault, String)> {
        decoder().decode(Some(payload.as_bytes()), now())
    }

    #[test]
    fn a_label_names_its_message_by_place_or_by_id() {
        let by_place = decode(
            r#"{"id":"7","origin":{"topic":"posts","partition":1,"offset":"42"},"label":"Positive","annotator":"ann",
                "labelled_at":"2026-01-01T00:00:00Z","sampling":"uncertain"}"#,
        )
        .unwrap();
        let place = Origin {
            topic: "posts".into(),
            partition: 1,
            offset: 42,
        };
        assert_eq!(by_place.message, Reference::Place(place));
        assert_eq!(
            (&*by_place.label, &*by_place.annotator, by_place.sampling),
            ("Positive", "ann", Sampling::Uncertain)
        );
        assert_eq!(by_place.given_at.timestamp(), 1_767_225_600);
        let by_id = decode(r#"{"id":7,"label":"positive"}"#).unwrap();
        let id = "7".to_owned();
        assert_eq!(by_id.message, Reference::Id { id, topic: None });
        assert_eq!(
            (&*by_id.annotator, by_id.sampling, by_id.given_at),
            ("", Sampling::Random, now())
        );
    }

    #[test]
    fn a_time_that_is_no_time_or_lies_ahead_is_kafkas() {
        for time in [r#""soon""#, "4102444800", "null"] {
            let label = decode(&format!(r#"{{"id":"7","label":"x","labelled_at":{time}}}"#));
            assert_eq!(label.unwrap().given_at, now(), "{time}");
        }
    }

    #[test]
    fn what_is_no_label_is_named_with_its_reason() {
        for (payload, fault) in [
            ("{", LabelFault::Undecodable),
            ("[]", LabelFault::Undecodable),
            (r#"{"label":"x"}"#, LabelFault::NoMessage),
            (
                r#"{"origin":{"topic":"a","offset":3},"label":"x"}"#,
                LabelFault::NoMessage,
            ),
            (r#"{"id":"7"}"#, LabelFault::NoLabel),
            (r#"{"id":"7","label":{}}"#, LabelFault::NoLabel),
            (
                r#"{"id":"7","label":"x","sampling":"mine"}"#,
                LabelFault::UnknownSampling,
            ),
        ] {
            assert_eq!(decode(payload).unwrap_err().0, fault, "{payload}");
        }
        let tombstone = decoder().decode(None, now()).unwrap_err();
        assert_eq!(tombstone.0, LabelFault::Undecodable);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_decoder(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decoder().decode(Some(&payload), now());
        }
    }
}
