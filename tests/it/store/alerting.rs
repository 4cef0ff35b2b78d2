//! What the watch over sentiment keeps.

use std::time::Duration;

use tidewatch::store::{AlertStep, KeptCell, KeptKey, KeptSeries, Watched};

use super::*;

fn key(subject: &str) -> KeptKey {
    KeptKey {
        level: "subject",
        source: String::new(),
        subject: subject.into(),
    }
}

fn series(subject: &str, payload: &[u8]) -> KeptSeries {
    KeptSeries {
        key: key(subject),
        heard: at(60),
        payload: payload.to_vec(),
    }
}

fn cell(subject: &str, minute: i64, counts: [i64; 6]) -> KeptCell {
    KeptCell {
        key: key(subject),
        started: at(minute),
        counts: counts.to_vec(),
        score: -0.5,
    }
}

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::minutes(minute)
}

async fn write(fixture: &Fixture, alerts: AlertStep) {
    let lease = fixture
        .store
        .lease("drift", "one", Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    let step = Watched {
        alerts,
        ..Watched::default()
    };
    assert!(fixture.store.write_watched(&lease, &step).await.unwrap());
}

#[tokio::test]
async fn series_and_open_cells_come_back_as_they_were_written_last() {
    let fixture = Fixture::new().await;
    let first = AlertStep {
        series: vec![series("tea", b"old"), series("milk", b"m")],
        cells: vec![
            cell("tea", 0, [3, 2, 2, 1, 1, 1]),
            cell("tea", 5, [1, 1, 1, 0, 0, 0]),
            cell("milk", 5, [9, 9, 9, 9, 9, 9]),
        ],
        ..AlertStep::default()
    };
    write(&fixture, first).await;
    let second = AlertStep {
        series: vec![series("tea", b"new")],
        dropped: vec![key("milk")],
        cells: vec![cell("tea", 5, [2, 2, 2, 1, 1, 1])],
        closed: vec![(key("tea"), at(0)), (key("milk"), at(5))],
        alerts: Vec::new(),
    };
    write(&fixture, second).await;
    assert_eq!(
        fixture.store.alert_series().await.unwrap(),
        [series("tea", b"new")]
    );
    assert_eq!(
        fixture.store.alert_cells().await.unwrap(),
        [cell("tea", 5, [2, 2, 2, 1, 1, 1])]
    );
}

#[tokio::test]
async fn the_past_is_handed_over_by_the_hour_and_within_its_span() {
    let fixture = Fixture::new().await;
    let minutes = [
        (0, "good", 2),
        (20, "good", 3),
        (20, "bad", 1),
        (70, "good", 4),
        (200, "bad", 9),
    ];
    for (minute, label, messages) in minutes {
        sqlx::query("INSERT INTO sentiment_minute (minute, source, subject, label, messages) VALUES ($1, 'x', 'tea', $2, $3)")
            .bind(at(minute))
            .bind(label)
            .bind(i64::from(messages))
            .execute(&fixture.pool)
            .await
            .unwrap();
    }
    let mut past = Vec::new();
    fixture
        .store
        .past_sentiment(at(0), at(200), |hour| past.push(hour))
        .await
        .unwrap();
    // The span begins at 22:13: the first two minutes share an hour, the third lies in the next.
    let said: Vec<(&str, i64)> = past
        .iter()
        .map(|past| (&*past.label, past.messages))
        .collect();
    assert_eq!(said.len(), 3, "{past:?}");
    assert!(
        said.contains(&("bad", 1)) && said.contains(&("good", 5)) && said.contains(&("good", 4))
    );
    assert!(past.is_sorted_by_key(|past| past.hour));
    assert!(
        past.iter()
            .all(|past| past.subject == "tea" && past.source == "x")
    );
}
