//! Measures a window of live readings against a baseline.

use serde::Serialize;

use super::baseline::Baseline;
use super::copies::{Copies, distinct};
use super::counts::Counts;
use super::holm;
use super::null::Null;
use super::reading::Reading;
use super::statistics::{Reference, Statistic};

/// What a window says about drift.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Messages in the window.
    pub messages: u64,
    /// The copies among them.
    pub copies: Copies,
    /// Distinct messages, which are those that were measured.
    pub n: usize,
    /// Each statistic, in the order of [`Statistic::ALL`].
    pub statistics: Vec<Measured>,
    /// The smallest adjusted p-value: the chance, with nothing changed, that any of the statistics is so far out, or an upper
    /// bound of it. None where the window has too few distinct messages for an answer.
    pub p: Option<f64>,
    /// The statistic that has it; none where p is 1 or not known.
    pub leading: Option<Statistic>,
}

/// One statistic of a window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// Which one.
    pub statistic: Statistic,
    /// Its value.
    pub value: f64,
    /// Its median for such a window when nothing has changed.
    pub usual: Option<f64>,
    /// How likely so large a value is when nothing has changed.
    pub p: Option<f64>,
    /// The same, adjusted for the number of statistics by Holm's method.
    pub adjusted: Option<f64>,
}

/// Measures a window. Copies count once.
#[must_use]
pub fn examine(readings: &[Reading], baseline: &Baseline) -> Finding {
    let mut window = Counts::new(baseline.shape);
    distinct(readings)
        .into_iter()
        .for_each(|reading| window.add(reading));
    examine_counts(&window, Copies::among(readings), baseline)
}

/// Measures the counts of distinct readings, the copies among which are counted already.
#[must_use]
pub fn examine_counts(window: &Counts, copies: Copies, baseline: &Baseline) -> Finding {
    examine_with(
        window,
        copies,
        &baseline.counts,
        &baseline.null,
        baseline.unknown,
    )
}

/// As [`examine_counts`], against a part of a baseline.
#[must_use]
pub fn examine_with(
    window: &Counts,
    copies: Copies,
    reference: &Counts,
    null: &Null,
    unknown: Option<u32>,
) -> Finding {
    let n = usize::try_from(window.messages).unwrap_or(usize::MAX);
    let values = Reference::new(reference, unknown).measure(window);
    let mut statistics = Statistic::ALL.map(|statistic| {
        let null = null.quantiles(statistic, n);
        Measured {
            statistic,
            value: values[statistic],
            usual: null.as_ref().map(|null| null.median()),
            p: null.map(|null| null.p_value(values[statistic])),
            adjusted: None,
        }
    });
    let ps: Option<Vec<f64>> = statistics.iter().map(|measured| measured.p).collect();
    if let Some(ps) = ps {
        for (measured, adjusted) in statistics.iter_mut().zip(holm::adjust(&ps)) {
            measured.adjusted = Some(adjusted);
        }
    }
    let adjusted = statistics
        .iter()
        .filter_map(|measured| Some((measured.adjusted?, measured.p?, measured.statistic)));
    let least =
        adjusted.min_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    Finding {
        messages: copies.messages,
        copies,
        n,
        statistics: statistics.to_vec(),
        p: least.map(|(adjusted, ..)| adjusted),
        leading: least
            .filter(|least| least.0 < 1.0)
            .map(|(.., statistic)| statistic),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::prelude::*;

    use super::super::baseline::Identity;
    use super::super::null::NullSettings;
    use super::super::synthetic::{Feed, SHAPE, UNKNOWN};
    use super::*;

    fn baseline() -> &'static Baseline {
        static BASELINE: OnceLock<Baseline> = OnceLock::new();
        BASELINE.get_or_init(|| {
            let readings = Feed::default().readings(2000, 1);
            let identity = Identity {
                model_sha256: "aa".into(),
                tokenizer_sha256: "bb".into(),
                code_version: "0.1.0".into(),
                adjustment: None,
            };
            let settings = NullSettings {
                sizes: vec![100, 200, 500],
                resamples: 500,
                ..NullSettings::default()
            };
            let labels = ["negative", "neutral", "positive"].map(String::from);
            let readings = readings.into_iter().map(|reading| (reading, None));
            Baseline::build(
                readings.collect(),
                labels.to_vec(),
                Some(UNKNOWN),
                SHAPE,
                identity,
                &settings,
            )
            .unwrap()
        })
    }

    #[test]
    fn messages_of_another_kind_are_far_and_the_statistic_that_shows_it_leads() {
        let feed = Feed {
            labels: [0.5, 0.3, 0.2],
            ..Feed::default()
        };
        let finding = examine(&feed.readings(300, 2), baseline());
        assert!(finding.p.unwrap() < 1e-4, "{finding:?}");
        let led = [Statistic::Classes, Statistic::Scores];
        assert!(led.contains(&finding.leading.unwrap()), "{finding:?}");
    }

    #[test]
    fn a_window_of_copies_is_no_drift() {
        let feed = Feed::default();
        let mut window = feed.readings(300, 3);
        let before = examine(&window, baseline());
        let copy = Reading {
            tokens: vec![777; 32],
            label: 0,
            ..window[0].clone()
        };
        window[0] = copy.clone();
        window.extend((0..5000).map(|_| copy.clone()));
        let after = examine(&window, baseline());
        assert_eq!(
            (after.messages, after.n, after.copies.near),
            (5300, 300, 300)
        );
        assert!(
            before.p.unwrap() > 0.05 && after.p.unwrap() > 0.05,
            "{after:?}"
        );
    }

    #[test]
    fn too_few_distinct_messages_give_no_answer() {
        let mut window = Feed::default().readings(99, 4);
        window.extend(window.clone());
        let finding = examine(&window, baseline());
        assert_eq!((finding.n, finding.p, finding.leading), (99, None, None));
        assert!(
            finding
                .statistics
                .iter()
                .all(|measured| measured.p.is_none())
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn neither_the_order_of_messages_nor_repeated_ones_matter(
            size in 100_usize..150, turn in 0_usize..100, repeated in 0_usize..100, seed: u64,
        ) {
            let window = Feed::default().readings(size, seed);
            let mut other = [window.clone(), window[..repeated].to_vec()].concat();
            other.rotate_left(turn);
            let (one, other) = (examine(&window, baseline()), examine(&other, baseline()));
            prop_assert_eq!((one.statistics, one.p, one.n), (other.statistics, other.p, other.n));
        }
    }
}
