//! Steps of the closed loop in words.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::courier::BELIEVED;

/// A step in a sentence.
pub(super) fn sentence(step: &Value) -> String {
    step["sentence"].as_str().unwrap_or_default().to_owned()
}

/// A step as an alert for Alertmanager, which tells of it once and lets it resolve by itself.
pub(super) fn alert(step: &Value, now: DateTime<Utc>) -> Value {
    json!([{
        "labels": {"alertname": "TidewatchModel", "event": step["event"], "model": step["candidate"]},
        "annotations": {"summary": sentence(step)},
        "startsAt": step["at"],
        "endsAt": now + BELIEVED,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_an_alert_that_ends_by_itself() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap_or_default();
        let step =
            json!({"event": "promote", "at": now, "candidate": "ab", "sentence": "It serves."});
        let alert = alert(&step, now);
        assert_eq!(alert[0]["labels"]["event"], "promote");
        assert_eq!(alert[0]["annotations"]["summary"], "It serves.");
        assert_eq!(alert[0]["endsAt"], json!(now + BELIEVED));
    }
}
