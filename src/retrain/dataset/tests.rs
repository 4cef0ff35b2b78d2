//! What is chosen of made-up rows.

mod baseline;
mod properties;
mod written;

use std::collections::BTreeSet;

use super::rows::BaseRow;
use super::*;
use crate::labels::Sampling;
use crate::labels::consensus::Vote;
use crate::record::Origin;
use chrono::DateTime;

const DAY: i64 = 86_400_000;

fn labels() -> Vec<String> {
    ["negative", "neutral", "positive"]
        .map(String::from)
        .to_vec()
}

fn vote(id: i64, annotator: &str, label: &str) -> Vote {
    Vote {
        id,
        annotator: annotator.to_owned(),
        label: label.to_owned(),
        sampling: Sampling::Random,
        given_at: DateTime::from_timestamp(id, 0).unwrap(),
    }
}

/// Words that no number tells apart from those of another row: fingerprints pass over digits.
fn words(number: i64) -> String {
    let letters = |number: i64| char::from(b'a' + number.rem_euclid(26) as u8);
    let word: String = [1, 26, 676, 17_576]
        .map(|base| letters(number / base))
        .iter()
        .collect();
    format!("the {word} thing")
}

/// A message labelled by one person, each by another author.
fn row(number: i64, label: &str) -> FeedbackRow {
    FeedbackRow {
        origin: Origin {
            topic: "posts".into(),
            partition: 0,
            offset: number,
        },
        arrived: number,
        message_id: Some(number.to_string()),
        text: words(number),
        votes: vec![vote(number, "ann", label)],
        inclusion: Some(0.25),
        author: Some(format!("author-{number}")),
        source: Some("twitter".to_owned()),
        subject: None,
        event_time: number * DAY,
    }
}

fn base_row(number: i64, label: usize) -> BaseRow {
    BaseRow {
        id: Some(number.to_string()),
        text: format!("base {}", words(number)),
        label,
        time: None,
    }
}

fn base(rows: i64) -> Base {
    Base {
        train: (0..rows)
            .map(|number| base_row(number, (number % 3) as usize))
            .collect(),
        validation: (rows..rows + 30)
            .map(|number| base_row(number, (number % 3) as usize))
            .collect(),
    }
}

fn chosen(config: &DatasetConfig, feedback: &[FeedbackRow], base: &Base) -> Selection {
    let labels = labels();
    let input = Input {
        labels: &labels,
        feedback,
        base,
        unlabelled: &[],
        held_out: &HashSet::new(),
    };
    choose(config, &input).unwrap()
}

/// Settings by which nothing is left out.
fn open_config() -> DatasetConfig {
    DatasetConfig {
        half_life_days: 0,
        repeats: 1,
        ..DatasetConfig::default()
    }
}

fn of_part(wanted: Part, count: usize) -> Vec<FeedbackRow> {
    let all = (0..).map(|number| row(number, "positive"));
    all.filter(|row| Part::of(row, &open_config()) == wanted)
        .take(count)
        .collect()
}

fn left(selection: &Selection, reason: LeftOut) -> u64 {
    selection
        .report
        .left_out
        .get(&reason)
        .copied()
        .unwrap_or_default()
}

#[test]
fn each_row_without_a_label_that_counts_is_left_out_with_its_reason() {
    let mut rows = of_part(Part::Train, 7);
    rows[0].text = " \n".to_owned();
    rows[1].votes.clear();
    rows[2].votes.push(vote(900, "bob", "negative"));
    rows[3].votes = ["positive", "positive", "neutral", "negative"]
        .into_iter()
        .zip(["a", "b", "c", "d"])
        .zip(0..)
        .map(|((label, who), id)| vote(id, who, label))
        .collect();
    rows[4].votes[0].label = "mixed".to_owned();
    rows[5].votes.push(vote(901, "ann", "Neutral"));
    let selection = chosen(&open_config(), &rows, &base(30));
    for reason in [
        LeftOut::NoText,
        LeftOut::NoLabel,
        LeftOut::Tie,
        LeftOut::LowAgreement,
        LeftOut::UnknownLabel,
    ] {
        assert_eq!(left(&selection, reason), 1, "{reason:?}");
    }
    let mut classes: Vec<usize> = selection.feedback.iter().map(|row| row.label).collect();
    classes.sort_unstable();
    assert_eq!(classes, [1, 2], "the last label of one annotator counts");
}

#[test]
fn copies_become_one_row_with_the_label_that_most_give() {
    let mut rows = of_part(Part::Train, 6);
    for (index, label) in [(1, "negative"), (2, "negative")] {
        rows[index].text = format!(
            "RT @x: {}!! https://t.co/{index}",
            rows[0].text.to_uppercase()
        );
        rows[index].votes[0].label = label.to_owned();
    }
    rows[4].text = rows[3].text.clone();
    rows[4].votes[0].label = "neutral".to_owned();
    let selection = chosen(&open_config(), &rows, &base(30));
    assert_eq!(selection.feedback.len(), 2);
    let one = selection
        .feedback
        .iter()
        .find(|one| one.label == 0)
        .unwrap();
    assert_eq!(one.id, rows[1].origin.to_string());
    assert_eq!(left(&selection, LeftOut::Contradicted), 1);
    assert_eq!(left(&selection, LeftOut::Copy), 1);
    assert_eq!(left(&selection, LeftOut::Contradicting), 2);
}

#[test]
fn what_is_held_out_anywhere_is_not_trained_on() {
    let rows = of_part(Part::Train, 4);
    let mut known = base(60);
    known.validation[0].text = rows[0].text.clone();
    known.train[0].text = known.validation[1].text.clone();
    known.train[1].text = words(9_999);
    let held_out = HashSet::from([
        Fingerprint::of(&rows[1].text).near,
        Fingerprint::of(&words(9_999)).near,
    ]);
    let labels = labels();
    let input = Input {
        labels: &labels,
        feedback: &rows,
        base: &known,
        unlabelled: &[],
        held_out: &held_out,
    };
    let selection = choose(&open_config(), &input).unwrap();
    assert_eq!(selection.feedback.len(), 2);
    assert_eq!(left(&selection, LeftOut::CopyOfHeldOut), 2);
    assert_eq!(
        (
            selection.base.len(),
            left(&selection, LeftOut::BaseCopyOfHeldOut)
        ),
        (58, 2)
    );
}

#[test]
fn a_text_of_the_base_is_never_held_out_and_gives_way_to_a_labelled_message() {
    let (held, train) = (of_part(Part::HeldOut, 2), of_part(Part::Train, 2));
    let mut known = base(60);
    known.train[0].text = held[0].text.clone();
    known.train[1].text = train[0].text.clone();
    let selection = chosen(&open_config(), &[held, train].concat(), &known);
    assert_eq!(
        (
            selection.held_out.len(),
            left(&selection, LeftOut::CopyOfBase)
        ),
        (1, 1)
    );
    assert_eq!(
        (
            selection.base.len(),
            left(&selection, LeftOut::BaseCopyOfFeedback)
        ),
        (59, 1)
    );
    assert_eq!(selection.held_out[0].inclusion, Some(0.25));
}

#[test]
fn caps_hold_and_newer_rows_are_drawn_more_often_and_repeated_more() {
    let mut rows: Vec<FeedbackRow> = (0..4_000).map(|number| row(number, "positive")).collect();
    for row in &mut rows {
        row.event_time = if row.arrived % 2 == 0 { 0 } else { 90 * DAY };
    }
    let config = DatasetConfig {
        max_rows: 500,
        repeats: 3,
        half_life_days: 90,
        ..open_config()
    };
    let selection = chosen(&config, &rows, &base(30));
    assert_eq!(selection.feedback.len(), 500);
    let new: Vec<&Row> = selection
        .feedback
        .iter()
        .filter(|row| row.time != Some(0))
        .collect();
    // Two of three draws by the weights, somewhat fewer as the new ones are used up; three standard deviations are 32.
    assert!(
        (300..=365).contains(&new.len()),
        "{} of 500 are new",
        new.len()
    );
    assert!(new.iter().all(|row| row.repeats == 3));
    let old: Vec<f64> = selection
        .feedback
        .iter()
        .filter(|row| row.time == Some(0))
        .map(|row| f64::from(row.repeats))
        .collect();
    let mean = old.iter().sum::<f64>() / old.len() as f64;
    assert!(
        (mean - 2.0).abs() < 0.2 && old.iter().all(|&repeats| repeats == 2.0),
        "{mean}"
    );

    let crowded: Vec<FeedbackRow> = rows
        .iter()
        .map(|row| FeedbackRow {
            author: Some(
                ["ann", "bob", "cyd", "dan", "eve", "fay", "gil"][row.arrived as usize % 7]
                    .to_owned(),
            ),
            ..row.clone()
        })
        .collect();
    let capped = DatasetConfig {
        per_author: 20,
        per_source: 70,
        ..config
    };
    let selection = chosen(&capped, &crowded, &base(30));
    let authors = (0..7)
        .filter(|&number| Part::of(&crowded[number], &capped) == Part::Train)
        .count();
    assert_eq!(selection.feedback.len(), 70.min(20 * authors));
    assert!(left(&selection, LeftOut::AuthorCap) > 0);
}

#[test]
fn base_rows_are_stratified_and_a_smaller_draw_is_a_part_of_a_larger_one() {
    let mut known = base(300);
    known
        .train
        .iter_mut()
        .take(200)
        .for_each(|row| row.label = 1);
    let config = DatasetConfig {
        base_rows: 60,
        ..open_config()
    };
    let selection = chosen(&config, &of_part(Part::Train, 6), &known);
    assert_eq!(
        selection.report.base.values().copied().collect::<Vec<_>>(),
        [7, 46, 7]
    );
    let fewer = DatasetConfig {
        base_rows: 30,
        ..config
    };
    let smaller = chosen(&fewer, &of_part(Part::Train, 6), &known);
    assert!(
        smaller.base.iter().all(|row| selection.base.contains(row)),
        "a smaller draw is a part of a larger one"
    );
}

#[test]
fn unlabelled_texts_come_once_and_never_from_what_is_held_out() {
    let held = of_part(Part::HeldOut, 1);
    let text = |text: &str, time| UnlabelledRow {
        text: text.to_owned(),
        event_time: time,
        author: None,
        source: None,
    };
    let unlabelled = [
        text(&held[0].text, 5),
        text("Rain again", 4),
        text("rain AGAIN!", 3),
        text("  ", 9),
        text("sun", 1),
    ];
    let labels = labels();
    let known = base(30);
    let input = Input {
        labels: &labels,
        feedback: &held,
        base: &known,
        unlabelled: &unlabelled,
        held_out: &HashSet::new(),
    };
    let config = DatasetConfig {
        max_texts: 10,
        ..open_config()
    };
    let selection = choose(&config, &input).unwrap();
    let texts: BTreeSet<&str> = selection.texts.iter().map(String::as_str).collect();
    assert_eq!(texts, BTreeSet::from(["Rain again", "sun"]));
    assert!(choose(&open_config(), &input).unwrap().texts.is_empty());
}

#[test]
fn nothing_to_train_on_or_to_validate_with_is_an_error() {
    let labels = labels();
    let choose_of = |feedback: &[FeedbackRow], base: &Base| {
        let input = Input {
            labels: &labels,
            feedback,
            base,
            unlabelled: &[],
            held_out: &HashSet::new(),
        };
        choose(&open_config(), &input).map(|_| ()).unwrap_err()
    };
    assert!(matches!(
        choose_of(&[], &Base::default()),
        DatasetError::NothingToTrainOn
    ));
    let rows = of_part(Part::Train, 3);
    assert!(matches!(
        choose_of(&rows, &Base::default()),
        DatasetError::NothingToValidateWith
    ));
}
