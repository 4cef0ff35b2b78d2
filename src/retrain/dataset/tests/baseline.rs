//! Of what the new model's drift baseline is made.

use super::super::baseline::FEWEST_BASELINE;
use super::*;

/// Messages that are not trained on.
fn away(count: usize) -> Vec<FeedbackRow> {
    let all = (0..).map(|number| row(number, "positive"));
    all.filter(|row| Part::of(row, &open_config()) != Part::Train)
        .take(count)
        .collect()
}

#[test]
fn the_baseline_is_made_of_the_newest_messages_chosen_by_chance_that_are_not_trained_on() {
    let mut rows = away(2 * FEWEST_BASELINE);
    rows.extend(of_part(Part::Train, 100));
    for row in rows.iter_mut().step_by(5) {
        row.votes[0].sampling = Sampling::Uncertain;
    }
    let config = DatasetConfig {
        baseline_rows: 1_500,
        ..open_config()
    };
    let by_chance = |row: &&FeedbackRow| row.votes[0].sampling == Sampling::Random;
    let mut expected: Vec<&FeedbackRow> = rows[..2 * FEWEST_BASELINE]
        .iter()
        .filter(by_chance)
        .collect();
    expected.sort_by_key(|row| std::cmp::Reverse(row.event_time));
    let expected: Vec<String> = expected[..1_500]
        .iter()
        .map(|row| row.origin.to_string())
        .collect();
    let selection = chosen(&config, &rows, &base(40));
    let found: Vec<&str> = selection.baseline.iter().map(|row| &*row.id).collect();
    assert_eq!(found, expected);
    assert_eq!(selection.report.baseline["positive"], 1_500);
    // The same is trained, whatever the baseline is made of.
    let without = DatasetConfig {
        baseline_rows: 0,
        ..config
    };
    let without = chosen(&without, &rows, &base(40));
    assert!(without.baseline.is_empty());
    assert_eq!(without.report.hash, selection.report.hash);
}

#[test]
fn with_too_few_messages_for_a_baseline_it_is_left_to_what_validates() {
    let mut rows = away(FEWEST_BASELINE);
    rows.extend(of_part(Part::Train, 3));
    let enough = chosen(&open_config(), &rows, &base(40));
    assert_eq!(enough.baseline.len(), FEWEST_BASELINE);
    let fewer = chosen(&open_config(), &rows[1..], &base(40));
    assert_eq!(fewer.baseline, []);
}
