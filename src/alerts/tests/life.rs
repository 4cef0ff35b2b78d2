//! How alerts begin and end.

use super::*;

const DAY: i64 = 24;
/// Hours of history before anything changes.
const PAST: i64 = 10 * DAY;

#[test]
fn a_change_opens_one_alert_that_resolves_when_the_share_is_back() {
    let mut book = book("");
    assert_eq!(feed(&mut book, 0..PAST, 40), []);
    let events = feed(&mut book, PAST..PAST + 20, 70);
    assert_eq!(statuses(&events), [Status::Opened]);
    let alert = &events[0].alert;
    assert_eq!(alert.started, (START + PAST) * HOUR);
    assert!(
        (alert.normal - 0.4).abs() < 0.02 && (alert.share - 0.7).abs() < 0.01,
        "{alert:?}"
    );
    assert!(alert.interval[0] < alert.share && alert.share < alert.interval[1]);
    assert!((alert.score + 0.7).abs() < 0.01 && (alert.normal_score + 0.4).abs() < 0.01);
    assert_eq!(book.open().len(), 1);
    let events = feed(&mut book, PAST + 20..PAST + 5 * DAY, 40);
    assert_eq!(statuses(&events), [Status::Resolved]);
    let last = &events.last().unwrap().alert;
    assert_eq!(
        (last.resolution, &last.id),
        (Some(Resolution::Normal), &alert.id)
    );
    assert!(book.open().is_empty());
}

#[test]
fn the_share_must_be_back_for_six_hours() {
    let mut book = book("");
    feed(&mut book, 0..PAST, 40);
    feed(&mut book, PAST..PAST + 20, 80);
    assert_eq!(statuses(&feed(&mut book, PAST + 20..PAST + 25, 40)), []);
    assert_eq!(
        statuses(&feed(&mut book, PAST + 25..PAST + 26, 40)),
        [Status::Resolved]
    );
}

#[test]
fn a_share_that_stays_half_way_does_not_resolve() {
    let mut book = book("");
    feed(&mut book, 0..PAST, 40);
    feed(&mut book, PAST..PAST + 20, 70);
    assert_eq!(
        statuses(&feed(&mut book, PAST + 20..PAST + 4 * DAY, 47)),
        []
    );
}

#[test]
fn a_change_that_lasts_a_week_is_the_new_normal() {
    let mut book = book("");
    feed(&mut book, 0..PAST, 40);
    let events = feed(&mut book, PAST..PAST + 30 * DAY, 70);
    assert_eq!(statuses(&events), [Status::Opened, Status::Resolved]);
    let last = events.last().unwrap();
    assert_eq!(last.alert.resolution, Some(Resolution::NewNormal));
    assert_eq!(last.at, (START + PAST + 7 * DAY) * HOUR);
    let normal = book.standing(&key())[0].normal.unwrap();
    assert!((normal - 0.7).abs() < 0.03, "{normal}");
}

#[test]
fn an_alert_of_a_series_that_falls_silent_ends_after_a_day() {
    let changed = || {
        let mut book = book("");
        feed(&mut book, 0..PAST, 40);
        assert_eq!(
            statuses(&feed(&mut book, PAST..PAST + 20, 70)),
            [Status::Opened]
        );
        book
    };
    let mut advanced = changed();
    assert_eq!(statuses(&advanced.advance((START + PAST + 42) * HOUR)), []);
    let events = advanced.advance((START + PAST + 43) * HOUR);
    assert_eq!(statuses(&events), [Status::Resolved]);
    assert_eq!(events[0].alert.resolution, Some(Resolution::Silent));
    // A cell that comes later says the same.
    let later = changed().observe(&cell(PAST + 90, 40, 60));
    assert_eq!(later[0].alert, events[0].alert);
}

#[test]
fn a_series_without_history_has_no_normal_and_no_alert() {
    let mut book = book("");
    assert_eq!(feed(&mut book, 0..40, 20), []);
    assert_eq!(feed(&mut book, 40..80, 90), []);
    let standing = &book.standing(&key())[0];
    assert_eq!(standing.normal, None);
    assert_eq!(standing.share, Some(0.9));
    assert!(book.standing(&SeriesKey::default()).is_empty());
}

#[test]
fn a_series_heard_seldom_needs_longer_for_its_history() {
    let mut book = book("");
    for hour in (0..8 * DAY).filter(|hour| hour % 6 == 0) {
        book.learn(&cell(hour, 1, 1));
    }
    let standing = &book.standing(&key())[0];
    assert!((2.0..3.0).contains(&standing.history_days), "{standing:?}");
}

#[test]
fn an_open_alert_is_told_of_again_once_a_day() {
    let mut book = book("");
    feed(&mut book, 0..PAST, 40);
    let events = feed(&mut book, PAST..PAST + 3 * DAY, 70);
    let times: Vec<i64> = events.iter().map(|event| event.at).collect();
    assert_eq!(times.len(), 3, "{events:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == DAY * HOUR));
}

#[test]
fn an_alert_in_quiet_hours_is_told_of_when_they_end() {
    let mut book = book("quiet_hours = '22-07'");
    feed(&mut book, 0..PAST + 22, 40);
    assert_eq!(feed(&mut book, PAST + 22..PAST + 31, 70), []);
    let standing = &book.standing(&key())[0];
    assert!(standing.alert.is_some() && book.open().is_empty());
    let events = book.advance((START + PAST + 31) * HOUR);
    assert_eq!(statuses(&events), [Status::Opened]);
    assert!(events[0].alert.opened < events[0].at);
    assert_eq!(events[0].at, (START + PAST + 31) * HOUR);
}

#[test]
fn an_alert_that_ends_in_the_quiet_hours_in_which_it_began_is_never_told_of() {
    let mut book = book("quiet_hours = '22-12'");
    feed(&mut book, 0..PAST + 22, 40);
    let mut events = feed(&mut book, PAST + 22..PAST + 25, 90);
    assert!(book.standing(&key())[0].alert.is_some());
    events.extend(feed(&mut book, PAST + 25..PAST + 3 * DAY, 40));
    assert_eq!(events, []);
}

#[test]
fn an_end_in_quiet_hours_is_told_of_when_they_end() {
    let mut book = book("quiet_hours = '22-07'");
    feed(&mut book, 0..PAST + 8, 40);
    assert_eq!(
        statuses(&feed(&mut book, PAST + 8..PAST + 20, 70)),
        [Status::Opened]
    );
    let events = feed(&mut book, PAST + 20..PAST + 40, 40);
    assert_eq!(statuses(&events), [Status::Resolved]);
    let event = events.last().unwrap();
    assert_eq!(event.at, (START + PAST + 31) * HOUR);
    assert!(event.alert.resolved.unwrap() < event.at);
}

#[test]
fn quiet_hours_are_meant_in_local_time() {
    let mut config = config("[[rule]]\nname = 'r'\nquiet_hours = '08-09'");
    config.utc_offset_hours = 3;
    let mut book = Book::new(&config, &labels()).unwrap();
    feed(&mut book, 0..PAST + 4, 40);
    // Midnight in UTC and five hours are eight o'clock.
    book.learn(&cell(PAST + 4, 90, 10));
    assert_eq!(feed(&mut book, PAST + 5..PAST + 6, 90), []);
    assert_eq!(
        statuses(&feed(&mut book, PAST + 6..PAST + 7, 90)),
        [Status::Opened]
    );
}

#[test]
fn in_the_cool_down_no_alert_begins() {
    for (cooldown, alerts) in [(2, 2), (72, 1)] {
        let mut book = book(&format!("cooldown_hours = {cooldown}"));
        feed(&mut book, 0..PAST, 40);
        let mut events = Vec::new();
        for change in 0..2 {
            let from = PAST + change * 36;
            events.extend(feed(&mut book, from..from + 12, 70));
            events.extend(feed(&mut book, from + 12..from + 36, 40));
        }
        let opened: std::collections::BTreeSet<&str> = events
            .iter()
            .filter(|event| event.status == Status::Opened)
            .map(|event| event.alert.id.as_str())
            .collect();
        assert_eq!(opened.len(), alerts);
        assert_eq!(statuses(&events).len(), 2 * alerts);
    }
}

#[test]
fn late_cells_are_counted_where_they_belong() {
    let mut book = book("");
    feed(&mut book, 0..PAST, 40);
    feed(&mut book, PAST..PAST + 20, 70);
    let before = book.open()[0].clone();
    book.observe(&cell(PAST + 3, 30, 0));
    book.observe(&cell(PAST - 2, 30, 0));
    let after = book.open()[0].clone();
    assert_eq!(after.messages - before.messages, 30);
    assert!(after.share > before.share);
    let state = book.series_state(&key());
    assert_eq!(book.observe(&cell(-900, 30, 0)), []);
    assert_eq!(book.series_state(&key()), state);
}
