//! Drift reports in words.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::courier::BELIEVED;

/// A report in a sentence.
pub(super) fn sentence(report: &Value) -> String {
    let since = text(&report["since"]);
    let is_of_errors = report["statistic"] == "errors";
    let alarm = &report["alarm"];
    let advice = || {
        format!(
            "severity {}, proposed remedy: {}",
            text(&alarm["severity"]),
            text(&alarm["remedy"]).replace('_', " ")
        )
    };
    match (is_of_errors, report["change"].as_str()) {
        (true, Some("resolved")) => {
            format!(
                "Resolved: the model is wrong no more often than it was (it had been since {since})."
            )
        }
        (true, _) => format!(
            "By the labels that have come in, the model is wrong more often since {since}: {} right, where {} was usual{}.",
            percent(&report["measured"]["accuracy"]["value"]),
            percent(&report["baseline"]["value"]),
            if alarm.is_object() {
                format!("; {}", advice())
            } else {
                String::new()
            },
        ),
        (false, Some("resolved")) => {
            format!(
                "Resolved: the feed is again like the model's data (it had changed since {since})."
            )
        }
        (false, Some("updated")) => {
            format!("Labels tell more of the drift since {since}: {}.", advice())
        }
        (false, _) => format!(
            "The feed has changed since {since}: first of all its {}; {}. See `tidewatch drift explain`.",
            text(&report["foremost"]),
            advice()
        ),
    }
}

/// A report as an alert for Alertmanager.
pub(super) fn alert(report: &Value, now: DateTime<Utc>) -> Value {
    let mut alert = json!({
        "labels": {
            "alertname": "TidewatchDrift",
            "model": report["model"].to_string(),
            "of": if report["statistic"] == "errors" { "errors" } else { "feed" },
        },
        "annotations": {"summary": sentence(report)},
        "startsAt": report["since"],
    });
    let is_over = report["change"] == "resolved";
    alert["endsAt"] = json!(if is_over { now } else { now + BELIEVED });
    json!([alert])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("unknown").to_owned()
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or_else(
        || "an unknown share".to_owned(),
        |share| format!("{:.0} %", share * 100.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_report_has_a_sentence_of_its_own() {
        let said = |change: &str, statistic: Option<&str>| {
            sentence(&json!({
                "change": change, "since": "S", "statistic": statistic, "foremost": "lengths",
                "measured": {"accuracy": {"value": 0.5}}, "baseline": {"value": 0.75},
                "alarm": {"severity": "high", "remedy": "ask_for_labels"},
            }))
        };
        for (change, statistic, part) in [
            (
                "opened",
                None,
                "first of all its lengths; severity high, proposed remedy: ask for labels",
            ),
            ("updated", None, "Labels tell more"),
            ("resolved", None, "like the model's data"),
            ("opened", Some("errors"), "50 % right, where 75 % was usual"),
            ("resolved", Some("errors"), "no more often"),
        ] {
            let said = said(change, statistic);
            assert!(said.contains(part), "{said}");
        }
    }
}
