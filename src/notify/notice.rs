//! What is told, in the words of each receiver.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::config::{Format, Kind};
use super::courier::BELIEVED;
use super::{drift, model};
use crate::alerts::Event;
use crate::alerts::payload;
use crate::store::Due;

/// A notice out of Postgres.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    Alert(Box<Event>),
    /// The report of a drift alarm, as it stands in the topic of reports.
    Drift(Value),
    /// A step of the closed loop: `event`, `at`, a `sentence`, and what it is about.
    Model(Value),
}

/// Why a notice cannot be told.
#[derive(Debug, thiserror::Error)]
#[error("the notice cannot be read ({0}); it was written by another version of the program")]
pub struct NoticeError(String);

impl Notice {
    /// Out of what is due.
    ///
    /// # Errors
    ///
    /// Another version of the program has written it.
    pub fn of(due: &Due) -> Result<Self, NoticeError> {
        if due.kind == Kind::Drift.as_str() {
            return Ok(Self::Drift(due.body.clone()));
        }
        if due.kind == Kind::Model.as_str() {
            return Ok(Self::Model(due.body.clone()));
        }
        serde_json::from_value(due.body.clone())
            .map(|event| Self::Alert(Box::new(event)))
            .map_err(|error| NoticeError(error.to_string()))
    }

    /// `opened`, `updated` or `resolved`; of a model the event, such as `training_started` or `promote`.
    #[must_use]
    pub fn status(&self) -> &str {
        match self {
            Self::Alert(event) => event.status.as_str(),
            Self::Drift(report) => report["change"].as_str().unwrap_or_default(),
            Self::Model(step) => step["event"].as_str().unwrap_or_default(),
        }
    }

    /// What has happened, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Alert(event) => format!(
                "Alert {}: {}.",
                event.status.as_str(),
                payload::headline(&event.alert)
            ),
            Self::Drift(report) => drift::sentence(report),
            Self::Model(step) => model::sentence(step),
        }
    }

    /// The body for a webhook of this format. `now` is for Alertmanager, which forgets what is not repeated.
    #[must_use]
    pub fn body(&self, id: &str, format: Format, now: DateTime<Utc>) -> Value {
        match (self, format) {
            (Self::Alert(event), Format::Generic) => {
                let mut body = payload::generic(event);
                body["id"] = json!(id);
                body["kind"] = json!(Kind::Alert);
                body
            }
            (Self::Alert(event), Format::Slack) => payload::slack(event),
            (Self::Alert(event), Format::Alertmanager) => {
                let mut body = payload::alertmanager(&[&event.alert]);
                if event.alert.resolved.is_none() {
                    body[0]["endsAt"] = json!(now + BELIEVED);
                }
                body
            }
            (Self::Drift(report), Format::Generic) => {
                json!({"id": id, "kind": Kind::Drift, "status": report["change"], "report": report})
            }
            (Self::Drift(report), Format::Slack) => json!({"text": drift::sentence(report)}),
            (Self::Drift(report), Format::Alertmanager) => drift::alert(report, now),
            (Self::Model(step), Format::Generic) => {
                json!({"id": id, "kind": Kind::Model, "status": step["event"], "step": step})
            }
            (Self::Model(step), Format::Slack) => json!({"text": model::sentence(step)}),
            (Self::Model(step), Format::Alertmanager) => model::alert(step, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::{Status, sample};

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn drifted(change: &str) -> Notice {
        Notice::Drift(json!({
            "change": change, "since": "2023-11-14T20:00:00Z", "foremost": "vocabulary",
            "alarm": {"severity": "high", "remedy": "ask_for_labels"},
        }))
    }

    #[test]
    fn a_drift_alarm_is_told_in_every_form() {
        let opened = drifted("opened");
        let generic = opened.body("d-1", Format::Generic, now());
        assert_eq!(
            (&generic["id"], &generic["kind"], &generic["status"]),
            (&json!("d-1"), &json!("drift"), &json!("opened"))
        );
        let slack = opened.body("d-1", Format::Slack, now());
        let text = slack["text"].as_str().unwrap();
        assert!(
            text.contains("vocabulary") && text.contains("ask for labels"),
            "{text}"
        );
        let manager = opened.body("d-1", Format::Alertmanager, now());
        assert_eq!(manager[0]["labels"]["alertname"], "TidewatchDrift");
        assert_eq!(manager[0]["endsAt"], json!(now() + BELIEVED));
        let resolved = drifted("resolved").body("d-2", Format::Alertmanager, now());
        assert_eq!(resolved[0]["endsAt"], json!(now()));
    }

    #[test]
    fn a_notice_comes_back_from_what_is_kept_and_another_versions_is_refused() {
        let event = sample(now().timestamp_millis());
        let mut due = Due {
            number: 1,
            id: "a".into(),
            kind: "alert".into(),
            about: event.alert.id.clone(),
            body: json!(event),
            recorded_at: now(),
            attempts: 0,
        };
        let notice = Notice::of(&due).unwrap();
        assert_eq!(notice.status(), Status::Opened.as_str());
        assert_eq!(notice.body("a", Format::Generic, now())["kind"], "alert");
        due.body = json!({"status": "opened"});
        assert!(Notice::of(&due).is_err());
    }
}
