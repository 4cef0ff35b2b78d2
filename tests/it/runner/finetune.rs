//! The runner with `tidewatch-finetune`.

use tidewatch::model::manifest::Bundle;
use tidewatch::retrain::runner::{RunnerConfig, Task};

use super::*;
use crate::finetune::workshop::Workshop;

const EPOCHS: &str = "10";

fn version(workshop: &Workshop, name: &str) -> String {
    Bundle::open(workshop.path(name)).unwrap().version
}

/// The job that the configuration makes of the workshop's recipe, which keeps its state after every step.
fn job(workshop: &Workshop, config: &RunnerConfig) -> Job {
    let mut job = config.job(&Task {
        recipe: workshop.path("recipe.toml"),
        bundle: workshop.path("result"),
        folder: workshop.path(""),
    });
    job.program = env!("CARGO_BIN_EXE_tidewatch-finetune").into();
    job.environment.remove("TIDEWATCH_DATA");
    let more = ["--epochs", EPOCHS, "--save-every", "0"];
    job.arguments.extend(more.map(str::to_owned));
    job
}

#[test]
fn a_training_killed_again_and_again_ends_in_the_same_bundle() {
    let workshop = Workshop::new();
    workshop.succeed(&["--out", "whole", "--epochs", EPOCHS]);
    // Bounded as in earnest: that this much memory suffices is part of the test.
    let config = RunnerConfig {
        memory_mib: 2048,
        cpus: 1,
        ..RunnerConfig::default()
    };
    let job = job(&workshop, &config);
    let (mut process, mut resumed) = (String::new(), Vec::new());
    let end = persist(
        &job,
        config.attempts,
        &mut |event| match event {
            Event::Started { process: id, .. } => process.clone_from(id),
            Event::Told(Progress::Resumed { place }) => resumed.push(place.step),
            Event::Told(Progress::State { place })
                if place.step >= 20 * (resumed.len() as u64 + 1) && resumed.len() < 3 =>
            {
                // It may be dead already, where it had told more before the signal arrived.
                let _ = Command::new("kill")
                    .args(["-KILL", &process])
                    .status()
                    .unwrap();
            }
            Event::Told(_) => {}
        },
        &|| false,
    );
    let bundle = workshop.path("result");
    assert_eq!(end, End::Done { bundle });
    assert_eq!(resumed.len(), 3, "{resumed:?}");
    assert!(resumed[0] >= 20 && resumed.is_sorted(), "{resumed:?}");
    assert_eq!(version(&workshop, "result"), version(&workshop, "whole"));
}

#[test]
fn a_stopped_training_goes_on_later_and_tells_typed_progress() {
    let workshop = Workshop::new();
    workshop.succeed(&["--out", "whole", "--epochs", EPOCHS]);
    let job = job(&workshop, &RunnerConfig::default());
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
    has(&|told| matches!(told, Progress::Start { epochs: 10, .. }));
    has(&|told| matches!(told, Progress::Resumed { .. }));
    has(
        &|told| matches!(told, Progress::Step { place, .. } if place.step == place.steps && place.epoch == 10),
    );
    has(&|told| matches!(told, Progress::Validation { epoch: 10, .. }));
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
    let (end, _) = ended(&job(&workshop, &config));
    let (End::Killed { last_words, .. } | End::Refused { last_words, .. }) = end else {
        panic!("{end:?}");
    };
    assert!(!last_words.is_empty());
}

#[test]
fn a_bad_recipe_is_refused_with_its_sentence() {
    let workshop = Workshop::new();
    workshop.write("recipe.toml", "seed = 1");
    let (end, _) = ended(&job(&workshop, &RunnerConfig::default()));
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
