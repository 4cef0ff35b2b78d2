//! Series come and go: bounds and stored state.

use super::*;

fn of(subject: &str, mut cell: Cell) -> Cell {
    cell.key = SeriesKey::new(None, Some(subject));
    cell
}

#[test]
fn the_series_heard_longest_ago_are_dropped() {
    let mut config = config("[[rule]]\nname = 'r'");
    config.max_series = 8;
    let mut book = Book::new(&config, &labels()).unwrap();
    for hour in 0..100 {
        book.observe(&of("heard always", cell(hour, 4, 6)));
        book.observe(&of(&format!("heard in hour {hour}"), cell(hour, 4, 6)));
        assert!(book.series() <= 8);
    }
    for (subject, kept) in [
        ("heard always", true),
        ("heard in hour 99", true),
        ("heard in hour 80", false),
    ] {
        assert_eq!(
            book.series_state(&SeriesKey::new(None, Some(subject)))
                .is_some(),
            kept,
            "{subject}"
        );
    }
}

#[test]
fn an_alert_of_a_series_that_is_dropped_is_resolved() {
    let mut config = config("[[rule]]\nname = 'r'");
    config.max_series = 1;
    let mut book = Book::new(&config, &labels()).unwrap();
    feed(&mut book, 0..240, 40);
    assert_eq!(statuses(&feed(&mut book, 240..250, 70)), [Status::Opened]);
    let events = book.observe(&of("another", cell(251, 4, 6)));
    assert_eq!(statuses(&events), [Status::Resolved]);
    assert_eq!(events[0].alert.resolution, Some(Resolution::Silent));
    assert!(book.open().is_empty());
}

#[test]
fn a_stored_series_takes_less_than_a_kilobyte() {
    let mut book = book("");
    feed(&mut book, 0..240, 40);
    feed(&mut book, 240..250, 70);
    let state = book.series_state(&key()).unwrap();
    assert!(state.len() < 1_000, "{}", state.len());
}

#[test]
fn a_series_of_other_labels_is_not_taken_for_one_of_these() {
    let mut book = book("");
    feed(&mut book, 0..48, 40);
    let state = book.series_state(&key()).unwrap();
    let other = Book::new(
        &config("[[rule]]\nname = 'r'"),
        &["negative".into(), "positive".into()],
    );
    assert_eq!(
        other.unwrap().restore_series(&key(), &state),
        Err(StateError::Other)
    );
    let cut = book.restore_series(&key(), &state[..state.len() - 1]);
    assert!(matches!(cut, Err(StateError::Unreadable(_))), "{cut:?}");
}

#[test]
fn a_new_rule_uses_what_is_known_of_the_label() {
    let mut before = book("");
    feed(&mut before, 0..240, 40);
    let state = before.series_state(&key()).unwrap();
    let mut after = Book::new(
        &config("[[rule]]\nname = 'new'\n[[rule]]\nname = 'score'\nlabel = 'score'"),
        &labels(),
    )
    .unwrap();
    after.restore_series(&key(), &state).unwrap();
    let standing = after.standing(&key());
    assert!(standing[0].normal.is_some() && standing[1].normal.is_none());
    assert_eq!(statuses(&feed(&mut after, 240..260, 70)), [Status::Opened]);
}
