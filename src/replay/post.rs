//! A message on its way into Kafka.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};

/// One message as it will stand in the input topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// When the post was written, where that is known; pacing and order by event time go by it.
    pub event_time: Option<DateTime<Utc>>,
}

/// What a post says, before it becomes JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostFields {
    pub id: Option<String>,
    pub text: String,
    pub author: Option<String>,
    pub source: Option<String>,
    pub subject: Option<String>,
    pub language: Option<String>,
    /// The label a person gave, passed on so that a reader of the topic can compare; scoring ignores it.
    pub label: Option<String>,
    pub event_time: Option<DateTime<Utc>>,
}

impl PostFields {
    /// The fields as a JSON object, absent ones left out.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Option<&String>| {
            if let Some(value) = value {
                object.insert(name.to_owned(), Value::String(value.clone()));
            }
        };
        put("id", self.id.as_ref());
        put("text", Some(&self.text));
        put("author", self.author.as_ref());
        put("source", self.source.as_ref());
        put("subject", self.subject.as_ref());
        put("language", self.language.as_ref());
        put("label", self.label.as_ref());
        if let Some(time) = self.event_time {
            let text = time.to_rfc3339_opts(SecondsFormat::Millis, true);
            object.insert("event_time".to_owned(), Value::String(text));
        }
        Value::Object(object)
    }
}

impl From<PostFields> for Post {
    /// The post as a JSON message, keyed by its id so that the same post always meets the same partition.
    fn from(fields: PostFields) -> Self {
        Self {
            value: Some(fields.to_json().to_string().into_bytes()),
            event_time: fields.event_time,
            key: fields.id.map(String::into_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_fields_are_left_out_of_the_message() {
        let post = Post::from(PostFields {
            id: Some("7".into()),
            text: "fine \u{1F600}".into(),
            event_time: DateTime::from_timestamp_millis(1_500),
            ..PostFields::default()
        });
        assert_eq!(post.key.as_deref(), Some(b"7".as_slice()));
        assert_eq!(
            post.value.as_deref(),
            Some(
                r#"{"id":"7","text":"fine 😀","event_time":"1970-01-01T00:00:01.500Z"}"#.as_bytes()
            )
        );
    }
}
