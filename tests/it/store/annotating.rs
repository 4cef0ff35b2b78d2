//! The queue of messages to label, and labels that are answered at once.

use tidewatch::labels::{Label, Reference, Sampling};
use tidewatch::store::{KeptPick, Submitted, Watched};

use super::labelling::{id, label, lease, matched, pending, place, write};
use super::*;

fn pick(offset: i64, sampling: Sampling) -> KeptPick {
    KeptPick {
        origin: raw(0, offset).origin,
        sampling,
        random: 0.5,
        uncertain: 0.2,
        margin: 0.1,
    }
}

/// Puts picks of these offsets into the queue.
pub(super) async fn ask(fixture: &Fixture, offsets: &[i64], sampling: Sampling) {
    let step = Watched {
        picks: offsets
            .iter()
            .map(|&offset| pick(offset, sampling))
            .collect(),
        pace: Some(serde_json::json!({"day": 1})),
        ..Watched::default()
    };
    let held = lease(fixture).await;
    assert!(fixture.store.write_watched(&held, &step).await.unwrap());
}

async fn claimed(fixture: &Fixture, annotator: &str, limit: u32) -> Vec<i64> {
    let given = fixture.store.claim_annotations(annotator, limit, 15).await;
    given
        .unwrap()
        .iter()
        .map(|asked| asked.origin.offset)
        .collect()
}

async fn submit(fixture: &Fixture, label: Label) -> Submitted {
    fixture.store.submit_label(&label).await.unwrap()
}

const ACCEPTED: Submitted = Submitted::Accepted {
    waiting: false,
    conflict: false,
};

#[tokio::test]
async fn two_annotators_are_given_different_messages_and_each_its_own_again() {
    let fixture = Fixture::new().await;
    write(&fixture, 0..8).await;
    ask(&fixture, &[0, 2, 4, 6], Sampling::Random).await;
    // Written again, as by a successor that does not know: nothing changes.
    ask(&fixture, &[0, 2, 4, 6], Sampling::Uncertain).await;
    let first = fixture.store.claim_annotations("ann", 2, 15).await.unwrap();
    assert_eq!(first[0].text.as_deref(), Some("text 0"));
    assert_eq!(first[0].labels, ["negative", "neutral", "positive"]);
    assert_eq!(first[0].sampling, Sampling::Random);
    assert_eq!(claimed(&fixture, "bob", 3).await, [4, 6]);
    assert_eq!(claimed(&fixture, "ann", 3).await, [0, 2]);
    assert_eq!(claimed(&fixture, "", 3).await, [] as [i64; 0]);
    let fourth = raw(0, 4).origin;
    let skip = || fixture.store.skip_annotation(&fourth, "bob");
    assert!(skip().await.unwrap());
    assert!(!skip().await.unwrap(), "it waits no more");
    let labelled = submit(&fixture, label(place(6), "bob", "neutral")).await;
    assert_eq!(labelled, ACCEPTED);
    assert_eq!(claimed(&fixture, "bob", 3).await, [] as [i64; 0]);
    // Claims end.
    sqlx::query("UPDATE annotation_queue SET claimed_until = now() - interval '1 minute'")
        .execute(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(claimed(&fixture, "cyd", 3).await, [0, 2]);
    let states: Vec<String> =
        sqlx::query_scalar("SELECT state FROM v_annotations ORDER BY \"offset\"")
            .fetch_all(&fixture.pool)
            .await
            .unwrap();
    assert_eq!(states, ["claimed", "claimed", "skipped", "labelled"]);
    let pace = fixture.store.annotation_pace().await.unwrap();
    assert_eq!(pace, Some(serde_json::json!({"day": 1})));
}

#[tokio::test]
async fn a_label_is_answered_with_what_became_of_it() {
    let fixture = Fixture::new().await;
    write(&fixture, 0..3).await;
    assert_eq!(
        submit(&fixture, label(place(0), "ann", "Neutral")).await,
        ACCEPTED
    );
    let duplicate = submit(&fixture, label(id(0), "ann", " NEUTRAL")).await;
    assert_eq!(duplicate, Submitted::Duplicate, "it waits still");
    matched(&fixture, 3).await;
    let duplicate = submit(&fixture, label(id(0), "ann", "neutral")).await;
    assert_eq!(duplicate, Submitted::Duplicate);
    let conflict = submit(&fixture, label(id(0), "bob", "positive")).await;
    let conflicting = Submitted::Accepted {
        waiting: false,
        conflict: true,
    };
    assert_eq!(conflict, conflicting);
    // Ann agrees with bob in the end.
    assert_eq!(
        submit(&fixture, label(place(0), "ann", "positive")).await,
        ACCEPTED
    );
    matched(&fixture, 3).await;
    let found = pending(&fixture).await;
    assert_eq!(found[0].label.as_deref(), Some("positive"));
    assert_eq!(fixture.number("SELECT count(*) FROM labels").await, 2);
    let unknown = submit(&fixture, label(place(1), "ann", "fine")).await;
    assert!(matches!(unknown, Submitted::Unknown { labels } if labels.len() == 3));
    // Before its message.
    let early = submit(&fixture, label(id(77), "ann", "fine")).await;
    let waits = Submitted::Accepted {
        waiting: true,
        conflict: false,
    };
    assert_eq!(early, waits);
    let again = submit(&fixture, label(id(77), "ann", "fine")).await;
    assert_eq!(again, Submitted::Duplicate);
}

#[tokio::test]
async fn the_queue_says_how_a_message_was_chosen_and_with_what_probability() {
    let fixture = Fixture::new().await;
    write(&fixture, 0..4).await;
    ask(&fixture, &[0, 1], Sampling::Uncertain).await;
    // They do not say how it was chosen, which else means by chance.
    for message in [place(0), place(2), place(3)] {
        submit(&fixture, label(message, "ann", "neutral")).await;
    }
    matched(&fixture, 4).await;
    // Picked after it was labelled.
    ask(&fixture, &[2], Sampling::Random).await;
    let rows: Vec<(i64, String, Option<f64>)> = sqlx::query_as(
        "SELECT \"offset\", sampling, inclusion FROM v_labelled_messages ORDER BY \"offset\"",
    )
    .fetch_all(&fixture.pool)
    .await
    .unwrap();
    let expected = [
        (0, "uncertain".to_owned(), Some(0.6)),
        (2, "random".to_owned(), Some(0.6)),
        (3, "random".to_owned(), None),
    ];
    assert_eq!(rows, expected);
    let picked = fixture.store.picked_labels(None, None, 10).await.unwrap();
    assert_eq!(picked.len(), 2);
    assert_eq!((&*picked[0].truth, picked[0].inclusion), ("neutral", 0.6));
    let later = Utc::now() + TimeDelta::hours(1);
    let none = fixture.store.picked_labels(Some(later), None, 10).await;
    assert!(none.unwrap().is_empty());
    // Only what waits is bounded, and the earliest goes.
    fixture
        .store
        .trim_annotations(later - TimeDelta::days(1), 0)
        .await
        .unwrap();
    let left = fixture.number("SELECT count(*) FROM annotation_queue WHERE state = 'labelled'");
    assert_eq!(left.await, 2);
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM annotation_queue")
            .await,
        2
    );
    fixture.store.trim_annotations(later, 9).await.unwrap();
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM annotation_queue")
            .await,
        0
    );
}

#[tokio::test]
async fn who_has_lost_the_lease_picks_nothing() {
    let fixture = Fixture::new().await;
    write(&fixture, 0..2).await;
    let held = lease(&fixture).await;
    fixture.store.release(&held).await.unwrap();
    let other = fixture.store.lease("drift", "two", Duration::from_secs(60));
    assert!(other.await.unwrap().is_some());
    let step = Watched {
        picks: vec![pick(0, Sampling::Random)],
        ..Watched::default()
    };
    assert!(!fixture.store.write_watched(&held, &step).await.unwrap());
    assert_eq!(
        fixture
            .number("SELECT count(*) FROM annotation_queue")
            .await,
        0
    );
    let unmade = Reference::Place(raw(0, 1).origin);
    assert_eq!(
        submit(&fixture, label(unmade, "ann", "neutral")).await,
        ACCEPTED
    );
}
