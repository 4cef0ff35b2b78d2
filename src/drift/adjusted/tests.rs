use std::sync::OnceLock;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::super::detector::{Finding, examine};
use super::super::judge::{Evidence, Judge, Judged};
use super::super::null::NullSettings;
use super::super::rule::Watch;
use super::super::severity::{Remedy, Settings, ShiftSize};
use super::super::synthetic::{Feed, SHAPE, UNKNOWN};
use super::*;
use crate::adjustment::{PriorCorrection, Recalibration};

/// Where the feed has moved; none is where it was.
const TARGET: Option<[f64; 3]> = Some([0.7, 0.2, 0.1]);

/// Readings whose truths are drawn from their own probabilities, so that these are calibrated, of which so many of each class
/// are kept that the truths have the given shares: a label shift. Words depend on what is predicted, so the model
/// sees all that they say of the truth; `turned` changes them all.
fn shifted(
    count: usize,
    shares: Option<[f64; 3]>,
    turned: u32,
    seed: u64,
) -> Vec<(Reading, usize)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let of = |turned| Feed {
        turned,
        ..Feed::default()
    };
    // By the prediction: the words of the first class are others than those of the rest.
    let worded =
        [of(turned + 300), of(turned), of(turned)].map(|feed| feed.readings(12 * count, seed));
    let mut truths = [0.0_f64; 3];
    for reading in &worded[1] {
        for (truth, &p) in truths.iter_mut().zip(&reading.probabilities) {
            *truth += f64::from(p) / worded[1].len() as f64;
        }
    }
    let ratios: Vec<f64> = shares
        .unwrap_or(truths)
        .iter()
        .zip(truths)
        .map(|(share, truth)| share / truth)
        .collect();
    let most = ratios.iter().copied().fold(0.0, f64::max);
    let mut made = Vec::new();
    for (index, said) in worded[1].iter().enumerate() {
        let p = &said.probabilities;
        let draw: f32 = rng.random();
        let truth = usize::from(draw > p[0]) + usize::from(draw > p[0] + p[1]);
        if made.len() < count && rng.random::<f64>() < ratios[truth] / most {
            let reading = Reading {
                tokens: worded[said.label][index].tokens.clone(),
                words: worded[said.label][index].words,
                time: made.len() as i64 * 1_000,
                ..said.clone()
            };
            made.push((reading, truth));
        }
    }
    assert_eq!(made.len(), count);
    made
}

fn window(shares: Option<[f64; 3]>, turned: u32, seed: u64) -> Vec<Reading> {
    shifted(600, shares, turned, seed)
        .into_iter()
        .map(|(reading, _)| reading)
        .collect()
}

/// What a model with this adjustment would have said of the same messages.
fn adjusted(readings: &[Reading], adjustment: &Adjustment) -> Vec<Reading> {
    let said = |reading: &Reading| {
        let probabilities = adjustment.apply(&reading.probabilities);
        Reading {
            label: likeliest(&probabilities),
            probabilities,
            ..reading.clone()
        }
    };
    readings.iter().map(said).collect()
}

fn baseline() -> Baseline {
    static BASELINE: OnceLock<Baseline> = OnceLock::new();
    let built = BASELINE.get_or_init(|| {
        let readings = shifted(3_000, None, 0, 1);
        let settings = NullSettings {
            sizes: vec![100, 200, 500],
            resamples: 500,
            ..NullSettings::default()
        };
        Baseline::build(
            readings
                .into_iter()
                .map(|(reading, truth)| (reading, Some(truth)))
                .collect(),
            ["negative", "neutral", "positive"]
                .map(String::from)
                .to_vec(),
            Some(UNKNOWN),
            SHAPE,
            Identity::new("aa", "bb"),
            &settings,
        )
        .unwrap()
    });
    built.clone()
}

/// From the mean probabilities of the baseline to where the feed has moved.
fn correction() -> Adjustment {
    Adjustment {
        prior_correction: Some(PriorCorrection {
            source: baseline().labelled.unwrap().priors,
            target: TARGET.unwrap_or_default().to_vec(),
        }),
        recalibration: None,
    }
}

fn p(finding: &Finding) -> f64 {
    finding.p.unwrap()
}

fn judged(baseline: &Baseline, readings: &[Reading]) -> Judged {
    let judge = Judge::new(baseline, 1_000);
    judge.judge(readings, Evidence::default(), &mut Watch::default())
}

#[test]
fn another_temperature_moves_no_statistic() {
    let recalibration = Recalibration {
        from: 1.3,
        to: 2.1,
        bias: 0.01,
        standard_error: 0.02,
    };
    let adjustment = Adjustment {
        recalibration: Some(recalibration),
        prior_correction: None,
    };
    let derived = baseline().for_model(Some(&adjustment)).unwrap();
    for (shares, seed) in [(None, 2), (TARGET, 3)] {
        let readings = window(shares, 0, seed);
        let before = examine(&readings, &baseline());
        let after = judged(&derived, &adjusted(&readings, &adjustment)).finding;
        assert_eq!(after.n, before.n);
        for (one, other) in before.statistics.iter().zip(&after.statistics) {
            // A probability at the edge of a bin may fall on its other side.
            assert!(
                (one.value - other.value).abs() <= 0.02 * one.value.max(1.0),
                "{one:?} {other:?}"
            );
        }
    }
    let labelled = derived.labelled.unwrap();
    assert_eq!((labelled.bias, labelled.standard_error), (0.01, 0.02));
}

#[test]
fn a_corrected_model_has_no_alarm_for_the_shift_that_it_corrects_and_its_original_has() {
    let derived = baseline().for_model(Some(&correction())).unwrap();
    let judge = Judge::new(&derived, 1_000);
    let mut watch = Watch::default();
    let mut calm = 0;
    for seed in 10..20 {
        let readings = window(TARGET, 0, seed);
        let original = judged(&baseline(), &readings);
        assert!(p(&original.finding) < 1e-3, "{:?}", original.finding);
        let readings = adjusted(&readings, &correction());
        let corrected = judge.judge(&readings, Evidence::default(), &mut watch);
        assert!(corrected.alarm.is_none());
        calm += u32::from(p(&corrected.finding) > 0.05);
        // Some of the messages are compared, and all are counted as they were served.
        assert!(
            (100..600).contains(&corrected.finding.n),
            "{:?}",
            corrected.finding
        );
        assert_eq!(corrected.counts.messages, 600);
        let shift = corrected.estimates.shift.unwrap();
        for (estimate, share) in shift.shares.iter().zip(TARGET.unwrap_or_default()) {
            assert!((estimate - share).abs() < 0.12, "{shift:?}");
        }
    }
    assert!(calm >= 9, "{calm} of 10");
}

#[test]
fn a_corrected_model_sees_the_feed_move_back_and_words_that_change() {
    let derived = baseline().for_model(Some(&correction())).unwrap();
    let back = judged(&derived, &adjusted(&window(None, 0, 30), &correction()));
    assert!(p(&back.finding) < 1e-3, "{:?}", back.finding);
    let words = judged(&derived, &adjusted(&window(TARGET, 40, 31), &correction()));
    assert!(p(&words.finding) < 1e-3, "{:?}", words.finding);
    assert!(
        words
            .alarm
            .is_none_or(|alarm| alarm.decision.remedy != Remedy::PriorCorrection)
    );
}

#[test]
fn what_was_corrected_is_not_proposed_again_and_what_moves_further_is() {
    let derived = baseline().for_model(Some(&correction())).unwrap();
    let believed = |shares, seed| {
        let found = judged(&derived, &adjusted(&window(shares, 0, seed), &correction()));
        let shift = found.estimates.shift.unwrap();
        let normal = derived.normal_shares().unwrap();
        ShiftSize {
            points: shift.points_from(normal),
            significant: shift.is_significant(normal),
            condition: shift.condition,
            converged: shift.converged,
        }
        .is_believed(&Settings::default())
    };
    assert!((50..55).all(|seed| !believed(TARGET, seed)));
    assert!((60..65).all(|seed| believed(Some([0.3, 0.2, 0.5]), seed)));
}

#[test]
fn a_baseline_of_a_derived_model_is_for_that_one_alone_and_survives_being_written() {
    let derived = baseline().for_model(Some(&correction())).unwrap();
    let read = Baseline::parse(&derived.to_json().unwrap()).unwrap();
    assert_eq!(read.format, super::super::baseline::FORMAT_ADJUSTED);
    assert!(read.undone.unwrap().is_like(&correction()));
    let mut own = baseline();
    own.identity = own.identity.adjusted(Some(correction()));
    assert!(own.clone().for_model(None).is_none());
    let as_it_is = own.for_model(Some(&correction())).unwrap();
    assert_eq!(as_it_is.undone, None);
    let untouched = baseline().for_model(None).unwrap();
    assert_eq!(untouched, baseline());
}

#[test]
fn what_labels_say_is_weighed_by_the_corrected_shares() {
    let known = baseline().labelled.unwrap();
    let recall = |confusion: &[Vec<u64>], class: usize| {
        confusion[class][class] as f64 / confusion[class].iter().sum::<u64>() as f64
    };
    let expected: f64 = (0..3)
        .map(|class| TARGET.unwrap_or_default()[class] * recall(&known.confusion, class))
        .sum();
    let derived = baseline().for_model(Some(&correction())).unwrap();
    let weighed = derived.labelled.unwrap();
    assert!((weighed.accuracy() - expected).abs() < 0.005);
    assert!(weighed.right().1 < known.right().1);
    assert_eq!(weighed.priors, known.priors);
}
