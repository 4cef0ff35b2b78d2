//! The runner with `tidewatch-finetune`.

use tidewatch::model::manifest::Bundle;
use tidewatch::retrain::runner::{RunnerConfig, Task};

use super::*;
use crate::finetune::workshop::Workshop;

fn version(workshop: &Workshop, name: &str) -> String {
    Bundle::open(workshop.path(name)).unwrap().version
}

/// The job that the configuration makes of the workshop's recipe, which keeps its state after every step.
fn job(workshop: &Workshop, config: &RunnerConfig, epochs: &str) -> Job {
    let mut job = config.job(&Task {
        recipe: workshop.path("recipe.toml"),
        bundle: workshop.path("result"),
        folder: workshop.path(""),
    });
    job.program = env!("CARGO_BIN_EXE_tidewatch-finetune").into();
    job.environment.remove("TIDEWATCH_DATA");
    let more = ["--epochs", epochs, "--save-every", "0"];
    job.arguments.extend(more.map(str::to_owned));
    job
}

#[cfg(feature = "failpoints")]
#[test]
fn a_training_killed_again_and_again_ends_in_the_same_bundle() {
    let workshop = Workshop::new();
    workshop.succeed(&["--out", "whole", "--epochs", "3"]);
    // Bounded as in earnest: that this much memory suffices is part of the test.
    let config = RunnerConfig {
        memory_mib: 2048,
        cpus: 1,
        ..RunnerConfig::default()
    };
    let mut job = job(&workshop, &config, "3");
    // Each process dies after its 20th step, before that is kept.
    let fault = "step-done@20=kill".to_owned();
    job.environment.insert("TIDEWATCH_FAULT".into(), fault);
    let (mut started, mut resumed) = (Vec::new(), Vec::new());
    let end = persist(
        &job,
        config.attempts,
        &mut |event| match event {
            Event::Started { attempt, .. } => started.push(*attempt),
            Event::Told(Progress::Resumed { place }) => resumed.push(place.step),
            Event::Told(_) => {}
        },
        &|| false,
    );
    let bundle = workshop.path("result");
    assert_eq!(end, End::Done { bundle });
    assert!(started.len() > 2, "{started:?}");
    let kept: Vec<u64> = (1..started.len() as u64)
        .map(|process| process * 19)
        .collect();
    assert_eq!(resumed, kept);
    assert_eq!(version(&workshop, "result"), version(&workshop, "whole"));
}

#[test]
fn a_stopped_training_goes_on_later_and_tells_typed_progress() {
    // So many that it cannot be over before it hears that it is to stop.
    const EPOCHS: u64 = 60;
    let workshop = Workshop::new();
    workshop.succeed(&["--out", "whole", "--epochs", &EPOCHS.to_string()]);
    let job = job(&workshop, &RunnerConfig::default(), &EPOCHS.to_string());
    let asked = Cell::new(false);
    let end = run(
        &job,
        &mut |event| {
            if matches!(event, Event::Told(Progress::Step { .. })) {
                asked.set(true);
            }
        },
        &|| asked.get(),
    );
    let End::Stopped { last_words } = end else {
        panic!("{end:?}");
    };
    assert!(last_words[0].contains("--resume goes on"), "{last_words:?}");

    let (end, events) = ended(&job);
    assert!(matches!(end, End::Done { .. }), "{end:?}");
    let told = told(&events);
    let has = |wanted: &dyn Fn(&Progress) -> bool| assert!(told.iter().any(wanted), "{told:?}");
    has(&|told| matches!(told, Progress::Data { train: 240, .. }));
    has(&|told| matches!(told, Progress::Start { epochs: EPOCHS, .. }));
    has(&|told| matches!(told, Progress::Resumed { .. }));
    has(
        &|told| matches!(told, Progress::Step { place, .. } if place.step == place.steps && place.epoch == EPOCHS),
    );
    has(&|told| matches!(told, Progress::Validation { epoch: EPOCHS, .. }));
    let whole = version(&workshop, "whole");
    has(&|told| matches!(told, Progress::Bundle { version, .. } if *version == whole));
}

#[test]
fn a_training_without_enough_memory_ends_and_says_so() {
    let workshop = Workshop::new();
    let config = RunnerConfig {
        memory_mib: 8,
        ..RunnerConfig::default()
    };
    let (end, _) = ended(&job(&workshop, &config, "1"));
    let (End::Killed { last_words, .. } | End::Refused { last_words, .. }) = end else {
        panic!("{end:?}");
    };
    assert!(!last_words.is_empty());
}

#[test]
fn a_bad_recipe_is_refused_with_its_sentence() {
    let workshop = Workshop::new();
    workshop.write("recipe.toml", "seed = 1");
    let (end, _) = ended(&job(&workshop, &RunnerConfig::default(), "1"));
    let End::Refused {
        why: Refusal::BadInput,
        code: 2,
        last_words,
    } = end
    else {
        panic!("{end:?}");
    };
    assert!(last_words[0].contains("recipe.toml"), "{last_words:?}");
}
