//! The bodies of requests that tell of alerts.

use serde_json::{Map, Value, json};

use super::alert::{Alert, Event, Resolution, Status};
use super::config::{Direction, SCORE};
use super::time::rfc3339;

/// The event as it is: `status`, `at` and `alert`, times in RFC 3339.
#[must_use]
pub fn generic(event: &Event) -> Value {
    serde_json::to_value(event)
        .expect("an event has only keys that are text and numbers that are finite")
}

/// A Slack incoming webhook's message: a line of text for notifications, and blocks.
#[must_use]
pub fn slack(event: &Event) -> Value {
    let alert = &event.alert;
    let (mark, word) = match event.status {
        Status::Opened => (":rotating_light:", "Alert"),
        Status::Updated => (":warning:", "Still open"),
        Status::Resolved => (":white_check_mark:", "Resolved"),
    };
    let headline = escape(&headline(alert));
    let figures = format!(
        "*Normal:* {}\n*Now:* {} ({} to {})\n*Since:* {}\n*Evidence:* {} messages, {} distinct texts{}",
        value(alert, alert.normal),
        value(alert, alert.share),
        value(alert, alert.interval[0]),
        value(alert, alert.interval[1]),
        rfc3339(alert.started),
        alert.messages,
        alert.texts,
        if alert.authors > 0 {
            format!(", {} authors", alert.authors)
        } else {
            String::new()
        },
    );
    let end = alert.resolution.map_or_else(String::new, |resolution| {
        format!(" · {}", ending(resolution))
    });
    let context = format!("rule {} · alert {}{end}", escape(&alert.rule), alert.id);
    json!({
        "text": format!("{word}: {headline}"),
        "blocks": [
            { "type": "section", "text": { "type": "mrkdwn", "text": format!("{mark} *{word}:* {headline}") } },
            { "type": "section", "text": { "type": "mrkdwn", "text": figures } },
            { "type": "context", "elements": [{ "type": "mrkdwn", "text": context }] },
        ],
    })
}

/// The body of `POST /api/v2/alerts` of Alertmanager. Open alerts have no end, so they are to be sent again and again, more
/// often than its `resolve_timeout`. Labels say which series and rule; what changes is in the annotations.
#[must_use]
pub fn alertmanager(alerts: &[&Alert]) -> Value {
    alerts.iter().map(|alert| one(alert)).collect()
}

fn one(alert: &Alert) -> Value {
    let mut labels = Map::new();
    let direction = match alert.direction {
        Direction::Fall => "fall",
        Direction::Rise | Direction::Either => "rise",
    };
    for (name, text) in [
        ("alertname", Some("TidewatchSentiment")),
        ("rule", Some(&*alert.rule)),
        ("source", alert.key.source.as_deref()),
        ("subject", alert.key.subject.as_deref()),
        ("label", Some(&*alert.label)),
        ("direction", Some(direction)),
    ] {
        // To Alertmanager an empty label is none.
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            labels.insert(name.to_owned(), text.into());
        }
    }
    let mut body = json!({
        "labels": labels,
        "annotations": {
            "summary": headline(alert),
            "id": alert.id,
            "normal": value(alert, alert.normal),
            "share": value(alert, alert.share),
            "interval": format!("{} to {}", value(alert, alert.interval[0]), value(alert, alert.interval[1])),
            "messages": alert.messages.to_string(),
            "texts": alert.texts.to_string(),
            "authors": alert.authors.to_string(),
        },
        "startsAt": rfc3339(alert.started),
    });
    if let Some(resolved) = alert.resolved {
        body["endsAt"] = rfc3339(resolved).into();
    }
    body
}

/// What has changed, in a line.
pub fn headline(alert: &Alert) -> String {
    let series = match (alert.key.source.as_deref(), alert.key.subject.as_deref()) {
        (None, None) => "the whole feed".to_owned(),
        (Some(source), None) => source.to_owned(),
        (None, Some(subject)) => subject.to_owned(),
        (Some(source), Some(subject)) => format!("{subject} on {source}"),
    };
    let what = if *alert.label == *SCORE {
        "mean score".to_owned()
    } else {
        format!("{} share", alert.label)
    };
    let (normal, now) = (value(alert, alert.normal), value(alert, alert.share));
    format!("{what} of {series} went from {normal} to {now}")
}

/// A share in percent, or a mean score.
fn value(alert: &Alert, share: f64) -> String {
    if *alert.label == *SCORE {
        format!("{share:+.2}")
    } else {
        format!("{:.0} %", 100.0 * share)
    }
}

fn ending(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Normal => "back to normal",
        Resolution::NewNormal => "has lasted a week and is the new normal",
        Resolution::Silent => "nothing more was heard",
        Resolution::Unwatched => "nobody watches it any more",
    }
}

/// Slack takes these three characters for its own.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::alert::sample;
    use super::super::cell::SeriesKey;
    use super::*;

    const NOW: i64 = 1_424_806_552_000;

    #[test]
    fn slack_gets_a_line_and_blocks_with_its_own_characters_escaped() {
        let mut event = sample(NOW);
        event.alert.key = SeriesKey::new(Some("<!channel>"), Some("AT&T"));
        let body = slack(&event);
        assert_eq!(
            body["text"],
            "Alert: negative share of AT&amp;T on &lt;!channel&gt; went from 41 % to 62 %"
        );
        assert_eq!(body["blocks"][0]["text"]["type"], "mrkdwn");
        assert!(!body.to_string().contains("<!channel>"), "{body}");
    }

    #[test]
    fn alertmanager_gets_the_same_labels_whether_an_alert_is_open_or_over() {
        let open = sample(NOW).alert;
        let mut over = open.clone();
        (over.resolved, over.share) = (Some(NOW + 1_000), 0.5);
        let body = alertmanager(&[&open, &over]);
        assert_eq!(body[0]["labels"], body[1]["labels"]);
        assert_eq!(body[0]["labels"]["subject"], "example");
        assert_eq!(body[0]["labels"].get("source"), None);
        assert_eq!(body[0]["startsAt"], "2015-02-24T16:00:00Z");
        assert_eq!(body[0].get("endsAt"), None);
        assert_eq!(body[1]["endsAt"], "2015-02-24T19:35:53Z");
    }

    #[test]
    fn the_generic_form_is_the_event() {
        let event = sample(NOW);
        let body = generic(&event);
        assert_eq!(body["status"], "opened");
        assert_eq!(serde_json::from_value::<Event>(body).unwrap(), event);
    }

    #[test]
    fn a_mean_score_is_no_percentage() {
        let mut event = sample(NOW);
        event.alert.label = SCORE.into();
        (event.alert.normal, event.alert.share) = (0.1, -0.2);
        assert_eq!(
            slack(&event)["text"],
            "Alert: mean score of example went from +0.10 to -0.20"
        );
    }
}
