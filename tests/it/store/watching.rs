//! What the watch over the feed keeps: leases, panes, windows.

use std::time::Duration;

use serde_json::json;
use tidewatch::record::Pane;
use tidewatch::store::{AlertStep, KeptAlert, KeptNotice, KeptReport, KeptWindow, Lease, Watched};

use super::*;

const LONG: Duration = Duration::from_secs(60);

async fn lease(fixture: &Fixture, holder: &str, lasts: Duration) -> Option<Lease> {
    fixture.store.lease("drift", holder, lasts).await.unwrap()
}

fn window(number: i64) -> KeptWindow {
    KeptWindow {
        model: 1,
        number,
        started: Utc::now(),
        ended: Utc::now(),
        messages: 200,
        distinct: 190,
        late: 0,
        verdict: "drift".into(),
        p: Some(1e-6),
        foremost: Some("classes".into()),
        detail: json!({
            "classes": {"bad": 0.75, "good": 0.25},
            "by_source": {"": {"messages": 200, "distinct": 190, "verdict": "drift", "adjusted": 1e-6, "against": "all"}},
        }),
        counts: vec![1],
    }
}

fn alert() -> KeptAlert {
    KeptAlert {
        id: "a".into(),
        rule: "negative rises".into(),
        source: None,
        subject: Some("coffee".into()),
        label: "negative".into(),
        direction: "rise".into(),
        started: Utc::now(),
        opened: Utc::now(),
        updated: Utc::now(),
        resolved: None,
        normal: 0.25,
        share: 0.5,
        messages: 80,
        detail: json!({}),
    }
}

/// A window that opened an alarm, with its report, and an alert, with a notice.
pub(super) async fn judge_a_window(fixture: &Fixture) {
    let held = lease(fixture, "one", LONG).await.unwrap();
    let step = Watched {
        windows: vec![window(0)],
        reports: vec![KeptReport {
            id: "1-0-opened".into(),
            model: 1,
            number: 0,
            change: "opened".into(),
            report: json!({"alarm": {"severity": "high"}}),
        }],
        alerts: AlertStep {
            alerts: vec![alert()],
            ..AlertStep::default()
        },
        notices: vec![KeptNotice {
            id: "a-opened".into(),
            kind: "alert",
            about: "a".into(),
            body: json!({"status": "opened"}),
            receivers: vec!["webhook on-call".into()],
        }],
        ..Watched::default()
    };
    assert!(fixture.store.write_watched(&held, &step).await.unwrap());
}

/// A chunk of these offsets of partition 0, with a pane.
fn watched(offsets: std::ops::Range<i64>, payload: &[u8]) -> ScoredChunk {
    let mut chunk = chunk(messages(offsets.clone()));
    chunk.panes = vec![Pane {
        partition: partition(0),
        offsets,
        model: model("m1"),
        payload: payload.to_vec(),
    }];
    chunk
}

#[tokio::test]
async fn a_duty_has_one_holder_until_its_lease_ends_or_is_given_back() {
    let fixture = Fixture::new().await;
    let first = lease(&fixture, "one", LONG).await.unwrap();
    assert_eq!(lease(&fixture, "two", LONG).await, None);
    assert_eq!(lease(&fixture, "one", LONG).await, Some(first.clone()));
    fixture.store.release(&first).await.unwrap();
    let second = lease(&fixture, "two", Duration::ZERO).await.unwrap();
    assert!(second.token > first.token);
    let third = lease(&fixture, "one", LONG).await.unwrap();
    assert!(third.token > second.token, "an ended lease is anybody's");
}

#[tokio::test]
async fn whoever_has_lost_the_lease_changes_nothing() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    let chunk = watched(0..3, b"pane");
    fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
    let stale = lease(&fixture, "one", Duration::ZERO).await.unwrap();
    let current = lease(&fixture, "two", LONG).await.unwrap();
    let panes = fixture
        .store
        .panes_below(&[(partition(0), 3)], 10)
        .await
        .unwrap();
    let step = Watched {
        counted: panes,
        windows: vec![window(0)],
        ..Watched::default()
    };
    assert!(!fixture.store.write_watched(&stale, &step).await.unwrap());
    assert_eq!(
        fixture.number("SELECT count(*) FROM drift_windows").await,
        0
    );
    assert_eq!(fixture.number("SELECT count(*) FROM drift_panes").await, 1);
    assert!(fixture.store.write_watched(&current, &step).await.unwrap());
    assert_eq!(fixture.number("SELECT count(*) FROM drift_panes").await, 0);
    let positions = fixture.store.watched_positions().await.unwrap();
    assert_eq!(positions.get(&partition(0)), Some(&3));
}

#[tokio::test]
async fn a_chunk_takes_the_place_of_every_pane_that_was_left_above_its_beginning() {
    let fixture = Fixture::new().await;
    let epochs = fixture.claim(&[0]).await;
    for (offsets, payload) in [(0..5, b"a"), (5..20, b"b"), (5..9, b"c"), (9..12, b"d")] {
        let chunk = watched(offsets, payload);
        fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
    }
    let kept = |panes: Vec<tidewatch::store::KeptPane>| -> Vec<_> {
        panes
            .into_iter()
            .map(|pane| (pane.offsets, pane.payload))
            .collect()
    };
    let all = fixture
        .store
        .panes_below(&[(partition(0), 100)], 10)
        .await
        .unwrap();
    assert_eq!(
        kept(all),
        [
            (0..5, b"a".to_vec()),
            (5..9, b"c".to_vec()),
            (9..12, b"d".to_vec())
        ]
    );
    let committed = fixture
        .store
        .panes_below(&[(partition(0), 8)], 10)
        .await
        .unwrap();
    assert_eq!(
        kept(committed),
        [(0..5, b"a".to_vec())],
        "a pane is committed as a whole"
    );
    let none = fixture
        .store
        .panes_below(&[(partition(1), 100)], 10)
        .await
        .unwrap();
    assert_eq!(none, []);
}
