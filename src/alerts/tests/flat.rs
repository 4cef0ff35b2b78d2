//! Made-up series in which nothing changes, and some in which something does.

use super::*;
use crate::alerts::synthetic::{Maker, Step};

const HISTORY: i64 = 14 * 24;
const MONTH: i64 = 30 * 24;

#[test]
fn in_two_hundred_quiet_months_there_are_no_more_false_alerts_than_configured() {
    let mut opened = 0;
    for seed in 0..201 {
        let volume = [5.0, 50.0, 500.0][seed as usize % 3];
        let mut book = book("");
        for cell in Maker::flat(volume, seed).cells(HISTORY + MONTH) {
            if cell.start < (START + HISTORY) * HOUR {
                book.learn(&cell);
            } else {
                opened += statuses(&book.observe(&cell))
                    .iter()
                    .filter(|status| **status == Status::Opened)
                    .count();
            }
        }
    }
    // One in a hundred days for each series.
    assert!(opened <= 201 * 30 / 100, "{opened}");
}

#[test]
fn nine_of_ten_changes_by_thirty_points_are_found_within_two_days() {
    for volume in [5.0, 50.0, 500.0] {
        let mut found = 0;
        for seed in 0..20 {
            let mut maker = Maker::flat(volume, 500 + seed);
            let (from_hour, until_hour) = (HISTORY, HISTORY + 48);
            maker.change = Some(Step {
                from_hour,
                until_hour,
                points: 0.3,
            });
            let mut book = book("");
            let late = |event: &Event| {
                event.status == Status::Opened && event.at >= (START + from_hour) * HOUR
            };
            found += usize::from(
                maker
                    .cells(until_hour)
                    .iter()
                    .flat_map(|cell| book.observe(cell))
                    .any(|event| late(&event)),
            );
        }
        assert!(found >= 18, "{found} at {volume}");
    }
}
