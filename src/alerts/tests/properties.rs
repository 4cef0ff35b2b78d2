//! What holds for any cells.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Hours of a feed: how many hours on, how many messages, how many of a hundred are negative, and how late the cell is.
fn feeds() -> impl Strategy<Value = Vec<(i64, u64, u64, i64)>> {
    let stretch =
        (20_usize..120, 0_u64..80, 0_u64..100).prop_flat_map(|(hours, texts, percent)| {
            let late = prop_oneof![9 => Just(0_i64), 1 => 0_i64..40];
            let gap = prop_oneof![60 => Just(1_i64), 1 => 0_i64..60];
            prop::collection::vec((gap, 0..=texts, Just(percent), late), hours)
        });
    prop::collection::vec(stretch, 1..6).prop_map(|stretches| stretches.concat())
}

/// Four days of history, and then the feed.
fn cells(feed: &[(i64, u64, u64, i64)]) -> Vec<Cell> {
    let mut cells: Vec<Cell> = (0..96).map(|hour| cell(hour, 12, 18)).collect();
    let mut hour = 96;
    for (gap, texts, percent, late) in feed {
        hour += gap;
        let negative = texts * percent / 100;
        cells.push(cell(hour - late, negative, texts - negative));
    }
    cells
}

const RULES: &str = "[[rule]]\nname = 'a'\ndirection = 'either'\nmin_messages = 20\ncooldown_hours = 3\n\
                     [[rule]]\nname = 'b'\nlabel = 'score'\ndirection = 'either'\nquiet_hours = '20-06'\ncooldown_hours = 0";

fn two_rules() -> Book {
    Book::new(&config(RULES), &labels()).unwrap()
}

fn observe(book: &mut Book, cells: &[Cell]) -> Vec<Event> {
    cells.iter().flat_map(|cell| book.observe(cell)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_series_that_was_stored_goes_on_as_if_it_had_not_been(feed in feeds(), at in any::<prop::sample::Index>()) {
        let cells = cells(&feed);
        let at = at.index(cells.len());
        let mut one = two_rules();
        let mut events = observe(&mut one, &cells[..at]);
        if let Some(state) = one.series_state(&key()) {
            one = two_rules();
            one.restore_series(&key(), &state).unwrap();
            prop_assert_eq!(one.series_state(&key()), Some(state));
        }
        events.extend(observe(&mut one, &cells[at..]));
        prop_assert_eq!(events, observe(&mut two_rules(), &cells));
    }

    #[test]
    fn an_alert_is_opened_once_then_updated_and_resolved_once(feed in feeds()) {
        let mut book = two_rules();
        let mut states = BTreeMap::<String, Status>::new();
        let mut open = BTreeMap::<String, String>::new();
        let mut before = i64::MIN;
        for cell in cells(&feed) {
            for event in book.observe(&cell) {
                let alert = &event.alert;
                let last = states.insert(alert.id.clone(), event.status);
                let rule = alert.rule.to_string();
                match event.status {
                    Status::Opened => {
                        prop_assert_eq!(last, None);
                        prop_assert_eq!(open.insert(rule, alert.id.clone()), None);
                    }
                    Status::Updated => prop_assert!(matches!(last, Some(Status::Opened | Status::Updated))),
                    Status::Resolved => {
                        prop_assert!(matches!(last, Some(Status::Opened | Status::Updated)));
                        prop_assert_eq!(open.remove(&rule), Some(alert.id.clone()));
                    }
                }
                prop_assert_eq!(alert.resolved.is_some(), event.status == Status::Resolved);
                prop_assert!(before <= event.at && alert.started <= alert.opened && alert.opened <= event.at);
                prop_assert!(alert.share.is_finite() && alert.normal.is_finite());
                before = event.at;
            }
            // One whose end is held back in quiet hours is still listed.
            let listed: Vec<String> = book.open().into_iter().map(|alert| alert.id).collect();
            prop_assert_eq!(listed, open.values().cloned().collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_order_of_labels_does_not_matter(feed in feeds()) {
        let mut turned = Book::new(&config(RULES), &["positive".into(), "negative".into(), "neutral".into()]).unwrap();
        let cells = cells(&feed);
        let mut other = cells.clone();
        other.iter_mut().for_each(|cell| cell.counts.rotate_right(1));
        prop_assert_eq!(observe(&mut two_rules(), &cells), observe(&mut turned, &other));
    }

    #[test]
    fn copies_change_nothing_but_the_number_of_messages(feed in feeds(), copies in 1_u64..10_000) {
        let cells = cells(&feed);
        let mut copied = cells.clone();
        copied.iter_mut().for_each(|cell| cell.counts[0].messages += copies);
        let mut events = observe(&mut two_rules(), &copied);
        let expected = observe(&mut two_rules(), &cells);
        prop_assert_eq!(events.len(), expected.len());
        for (event, other) in events.iter_mut().zip(&expected) {
            event.alert.messages = other.alert.messages;
            prop_assert_eq!(&*event, other);
        }
    }

    #[test]
    fn what_is_no_state_is_refused(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
        prop_assert!(two_rules().restore_series(&key(), &bytes).is_err());
    }

    #[test]
    fn no_cell_makes_it_panic(start in any::<i64>(), counts in prop::collection::vec(any::<[u64; 3]>(), 0..5), score in any::<f64>()) {
        let mut book = two_rules();
        let counts = counts.iter().map(|[messages, texts, authors]| Count { messages: *messages, texts: *texts, authors: *authors }).collect();
        let odd = Cell { key: key(), start, counts, score };
        for cell in [cell(0, 4, 6), odd.clone(), cell(30, 4, 6), odd] {
            book.observe(&cell);
            book.advance(start);
            let evidence = book.standing(&key()).into_iter().map(|standing| standing.evidence);
            prop_assert!(evidence.into_iter().all(f64::is_finite));
        }
    }
}
