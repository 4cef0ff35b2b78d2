//! What a step of the watch shows in metrics and in the log.

use super::Held;
use super::feed::Feed;
use crate::metrics::Metrics;
use crate::notify::config::Kind;
use crate::store::Watched;

/// Counts and logs what a step has brought.
pub(super) fn step(metrics: &Metrics, step: &Watched, held: &Held) {
    for window in &step.windows {
        metrics
            .drift_windows
            .with_label_values(&[&*window.verdict])
            .inc();
        metrics
            .drift_late_messages
            .inc_by(window.late.unsigned_abs());
        tracing::info!(
            number = window.number,
            verdict = window.verdict,
            p = window.p,
            foremost = window.foremost,
            messages = window.messages,
            "a window of the feed has been judged"
        );
    }
    for report in &step.reports {
        tracing::warn!(id = report.id, change = report.change, "drift alarm");
    }
    picks(metrics, step);
    let open = held.feeds.values().map(Feed::alarms).sum();
    metrics.drift_alarms_open.set(open);
    for notice in step
        .notices
        .iter()
        .filter(|notice| notice.kind == Kind::Alert.as_str())
    {
        let status = notice.body["status"].as_str().unwrap_or_default();
        metrics.alert_events.with_label_values(&[status]).inc();
        tracing::warn!(id = notice.about, status, "sentiment alert");
    }
    if let Some(alerting) = &held.alerting {
        metrics.alerts_open.set(alerting.open() as i64);
        metrics.alert_series.set(alerting.series() as i64);
    }
}

/// Counts messages that were picked to be labelled.
pub(super) fn picks(metrics: &Metrics, step: &Watched) {
    for pick in &step.picks {
        let sampling = pick.sampling.as_str();
        metrics
            .annotation_picks
            .with_label_values(&[sampling])
            .inc();
    }
}
