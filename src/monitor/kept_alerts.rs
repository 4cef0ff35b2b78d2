//! Series, cells and alerts as the tables hold them, and back.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::alerts::{Cell, Count, Event, SeriesKey};
use crate::notify::config::Kind;
use crate::store::{KeptAlert, KeptCell, KeptKey, KeptNotice};

/// What is told of an event.
pub(super) fn notice(event: &Event, receivers: &[String]) -> KeptNotice {
    KeptNotice {
        id: format!("{}-{}-{}", event.alert.id, event.status.as_str(), event.at),
        kind: Kind::Alert.as_str(),
        about: event.alert.id.clone(),
        body: json!(event),
        receivers: receivers.to_vec(),
    }
}

pub(super) fn moment(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

pub(super) fn kept_key(key: &SeriesKey) -> KeptKey {
    let name = |name: &Option<Arc<str>>| name.as_deref().unwrap_or_default().to_owned();
    KeptKey {
        level: key.level().as_str(),
        source: name(&key.source),
        subject: name(&key.subject),
    }
}

pub(super) fn key_of(kept: &KeptKey) -> SeriesKey {
    let name = |name: &str| (!name.is_empty()).then(|| Arc::from(name));
    SeriesKey {
        source: name(&kept.source),
        subject: name(&kept.subject),
    }
}

pub(super) fn kept_cell(cell: &Cell) -> KeptCell {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    KeptCell {
        key: kept_key(&cell.key),
        started: moment(cell.start),
        counts: cell
            .counts
            .iter()
            .flat_map(|count| [count.messages, count.texts, count.authors])
            .map(signed)
            .collect(),
        score: cell.score,
    }
}

/// A cell that was kept; none where it was of a model with other labels.
pub(super) fn cell(kept: KeptCell, labels: usize) -> Option<Cell> {
    let counts: Vec<Count> = kept
        .counts
        .chunks_exact(3)
        .map(|three| Count {
            messages: three[0].unsigned_abs(),
            texts: three[1].unsigned_abs(),
            authors: three[2].unsigned_abs(),
        })
        .collect();
    (counts.len() == labels).then(|| Cell {
        key: key_of(&kept.key),
        start: kept.started.timestamp_millis(),
        counts,
        score: kept.score,
    })
}

pub(super) fn kept_alert(event: &Event) -> KeptAlert {
    let alert = &event.alert;
    let name = |name: &Option<Arc<str>>| name.as_deref().map(str::to_owned);
    KeptAlert {
        id: alert.id.clone(),
        rule: alert.rule.to_string(),
        source: name(&alert.key.source),
        subject: name(&alert.key.subject),
        label: alert.label.to_string(),
        direction: alert.direction.as_str().to_owned(),
        started: moment(alert.started),
        opened: moment(alert.opened),
        updated: moment(event.at),
        resolved: alert.resolved.map(moment),
        normal: alert.normal,
        share: alert.share,
        messages: i64::try_from(alert.messages).unwrap_or(i64::MAX),
        detail: json!(event),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_comes_back_as_it_was_kept() {
        let one = Count {
            messages: 5,
            texts: 3,
            authors: 2,
        };
        let written = Cell {
            key: SeriesKey {
                source: None,
                subject: Some("tea".into()),
            },
            start: 600_000,
            counts: vec![one, Count::default()],
            score: -1.5,
        };
        assert_eq!(cell(kept_cell(&written), 2), Some(written.clone()));
        assert_eq!(cell(kept_cell(&written), 3), None, "of another model");
    }
}
