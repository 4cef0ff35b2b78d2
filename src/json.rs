//! Values in JSON objects whose shape somebody else has chosen.

use serde_json::Value;

/// Where a value stands: names of members, with dots between those of nested objects (`user.name`). An empty one leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl Path {
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self(match path {
            "" => Vec::new(),
            path => path.split('.').map(str::to_owned).collect(),
        })
    }

    /// The value there, if there is one.
    #[must_use]
    pub fn at<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        if self.0.is_empty() {
            return None;
        }
        self.0.iter().try_fold(value, |value, name| value.get(name))
    }

    /// The value there as text; objects, arrays and empty strings are none.
    #[must_use]
    pub fn text(&self, value: &Value) -> Option<String> {
        match self.at(value)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// What a value is, in words.
#[must_use]
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_a_value_or_nowhere() {
        let value = json!({"a": {"b": 7, "c": {}, "d": ""}});
        assert_eq!(Path::new("a.b").text(&value).as_deref(), Some("7"));
        for nowhere in ["", "a", "a.c", "a.d", "a.b.c", "x"] {
            assert_eq!(Path::new(nowhere).text(&value), None, "{nowhere}");
        }
        assert_eq!(Path::new("a.c").at(&value), Some(&json!({})));
    }
}
