//! What holds of any rows.

use proptest::prelude::*;

use super::*;

prop_compose! {
    /// Few texts, authors and labels, so that rows meet; the number is when the first label came.
    fn any_row()(text in 0_i64..60, author in prop::option::of(0_u8..25), label in 0_usize..4, second in 0_usize..8, day in 0_i64..400)
        -> FeedbackRow {
        let names = ["negative", "neutral", "positive", "mixed"];
        let mut made = row(0, names[label]);
        made.text = if text == 0 { String::new() } else { words(text) };
        made.author = author.map(|author| author.to_string());
        made.message_id = Some(text.to_string());
        made.event_time = day * DAY;
        if let Some(name) = names.get(second) {
            made.votes.push(vote(1_000_000, "bob", name));
        }
        made
    }
}

prop_compose! {
    fn any_rows(most: usize)(rows in prop::collection::vec(any_row(), 1..most)) -> Vec<FeedbackRow> {
        let numbered = rows.into_iter().zip(0..).map(|(row, number)| {
            let mut row = row;
            row.arrived = number;
            row.origin.offset = number;
            row.votes[0].id = number;
            row
        });
        numbered.collect()
    }
}

fn prints(rows: &[Row]) -> BTreeSet<u64> {
    rows.iter().map(|row| row.print).collect()
}

fn held(selection: &Selection) -> BTreeSet<u64> {
    selection
        .held_out
        .iter()
        .map(|held| held.row.print)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_choice_does_not_depend_on_the_order_and_every_row_is_accounted_for(
        rows in any_rows(120), turn in 0_usize..120, max_rows in 1_u32..60, per_author in 0_u32..4,
    ) {
        let config = DatasetConfig { max_rows, per_author, base_rows: 20, ..DatasetConfig::default() };
        let mut known = base(40);
        known.train[0].text = words(5);
        let one = chosen(&config, &rows, &known);
        let mut turned = rows.clone();
        turned.rotate_left(turn % rows.len());
        turned.reverse();
        known.train.reverse();
        let other = chosen(&config, &turned, &known);
        prop_assert_eq!(&one, &other);
        let of_feedback = |rows: &[Row]| rows.iter().filter(|row| row.id.starts_with("posts[")).count() as u64;
        let taken = of_feedback(&one.feedback) + of_feedback(&one.validation) + one.held_out.len() as u64;
        let left: u64 = one.report.left_out.iter().filter(|(reason, _)| !reason.is_base()).map(|(_, rows)| rows).sum();
        prop_assert_eq!(taken + left, rows.len() as u64);
        let base_left: u64 = one.report.left_out.iter().filter(|(reason, _)| reason.is_base()).map(|(_, rows)| rows).sum();
        let base_taken = one.base.len() + one.validation.len() - of_feedback(&one.validation) as usize;
        prop_assert_eq!(base_taken as u64 + base_left, 70);
    }

    #[test]
    fn no_text_is_in_two_parts(rows in any_rows(120)) {
        let selection = chosen(&open_config(), &rows, &base(40));
        let parts = [prints(&selection.feedback), prints(&selection.base), prints(&selection.validation), held(&selection)];
        let all: BTreeSet<u64> = parts.iter().flatten().copied().collect();
        prop_assert_eq!(all.len(), parts.iter().map(BTreeSet::len).sum::<usize>());
    }

    #[test]
    fn what_was_held_out_once_is_never_trained_on_later_nor_the_other_way_round(rows in any_rows(200), earlier in 1_usize..100, seed in any::<u64>()) {
        let before = chosen(&open_config(), &rows[..earlier.min(rows.len())], &base(40));
        // Later people may have changed their minds about messages of then.
        let mut later = rows.clone();
        for row in later.iter_mut().step_by(3) {
            row.votes.push(vote(2_000_000, "cyd", "neutral"));
        }
        let after = chosen(&DatasetConfig { seed, ..open_config() }, &later, &base(40));
        let trained = |selection: &Selection| &prints(&selection.feedback) | &prints(&selection.validation);
        prop_assert!(held(&before).is_disjoint(&trained(&after)));
        prop_assert!(trained(&before).is_disjoint(&held(&after)));
    }
}
