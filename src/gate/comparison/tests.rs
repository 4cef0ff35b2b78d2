use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;
use crate::gate::config::{FewRecent, Required};
use crate::gate::equity::{Attribute, Gap};
use crate::gate::example::LengthClass;
use crate::gate::speed::Quantity;

const SHARES: [f64; 3] = [0.2, 0.45, 0.35];

fn labels() -> Vec<String> {
    ["negative", "neutral", "positive"]
        .map(String::from)
        .to_vec()
}

/// How often models are right, by class.
#[derive(Clone, Copy)]
struct Skill {
    champion: [f64; 3],
    candidate: [f64; 3],
}

impl Skill {
    /// Both alike but for `gain` in every class.
    fn gains(gain: f64) -> Self {
        let champion = [0.66, 0.7, 0.74];
        Self {
            champion,
            candidate: champion.map(|recall| recall + gain),
        }
    }
}

/// Probabilities with the largest, `confidence`, for one label.
fn row(label: usize, confidence: f64) -> Vec<f32> {
    let rest = ((1.0 - confidence) / 2.0) as f32;
    let mut row = vec![rest; 3];
    row[label] = confidence as f32;
    row
}

/// Answers of two models that are right with the chances of their skill, mostly on the same messages, and about as sure as right.
fn examples(count: usize, skill: Skill, seed: u64) -> Vec<Example> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count)
        .map(|_| {
            let draw: f64 = rng.random();
            let truth = usize::from(draw > SHARES[0]) + usize::from(draw > SHARES[0] + SHARES[1]);
            let (shared, ease): (f64, f64) = (rng.random(), 0.4 * (rng.random::<f64>() - 0.5));
            let mut answer = |skills: [f64; 3]| {
                let skill = skills[truth];
                let mean: f64 = SHARES
                    .iter()
                    .zip(skills)
                    .map(|(share, skill)| share * skill)
                    .sum();
                // One message in six is decided by the model itself.
                let luck = if rng.random::<f64>() < 1.0 / 6.0 {
                    rng.random()
                } else {
                    shared
                };
                let wrong = (truth + 1 + usize::from(rng.random::<bool>())) % 3;
                let label = if luck < skill + ease { truth } else { wrong };
                row(label, (mean + ease).min(0.999))
            };
            let (champion, candidate) = (answer(skill.champion), answer(skill.candidate));
            Example {
                truth,
                champion,
                candidate,
                source: Some(["twitter", "reviews"][rng.random_range(0..2)].into()),
                subject: None,
                length: Some(LengthClass::of(rng.random_range(4..64))),
                weight: 1.0,
            }
        })
        .collect()
}

fn runs(factor: f64) -> Runs {
    let champion: Vec<f64> = (0..7).map(|run| 100.0 + f64::from(run)).collect();
    Runs {
        quantity: Quantity::Throughput,
        candidate: champion.iter().map(|speed| speed * factor).collect(),
        champion,
        machine: "two cores".into(),
        precision: "int8".into(),
    }
}

/// What a candidate is judged by, with everything in order beside the examples.
struct Case {
    labels: Vec<String>,
    fixed: Vec<Example>,
    recent: Vec<Example>,
    speeds: Vec<Runs>,
    equity: Vec<Widening>,
    parity: Option<f64>,
    config: GateConfig,
}

impl Case {
    fn new(fixed: Skill, recent: Skill, seed: u64) -> Self {
        Self {
            labels: labels(),
            fixed: examples(2400, fixed, seed),
            recent: examples(1200, recent, seed ^ 0x5555),
            speeds: vec![runs(1.0)],
            equity: Vec::new(),
            parity: Some(1e-5),
            config: GateConfig {
                resamples: 200,
                ..GateConfig::default()
            },
        }
    }

    fn good() -> Self {
        Self::new(Skill::gains(0.03), Skill::gains(0.05), 3)
    }

    fn judge(&self) -> Comparison {
        let input = Input {
            labels: &self.labels,
            candidate_labels: &self.labels,
            problem: Problem::SingleLabel,
            fixed: &self.fixed,
            recent: &self.recent,
            speeds: &self.speeds,
            equity: &self.equity,
            parity: self.parity,
        };
        Comparison::of(&input, &self.config).unwrap()
    }

    /// The one rule that is broken or open.
    fn only(&self, outcome: Outcome) -> (Verdict, Vec<Rule>) {
        let found = self.judge();
        let rules = found.checks.iter().filter(|check| check.outcome == outcome);
        (found.verdict, rules.map(|check| check.rule).collect())
    }
}

fn widening(mean: f64, low: f64, high: f64) -> Widening {
    let gap = |mean| Gap {
        attribute: Attribute::Gender,
        emotion: Some("joy".into()),
        frames: 35,
        mean,
        low: mean - 0.01,
        high: mean + 0.01,
        p: 0.5,
        adjusted_p: 0.5,
        effect: None,
    };
    Widening {
        champion: gap(0.0),
        candidate: gap(mean),
        wider: mean,
        low,
        high,
    }
}

#[test]
fn a_better_candidate_passes_and_says_why() {
    let found = Case::good().judge();
    assert_eq!(found.verdict, Verdict::Pass, "{:#?}", found.checks);
    assert!(found.reasons().count() >= 8);
    assert_eq!(found.fixed.rows.len(), 8);
    assert_eq!(found.fixed.slices.len(), 5);
    let json = serde_json::to_string(&found).unwrap();
    let read: Comparison = serde_json::from_str(&json).unwrap();
    assert_eq!((read.checks, read.config), (found.checks, found.config));
    assert_eq!(read.fixed.rows.len(), found.fixed.rows.len());
}

#[test]
fn a_candidate_that_is_worse_fails_on_accuracy_and_says_so() {
    let found = Case::new(Skill::gains(-0.08), Skill::gains(-0.08), 3).judge();
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(
        found
            .reasons()
            .any(|reason| reason.starts_with("On the fixed set accuracy differs by -"))
    );
}

#[test]
fn a_class_that_is_given_up_fails_whatever_the_whole_gains() {
    let mut skill = Skill::gains(0.08);
    skill.candidate[0] = 0.45;
    let case = Case::new(skill, Skill::gains(0.05), 3);
    assert_eq!(
        case.only(Outcome::Broken),
        (Verdict::Fail, vec![Rule::Classes])
    );
    let found = case.judge();
    assert!(
        found
            .reasons()
            .any(|reason| reason.contains("negative by -"))
    );
}

#[test]
fn a_slice_that_is_given_up_fails() {
    let mut case = Case::good();
    let (labels, fixed) = (&case.labels, &mut case.fixed);
    let mut turn = 0;
    for example in fixed
        .iter_mut()
        .filter(|example| example.source.as_deref() == Some("reviews"))
    {
        turn += 1;
        if turn % 4 == 0 {
            let wrong = (example.truth + 1) % labels.len();
            example.candidate = row(wrong, 0.7);
        }
    }
    let (verdict, broken) = case.only(Outcome::Broken);
    assert_eq!(verdict, Verdict::Fail);
    assert!(broken.contains(&Rule::Slices), "{broken:?}");
}

#[test]
fn what_breaks_a_single_rule_fails_on_that_rule() {
    let broken = |change: fn(&mut Case)| {
        let mut case = Case::good();
        change(&mut case);
        case.only(Outcome::Broken)
    };
    let fails = |rule| (Verdict::Fail, vec![rule]);
    assert_eq!(
        broken(|case| case.speeds = vec![runs(0.5)]),
        fails(Rule::Speed)
    );
    assert_eq!(broken(|case| case.parity = Some(0.01)), fails(Rule::Parity));
    assert_eq!(
        broken(|case| case.parity = Some(f64::NAN)),
        fails(Rule::Parity)
    );
    assert_eq!(
        broken(|case| case.equity = vec![widening(0.0, -0.01, 0.01), widening(0.1, 0.05, 0.15)]),
        fails(Rule::Equity)
    );
    let overconfident = |case: &mut Case| {
        for example in &mut case.fixed {
            let best = crate::model::probability::largest(&example.candidate);
            example.candidate = row(best, 0.999);
        }
    };
    assert_eq!(
        broken(overconfident),
        (Verdict::Fail, vec![Rule::Nll, Rule::Ece])
    );
}

#[test]
fn what_is_not_known_leaves_the_verdict_open_where_it_is_asked_for() {
    let open = |change: fn(&mut Case)| {
        let mut case = Case::good();
        change(&mut case);
        case.only(Outcome::Open)
    };
    type Change = fn(&mut Case);
    let cases: [(Change, Rule); 7] = [
        (|case| case.recent.truncate(50), Rule::RecentGain),
        (|case| case.recent.clear(), Rule::RecentGain),
        (|case| case.speeds.clear(), Rule::Speed),
        (|case| case.speeds[0].champion.truncate(2), Rule::Speed),
        (|case| case.parity = None, Rule::Parity),
        (
            |case| case.equity = vec![widening(0.02, -0.01, 0.05)],
            Rule::Equity,
        ),
        (
            |case| case.config.required.push(Required::Equity),
            Rule::Equity,
        ),
    ];
    for (change, rule) in cases {
        assert_eq!(open(change), (Verdict::Inconclusive, vec![rule]));
    }
    let ignored = |case: &mut Case| {
        case.recent.clear();
        case.speeds.clear();
        case.config.few_recent = FewRecent::Ignore;
        case.config.required.clear();
    };
    assert_eq!(open(ignored), (Verdict::Pass, vec![]));
}

#[test]
fn without_a_held_out_set_or_with_several_labels_at_once_nothing_is_judged() {
    let case = Case::good();
    let input = |problem, fixed| Input {
        labels: &case.labels,
        candidate_labels: &case.labels,
        problem,
        fixed,
        recent: &[],
        speeds: &[],
        equity: &[],
        parity: None,
    };
    let refused = |input| Comparison::of(&input, &case.config).unwrap_err();
    assert_eq!(
        refused(input(Problem::SingleLabel, &[])),
        GateError::NothingHeldOut
    );
    assert_eq!(
        refused(input(Problem::MultiLabel, &case.fixed)),
        GateError::MultiLabel
    );
    let mut turned = case.labels.clone();
    turned.reverse();
    let other = Input {
        candidate_labels: &turned,
        ..input(Problem::SingleLabel, &case.fixed)
    };
    assert!(matches!(refused(other), GateError::Labels { .. }));
    let unmeasured = Input {
        speeds: &[runs(0.0)],
        ..input(Problem::SingleLabel, &case.fixed)
    };
    assert_eq!(refused(unmeasured), GateError::Runs("throughput"));
}

/// `cargo test rates_of_the_verdicts -- --nocapture` prints the figures.
#[test]
fn rates_of_the_verdicts_are_what_the_rules_promise() {
    let runs = 100;
    let rates = |fixed: f64, recent: f64| {
        let mut counts = [0; 3];
        for seed in 0..runs {
            let case = Case::new(Skill::gains(fixed), Skill::gains(recent), seed);
            counts[case.judge().verdict as usize] += 1;
        }
        let rates = counts.map(|count| f64::from(count) / runs as f64);
        println!(
            "gain {fixed:+} on 2,400 fixed, {recent:+} on 1,200 recent: pass, fail, inconclusive {rates:?}"
        );
        rates
    };
    let [pass, fail, _] = rates(0.0, 0.0);
    // A gain is called where there is none in 2.5 %, and a loss likewise; three standard errors are 0.047.
    assert!(pass <= 0.072 && fail <= 0.072, "{pass} {fail}");
    let [pass, ..] = rates(-0.02, 0.05);
    assert!(pass <= 0.072, "{pass}");
    let [pass, fail, _] = rates(0.02, 0.05);
    assert!(pass > 0.6 && fail < 0.05, "{pass} {fail}");
    let [pass, fail, _] = rates(-0.06, -0.06);
    assert!(pass < 0.01 && fail > 0.8, "{pass} {fail}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_verdict_follows_from_its_checks_and_is_the_same_each_time(
        fixed in -0.1_f64..0.1, recent in -0.1_f64..0.1, count in 1_usize..400, seed: u64,
    ) {
        let mut case = Case::new(Skill::gains(fixed), Skill::gains(recent), seed);
        case.fixed.truncate(count);
        case.recent.truncate(count);
        let found = case.judge();
        prop_assert_eq!(found.verdict, Verdict::of(&found.checks));
        prop_assert!(found.reasons().count() > 0);
        for row in &found.fixed.rows {
            prop_assert!(row.low <= row.high && (0.0..=1.0).contains(&row.p));
        }
        prop_assert_eq!(found, case.judge());
    }

    #[test]
    fn wider_margins_never_turn_a_pass_into_less(
        fixed in -0.05_f64..0.08, recent in -0.02_f64..0.1, more in 0.0_f64..0.1, seed: u64,
    ) {
        let mut case = Case::new(Skill::gains(fixed), Skill::gains(recent), seed);
        let narrow = case.judge().verdict;
        let config = &mut case.config;
        for margin in [
            &mut config.accuracy_margin,
            &mut config.macro_recall_margin,
            &mut config.class_loss,
            &mut config.slice_loss,
            &mut config.nll_margin,
            &mut config.ece_margin,
        ] {
            *margin += more;
        }
        let wide = case.judge().verdict;
        prop_assert!(narrow != Verdict::Pass || wide == Verdict::Pass);
        prop_assert!(wide != Verdict::Fail || narrow == Verdict::Fail);
    }
}
