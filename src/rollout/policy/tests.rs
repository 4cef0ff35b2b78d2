use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn config() -> RolloutConfig {
    RolloutConfig::default()
}

fn state(stage: Stage) -> State {
    State {
        stage,
        entered_at: 0,
        passed: true,
    }
}

/// Enough of everything, with labelled pairs that favour the candidate and the champion.
fn evidence(better: u64, worse: u64) -> Evidence {
    Evidence {
        messages: 5000,
        labels: 1000,
        labelled: Discordant::of_counts(1000, better, worse),
        agreement: Tally::of(4600, 5000),
        confidence: (even(0.71), even(0.7)),
        classes: vec![(even(0.3), even(0.31)), (even(0.7), even(0.69))],
    }
}

fn even(mean: f64) -> Tally {
    Tally {
        count: 5000,
        sum: 5000.0 * mean,
    }
}

fn step(state: &State, evidence: &Evidence, now: i64) -> Step {
    next(state, evidence, &config(), now).step
}

#[test]
fn a_failed_candidate_has_no_rollout_and_an_open_one_begins_in_shadow() {
    assert_eq!(State::begin(Verdict::Fail, 5), None);
    let open = State::begin(Verdict::Inconclusive, 5).unwrap();
    assert_eq!(
        (open.stage, open.entered_at, open.passed),
        (Stage::Shadow, 5, false)
    );
}

#[test]
fn a_good_candidate_climbs_the_ladder_to_the_top_and_is_watched_to_the_end() {
    let (mut now, mut at) = (0, State::begin(Verdict::Pass, 0).unwrap());
    let mut shares = vec![];
    let mut steps = vec![];
    for _ in 0..10 {
        now += DAY;
        let decision = next(&at, &evidence(40, 30), &config(), now);
        steps.push(decision.step);
        let Some(state) = decision.state else { break };
        shares.push(state.stage.share());
        at = state;
    }
    assert_eq!(shares[..4], [0.05, 0.25, 0.5, 1.0]);
    assert_eq!(
        steps[..4],
        [Step::Advance, Step::Advance, Step::Advance, Step::Promote]
    );
    assert_eq!(steps[4..], [Step::Stay; 6]);
    assert_eq!(
        step(&at, &evidence(40, 30), at.entered_at + 7 * DAY),
        Step::Finish
    );
}

#[test]
fn proven_harm_halts_before_promotion_and_rolls_back_after_it() {
    let harm = evidence(20, 70);
    for stage in [Stage::Shadow, Stage::Canary { share: 0.5 }] {
        assert_eq!(step(&state(stage), &harm, DAY), Step::Halt);
    }
    let decision = next(&state(Stage::Full), &harm, &config(), HOUR);
    assert_eq!((decision.step, decision.state), (Step::RollBack, None));
    assert!(
        decision
            .reason
            .contains("5.0 points of accuracy lost on 1000"),
        "{}",
        decision.reason
    );
    let tolerant = RolloutConfig {
        harm_margin: 0.06,
        ..config()
    };
    assert_eq!(
        next(&state(Stage::Full), &harm, &tolerant, HOUR).step,
        Step::Stay
    );
}

#[test]
fn too_early_or_with_too_little_a_stage_is_not_left() {
    let shadow = state(Stage::Shadow);
    let stays = |evidence: Evidence, now| {
        let decision = next(&shadow, &evidence, &config(), now);
        assert_eq!((decision.step, decision.state), (Step::Stay, Some(shadow)));
        decision.reason
    };
    assert!(stays(evidence(40, 30), HOUR / 2).contains("1800 of at least 3600 seconds"));
    let few = Evidence {
        messages: 10,
        ..evidence(40, 30)
    };
    assert!(stays(few, DAY).contains("10 of at least 1000 messages"));
    let unlabelled = Evidence {
        labels: 3,
        ..evidence(4, 3)
    };
    assert!(stays(unlabelled, DAY).contains("3 of at least 100 labelled"));
    // A clock that runs back ends nothing.
    assert_eq!(step(&shadow, &evidence(40, 30), -DAY), Step::Stay);
}

#[test]
fn a_candidate_that_the_gate_left_open_leaves_shadow_only_when_proven_better() {
    let open = State {
        passed: false,
        ..state(Stage::Shadow)
    };
    assert_eq!(step(&open, &evidence(40, 30), DAY), Step::Stay);
    assert_eq!(step(&open, &evidence(90, 30), DAY), Step::Advance);
    let hasty = RolloutConfig {
        undecided: Undecided::Advance,
        ..config()
    };
    assert_eq!(
        next(&open, &evidence(40, 30), &hasty, 8 * DAY).step,
        Step::Halt
    );
}

#[test]
fn a_stage_whose_time_is_up_ends_as_the_config_says() {
    let canary = state(Stage::Canary { share: 0.5 });
    let few = Evidence {
        labels: 3,
        ..evidence(4, 3)
    };
    assert_eq!(step(&canary, &few, 8 * DAY), Step::Halt);
    let hasty = RolloutConfig {
        undecided: Undecided::Advance,
        ..config()
    };
    assert_eq!(next(&canary, &few, &hasty, 8 * DAY).step, Step::Promote);
    let careful = RolloutConfig {
        prove_gain: true,
        ..config()
    };
    assert_eq!(
        next(&canary, &evidence(40, 30), &careful, DAY).step,
        Step::Stay
    );
    assert_eq!(
        next(&canary, &evidence(90, 30), &careful, DAY).step,
        Step::Promote
    );
}

#[test]
fn where_labels_are_rare_likeness_decides_if_it_may() {
    let shadow = state(Stage::Shadow);
    let by_agreement = RolloutConfig {
        rare_labels: RareLabels::Agreement,
        ..config()
    };
    let few = |change: fn(&mut Evidence)| {
        let mut few = Evidence {
            labels: 3,
            ..evidence(4, 3)
        };
        change(&mut few);
        next(&shadow, &few, &by_agreement, DAY)
    };
    assert_eq!(few(|_| ()).step, Step::Advance);
    // Not proven either way.
    assert_eq!(
        few(|few| few.agreement = Tally::of(17, 20)).step,
        Step::Stay
    );
    assert_eq!(few(|few| few.agreement = Tally::default()).step, Step::Stay);
    assert_eq!(few(|few| few.classes.clear()).step, Step::Stay);
    // Proven to differ.
    let disagrees = few(|few| few.agreement = Tally::of(3500, 5000));
    assert_eq!(disagrees.step, Step::Halt);
    assert!(disagrees.reason.contains("70.0 % of the messages"));
    assert_eq!(few(|few| few.classes[0].0 = even(0.6)).step, Step::Halt);
    assert_eq!(few(|few| few.confidence.0 = even(0.4)).step, Step::Halt);
    // Where labels are waited for, they alone tell.
    let mut waits = evidence(4, 3);
    (waits.labels, waits.agreement) = (3, Tally::of(3500, 5000));
    assert_eq!(step(&shadow, &waits, DAY), Step::Stay);
    // With enough labels they decide.
    let labelled = Evidence {
        classes: vec![(even(0.6), even(0.3))],
        ..evidence(40, 30)
    };
    assert_eq!(step(&shadow, &labelled, DAY), Step::Advance);
}

/// A rollout of models with these chances to be right, looked at after every 20 labels; what became of it.
fn rollout(champion: f64, candidate: f64, passed: bool, seed: u64) -> Step {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let config = RolloutConfig {
        min_labels: 100,
        ..config()
    };
    let mut at = State {
        stage: Stage::Shadow,
        entered_at: 0,
        passed,
    };
    let mut now = 0;
    let mut found = evidence(0, 0);
    (found.labels, found.labelled) = (0, Discordant::default());
    loop {
        now += DAY / 2;
        for _ in 0..20 {
            // The models share four decisions in five.
            let shared: f64 = rng.random();
            let mut right = |skill: f64| {
                let draw = if rng.random::<f64>() < 0.1 {
                    rng.random()
                } else {
                    shared
                };
                draw < skill
            };
            found.labelled.add(right(champion), right(candidate), 1.0);
            found.labels += 1;
        }
        let decision = next(&at, &found, &config, now);
        let Some(state) = decision.state else {
            return decision.step;
        };
        if state.stage != at.stage {
            found.labels = 0;
            if state.stage == Stage::Full {
                found.labelled = Discordant::default();
            }
        }
        at = state;
    }
}

/// `cargo test rates_of_the_rollouts -- --nocapture` prints the figures.
#[test]
fn rates_of_the_rollouts_are_what_the_policy_promises() {
    let runs = 400;
    let rates = |candidate: f64, passed: bool| {
        let mut counts = [0; 3];
        for seed in 0..runs {
            let end = match rollout(0.7, candidate, passed, seed) {
                Step::Finish => 0,
                Step::Halt => 1,
                _ => 2,
            };
            counts[end] += 1;
        }
        let rates = counts.map(|count| f64::from(count) / runs as f64);
        println!(
            "accuracy {candidate} beside 0.7, gate passed {passed}: kept, halted, rolled back {rates:?}"
        );
        rates
    };
    // Three standard errors at 0.05 are 0.033; harm may be called falsely before promotion and once more in the watch after it.
    let [kept, ..] = rates(0.7, true);
    assert!(kept >= 0.9 - 0.045, "{kept}");
    let [kept, ..] = rates(0.7, false);
    assert!(kept <= 0.083, "{kept}");
    let [kept, ..] = rates(0.55, true);
    assert!(kept < 0.05, "{kept}");
    rates(0.65, true);
    let [kept, ..] = rates(0.8, false);
    assert!(kept > 0.5, "{kept}");
    let [kept, ..] = rates(0.8, true);
    assert!(kept > 0.95, "{kept}");
}

fn stages() -> impl Strategy<Value = Stage> {
    prop_oneof![2 => stages_before_promotion(), 1 => Just(Stage::Full)]
}

fn stages_before_promotion() -> impl Strategy<Value = Stage> {
    prop_oneof![
        Just(Stage::Shadow),
        prop::sample::select(vec![0.05, 0.25, 0.3, 0.5, 0.9])
            .prop_map(|share| Stage::Canary { share }),
    ]
}

prop_compose! {
    fn any_evidence()(
        messages in 0_u64..3000, labels in 0_u64..400, better in 0_u64..120, worse in 0_u64..120,
        agreed in 0_u64..1000, classes in prop::collection::vec((0.0_f64..1.0, 0.0_f64..1.0), 0..4),
    ) -> Evidence {
        Evidence {
            messages,
            labels,
            labelled: Discordant::of_counts(labels.max(better + worse), better, worse),
            agreement: Tally::of(agreed, 1000),
            confidence: (even(0.7), even(0.72)),
            classes: classes.into_iter().map(|(one, other)| (even(one), even(other))).collect(),
        }
    }
}

prop_compose! {
    fn any_config()(
        rare in any::<bool>(), hasty in any::<bool>(), prove_gain in any::<bool>(), min_labels in 0_u64..200,
        shares in prop::sample::select(vec![vec![], vec![0.05, 0.25, 0.5], vec![0.5]]),
    ) -> RolloutConfig {
        RolloutConfig {
            rare_labels: if rare { RareLabels::Agreement } else { RareLabels::Wait },
            undecided: if hasty { Undecided::Advance } else { Undecided::Halt },
            prove_gain,
            min_labels,
            shares,
            ..RolloutConfig::default()
        }
    }
}

proptest! {
    #[test]
    fn proven_harm_never_goes_on(
        stage in stages(), found in any_evidence(), config in any_config(), passed: bool, now in 0..20 * DAY,
    ) {
        let decision = next(&State { passed, ..state(stage) }, &found, &config, now);
        if found.labelled.p_worse() <= config.alpha && found.labelled.gain() < 0.0 {
            let expected = if stage == Stage::Full { Step::RollBack } else { Step::Halt };
            prop_assert_eq!(decision.step, expected);
        }
    }

    #[test]
    fn no_stage_outlasts_its_time(
        stage in stages(), found in any_evidence(), config in any_config(), passed: bool, beyond in 0..5 * DAY,
    ) {
        let last = if stage == Stage::Full { config.watch_seconds } else { config.max_stage_seconds };
        let now = 1000 * i64::try_from(last).unwrap() + beyond;
        let decision = next(&State { passed, ..state(stage) }, &found, &config, now);
        prop_assert!(decision.step != Step::Stay, "{:?}", decision);
    }

    #[test]
    fn a_share_only_grows_until_the_rollout_ends(
        stage in stages(), found in any_evidence(), config in any_config(), passed: bool, now in 0..20 * DAY,
    ) {
        let decision = next(&State { passed, ..state(stage) }, &found, &config, now);
        match (decision.step, decision.state) {
            (Step::Stay, Some(after)) => prop_assert_eq!(after.stage, stage),
            (Step::Advance, Some(after)) => {
                prop_assert!(after.stage.share() > stage.share() && after.stage.share() < 1.0);
                prop_assert_eq!(after.entered_at, now);
            }
            (Step::Promote, Some(after)) => {
                prop_assert!(after.stage == Stage::Full && stage != Stage::Full);
            }
            (Step::Halt, None) => prop_assert!(stage != Stage::Full),
            (Step::RollBack | Step::Finish, None) => prop_assert_eq!(stage, Stage::Full),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn what_the_gate_left_open_never_serves_without_proof(
        stage in stages_before_promotion(), found in any_evidence(), config in any_config(), now in 0..20 * DAY,
    ) {
        let decision = next(&State { passed: false, ..state(stage) }, &found, &config, now);
        if matches!(decision.step, Step::Advance | Step::Promote) {
            prop_assert!(found.labelled.p_better() <= config.alpha);
        }
    }

    #[test]
    fn every_rollout_ends(found in any_evidence(), config in any_config(), passed: bool) {
        let mut at = State { passed, ..state(Stage::Shadow) };
        let mut now = 0;
        let mut steps = 0;
        while let Some(state) = next(&at, &found, &config, now).state {
            at = state;
            now += DAY;
            steps += 1;
            prop_assert!(steps <= 7 * (2 + config.shares.len()) + 10);
        }
    }
}
