//! The airline tweets: three airlines had a bad day.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::alerts::airline;

#[test]
fn each_airline_with_a_bad_day_has_one_alert_and_the_others_none() {
    let file = std::env::var_os("TIDEWATCH_DATA")
        .map(|folder| Path::new(&folder).join("airline-tweets/tweets.csv"));
    let Some(file) = file.filter(|file| file.is_file()) else {
        eprintln!("SKIPPED: set TIDEWATCH_DATA to the folder that has airline-tweets/tweets.csv");
        return;
    };
    for minutes in [10, 60] {
        let mut book = book("");
        let mut told = BTreeMap::<String, Vec<Event>>::new();
        for cell in airline::cells(&file, minutes * 60_000) {
            for event in book.observe(&cell) {
                told.entry(event.alert.key.subject.as_deref().unwrap().to_owned())
                    .or_default()
                    .push(event);
            }
        }
        let named: Vec<&str> = told.keys().map(String::as_str).collect();
        assert_eq!(named, ["Delta", "Southwest", "US Airways"]);
        for (airline, day) in [
            ("Delta", "2015-02-22"),
            ("Southwest", "2015-02-21"),
            ("US Airways", "2015-02-22"),
        ] {
            let events = &told[airline];
            assert_eq!(
                statuses(events),
                [Status::Opened, Status::Resolved],
                "{airline}"
            );
            let alert = &events.last().unwrap().alert;
            assert!(rfc3339(alert.started).starts_with(day), "{alert:?}");
            assert_eq!(alert.resolution, Some(Resolution::Normal));
        }
        let american = &book.standing(&SeriesKey::new(None, Some("American")))[0];
        assert_eq!(american.normal, None);
        assert!(american.history_days < american.history_needed);
    }
}
