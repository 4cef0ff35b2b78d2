//! Labels find their messages, whichever comes first.

use tidewatch::labels::{Label, LabelFault, Reference, Sampling};
use tidewatch::store::{LabelIntake, LabelledMessage, Lease, RejectedLabel, Watched};

use super::*;

const LONG: Duration = Duration::from_secs(60);

pub(super) fn label(message: Reference, annotator: &str, label: &str) -> Label {
    Label {
        message,
        label: label.into(),
        annotator: annotator.into(),
        sampling: Sampling::Random,
        given_at: Utc::now(),
    }
}

pub(super) fn place(offset: i64) -> Reference {
    Reference::Place(raw(0, offset).origin)
}

pub(super) fn id(offset: i64) -> Reference {
    Reference::Id {
        id: format!("id-{offset}"),
        topic: None,
    }
}

pub(super) async fn lease(fixture: &Fixture) -> Lease {
    let lease = fixture.store.lease("drift", "one", LONG).await.unwrap();
    lease.unwrap()
}

/// Everything that waits is tried again at once.
pub(super) async fn matched(fixture: &Fixture, committed: i64) -> tidewatch::store::Matched {
    sqlx::query("UPDATE labels SET tried_at = NULL WHERE NOT matched")
        .execute(&fixture.pool)
        .await
        .unwrap();
    let held = lease(fixture).await;
    let committed = [(partition(0), committed)];
    let done = fixture.store.match_labels(&held, &committed, 100).await;
    done.unwrap().unwrap()
}

pub(super) async fn pending(fixture: &Fixture) -> Vec<LabelledMessage> {
    fixture.store.pending_labelled(100).await.unwrap()
}

pub(super) async fn write(fixture: &Fixture, offsets: std::ops::Range<i64>) {
    let epochs = fixture.claim(&[0]).await;
    let chunk = chunk(messages(offsets));
    fixture.store.write_chunk(&chunk, &epochs).await.unwrap();
}

/// A message with a label, and a record that is none.
pub(super) async fn label_a_message(fixture: &Fixture) {
    let held = lease(fixture).await;
    let intake = LabelIntake {
        labels: vec![label(place(1), "ann", "Positive")],
        rejected: vec![RejectedLabel {
            reason: LabelFault::NoLabel,
            detail: "labels[0]@3: there is no label in the field label".into(),
            payload: Some(b"{}".to_vec()),
        }],
        next: vec![(partition(7), 4)],
        ..LabelIntake::default()
    };
    assert!(fixture.store.take_labels(&held, &intake).await.unwrap());
    assert_eq!(matched(fixture, 1_000).await.found, 1);
}

#[tokio::test]
async fn a_label_waits_for_its_message_and_finds_it_by_place_or_by_id_once_it_is_committed() {
    let fixture = Fixture::new().await;
    let labels = [
        label(place(0), "ann", "negative"),
        label(id(1), "ann", " POSITIVE "),
    ];
    fixture.store.add_labels(&labels).await.unwrap();
    assert_eq!(
        matched(&fixture, 10).await.found,
        0,
        "nothing is scored yet"
    );
    write(&fixture, 0..3).await;
    assert_eq!(
        matched(&fixture, 1).await.found,
        1,
        "only the first is committed"
    );
    assert_eq!(matched(&fixture, 2).await.found, 1);
    let found = pending(&fixture).await;
    let said: Vec<_> = found
        .iter()
        .map(|message| {
            (
                message.origin.offset,
                message.label.as_deref(),
                message.answer(),
            )
        })
        .collect();
    // The message at an offset has the label of that number.
    assert_eq!(
        said,
        [
            (0, Some("negative"), Some(true)),
            (1, Some("positive"), Some(false))
        ]
    );
    assert_eq!(found[1].text.as_deref(), Some("text 1"));
    assert_eq!(
        matched(&fixture, 3).await.fresh,
        0,
        "nothing waits any more"
    );
}

#[tokio::test]
async fn a_later_label_of_one_annotator_replaces_and_a_tie_of_several_is_no_label() {
    let fixture = Fixture::new().await;
    write(&fixture, 0..1).await;
    let mut early = label(place(0), "ann", "positive");
    early.given_at -= TimeDelta::hours(1);
    let labels = [label(id(0), "ann", "negative"), early];
    fixture.store.add_labels(&labels).await.unwrap();
    matched(&fixture, 1).await;
    assert_eq!(
        pending(&fixture).await[0].label.as_deref(),
        Some("negative")
    );
    assert_eq!(fixture.number("SELECT count(*) FROM labels").await, 1);
    let other = label(place(0), "bob", "neutral");
    fixture.store.add_labels(&[other]).await.unwrap();
    matched(&fixture, 1).await;
    let tied = pending(&fixture).await;
    assert_eq!((tied[0].label.as_deref(), tied[0].answer()), (None, None));
    let third = label(place(0), "cyd", "neutral");
    fixture.store.add_labels(&[third]).await.unwrap();
    matched(&fixture, 1).await;
    assert_eq!(pending(&fixture).await[0].label.as_deref(), Some("neutral"));
}

#[tokio::test]
async fn a_label_that_the_model_does_not_have_is_rejected_with_what_it_was() {
    let fixture = Fixture::new().await;
    write(&fixture, 0..1).await;
    fixture
        .store
        .add_labels(&[label(place(0), "ann", "postive\0")])
        .await
        .unwrap();
    let done = matched(&fixture, 1).await;
    assert_eq!(done.rejected, [LabelFault::UnknownLabel]);
    assert_eq!(fixture.number("SELECT count(*) FROM labels").await, 0);
    let detail: String = sqlx::query_scalar("SELECT detail FROM v_rejected_labels")
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    assert!(detail.contains("posts[0]@0") && detail.contains("negative, neutral, positive"));
}

#[tokio::test]
async fn labels_and_positions_are_written_together_by_whoever_holds_the_lease() {
    let fixture = Fixture::new().await;
    let stale = lease(&fixture).await;
    fixture.store.release(&stale).await.unwrap();
    let held = fixture.store.lease("drift", "two", LONG).await.unwrap();
    let intake = LabelIntake {
        labels: vec![label(place(0), "ann", "negative")],
        next: vec![(partition(5), 9)],
        ..LabelIntake::default()
    };
    assert!(!fixture.store.take_labels(&stale, &intake).await.unwrap());
    assert_eq!(fixture.number("SELECT count(*) FROM labels").await, 0);
    let held = held.unwrap();
    assert!(fixture.store.take_labels(&held, &intake).await.unwrap());
    let positions = fixture.store.watched_positions().await.unwrap();
    assert_eq!(positions.get(&partition(5)), Some(&9));
    let lost = fixture.store.match_labels(&stale, &[], 10).await.unwrap();
    assert_eq!(lost, None);
}

#[tokio::test]
async fn labelled_messages_are_read_back_from_a_moment_on_with_what_they_are_about() {
    let fixture = Fixture::new().await;
    write(&fixture, 0..2).await;
    label_a_message(&fixture).await;
    let all = fixture
        .store
        .labelled_since(DateTime::UNIX_EPOCH, 10)
        .await
        .unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].label.as_deref(), Some("positive"));
    assert_eq!(all[0].sampling, Sampling::Random);
    assert!(all[0].text.is_some());
    let later = all[0].event_time + TimeDelta::milliseconds(1);
    let none = fixture.store.labelled_since(later, 10).await.unwrap();
    assert_eq!(none, []);
}

#[tokio::test]
async fn a_message_is_counted_once_and_kept_as_long_as_its_labels() {
    let fixture = Fixture::new().await;
    write(&fixture, 0..2).await;
    label_a_message(&fixture).await;
    let mut labelled = pending(&fixture).await;
    labelled[0].counted = true;
    let held = lease(&fixture).await;
    let step = Watched {
        labelled,
        ..Watched::default()
    };
    assert!(fixture.store.write_watched(&held, &step).await.unwrap());
    assert_eq!(pending(&fixture).await, []);
    let again = label(place(1), "bob", "neutral");
    fixture.store.add_labels(&[again]).await.unwrap();
    matched(&fixture, 2).await;
    let changed = pending(&fixture).await;
    assert!(changed[0].counted && changed[0].label.is_none());
    fixture
        .store
        .trim_labels(Utc::now() - TimeDelta::hours(1))
        .await
        .unwrap();
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM labelled_messages")
            .await,
        1
    );
    fixture
        .store
        .trim_labels(Utc::now() + TimeDelta::hours(1))
        .await
        .unwrap();
    for empty in ["labels", "labelled_messages", "rejected_labels"] {
        let count = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(format!(
            "SELECT count(*) FROM {empty}"
        )));
        assert_eq!(count.fetch_one(&fixture.pool).await.unwrap(), 0, "{empty}");
    }
}
