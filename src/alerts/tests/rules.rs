//! What rules watch, and what is no change.

use super::*;

const PAST: i64 = 240;

/// Opened and resolved alerts when the share goes from 40 to so many per cent for a day and back.
fn excursion(book: &mut Book, negative: u64) -> Vec<Event> {
    let mut events = feed(book, 0..PAST, 40);
    events.extend(feed(book, PAST..PAST + 24, negative));
    events.extend(feed(book, PAST + 24..PAST + 72, 40));
    events
}

#[test]
fn a_rule_needs_only_a_name() {
    let config = config("[[rule]]\nname = 'bad press'");
    let rule = &config.rule[0];
    assert_eq!(
        (rule.label.as_str(), rule.direction, rule.min_change),
        ("negative", Direction::Rise, 0.1)
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_its_name() {
    for (rule, part) in [
        ("min_change = 0", "min_change"),
        ("within_hours = 0", "within_hours"),
        ("min_messages = 0", "min_messages"),
        ("watch = []", "watches nothing"),
        ("[[rule]]\nname = 'r'", "two entries named r"),
        ("[[rule]]\nname = ' '", "without a name"),
    ] {
        let text = format!(
            "enabled = true\ntopic = ''\nstep_minutes = 10\nutc_offset_hours = 0\ndays_per_false_alert = 100\nmax_series = 5\nretention_days = 9\n\
             [[rule]]\nname = 'r'\n{rule}"
        );
        let error = toml::from_str::<AlertsConfig>(&text)
            .unwrap()
            .check()
            .unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_rule_for_a_label_that_the_model_lacks_is_refused() {
    let config = config("[[rule]]\nname = 'r'\nlabel = 'angry'");
    let error = Book::new(&config, &labels()).err().unwrap();
    assert_eq!(
        error.to_string(),
        "[[alerts.rule]] r watches the label angry, which the model lacks; name one of negative, neutral, positive, or score"
    );
}

#[test]
fn direction_says_which_way_counts() {
    for (direction, risen, fallen) in [("rise", 2, 0), ("fall", 0, 2), ("either", 2, 2)] {
        let rule = format!("direction = '{direction}'");
        assert_eq!(
            statuses(&excursion(&mut book(&rule), 75)).len(),
            risen,
            "{direction}"
        );
        let events = excursion(&mut book(&rule), 10);
        assert_eq!(statuses(&events).len(), fallen, "{direction}");
        assert!(
            events
                .iter()
                .all(|event| event.alert.direction == Direction::Fall)
        );
    }
}

#[test]
fn a_smaller_change_than_the_rule_s_is_no_alert() {
    for (min_change, alerts) in [(0.10, 0), (0.05, 1)] {
        let mut book = book(&format!("min_change = {min_change}"));
        // So long a steady past that nine points are no chance.
        feed(&mut book, 0..40 * 24, 40);
        let events = feed(&mut book, 40 * 24..41 * 24, 49);
        assert_eq!(statuses(&events).len(), alerts, "{min_change}");
    }
}

#[test]
fn the_mean_score_can_be_watched() {
    let events = excursion(&mut book("label = 'score'\ndirection = 'fall'"), 80);
    assert_eq!(statuses(&events), [Status::Opened, Status::Resolved]);
    let alert = &events[0].alert;
    assert!(
        (alert.normal + 0.4).abs() < 0.05 && (alert.share + 0.8).abs() < 0.02,
        "{alert:?}"
    );
}

#[test]
fn a_burst_of_copies_is_no_change() {
    let mut book = book("");
    let mut events = feed(&mut book, 0..PAST, 40);
    for hour in PAST..PAST + 24 {
        let mut cell = cell(hour, 40, 60);
        cell.counts[0].messages += 10_000;
        events.extend(book.observe(&cell));
    }
    assert_eq!(events, []);
}

#[test]
fn one_author_s_flood_is_no_change_but_that_of_many_is() {
    for (authors, alerts) in [(0, 0), (900, 2)] {
        let rules =
            "[[rule]]\nname = 'r'\n[[rule]]\nname = 's'\nlabel = 'score'\ndirection = 'fall'";
        let mut book = Book::new(&config(rules), &labels()).unwrap();
        let mut events = feed(&mut book, 0..PAST, 40);
        for hour in PAST..PAST + 24 {
            let mut cell = cell(hour, 40, 60);
            cell.counts[0].messages += 900;
            cell.score -= authors as f64;
            cell.counts[0].texts += 900;
            // Somebody is counted only when first heard on a day.
            cell.counts[0].authors += authors.max(u64::from(hour == PAST));
            events.extend(book.observe(&cell));
        }
        assert_eq!(statuses(&events).len(), alerts);
    }
}

#[test]
fn where_authors_are_not_known_texts_count() {
    let mut book = book("");
    let mut events = Vec::new();
    for hour in 0..PAST + 12 {
        let mut cell = if hour < PAST {
            cell(hour, 40, 60)
        } else {
            cell(hour, 70, 30)
        };
        cell.counts.iter_mut().for_each(|count| count.authors = 0);
        events.extend(book.observe(&cell));
    }
    assert_eq!(statuses(&events), [Status::Opened]);
    assert_eq!(events[0].alert.authors, 0);
}

#[test]
fn a_rule_watches_only_the_series_that_it_names() {
    let config = config(
        "[[rule]]\nname = 'r'\nwatch = ['source', 'source_subject']\nsources = ['twit*']\n\
         subjects = ['*air*', 'delta']",
    );
    let rule = &config.rule[0];
    for (source, subject, expected) in [
        (Some("Twitter"), Some("US Airways"), true),
        (Some("Twitter"), Some("Delta"), true),
        (Some("reddit"), Some("Delta"), false),
        (Some("Twitter"), Some("Southwest"), false),
        // Not all subjects of the source are among those named.
        (Some("Twitter"), None, false),
        (None, Some("Delta"), false),
        (None, None, false),
    ] {
        assert_eq!(
            rule.watches(&SeriesKey::new(source, subject)),
            expected,
            "{source:?} {subject:?}"
        );
    }
}

#[test]
fn a_series_that_no_rule_watches_takes_no_room() {
    let mut book = book("watch = ['overall']");
    assert_eq!(feed(&mut book, 0..10, 40), []);
    assert_eq!((book.series(), book.series_state(&key())), (0, None));
}

#[test]
fn each_rule_has_alerts_of_its_own() {
    let mut book = Book::new(
        &config(
            "[[rule]]\nname = 'a'\n[[rule]]\nname = 'b'\nmin_change = 0.2\n\
                 [[rule]]\nname = 'c'\nlabel = 'neutral'\ndirection = 'fall'",
        ),
        &labels(),
    )
    .unwrap();
    let events = excursion(&mut book, 75);
    let mut told: Vec<(&str, Status)> = events
        .iter()
        .map(|event| (&*event.alert.rule, event.status))
        .collect();
    told.retain(|(_, status)| *status != Status::Updated);
    told.sort_by_key(|(rule, _)| *rule);
    let both = |rule| [(rule, Status::Opened), (rule, Status::Resolved)];
    assert_eq!(told, [both("a"), both("b"), both("c")].concat());
}
