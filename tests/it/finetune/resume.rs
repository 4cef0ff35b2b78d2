//! Trainings that die, and go on to the same result.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tidewatch::model::manifest::Bundle;

use super::refused;
use super::workshop::{RECIPE, Workshop, event, stderr, tweets};

const STATE: &str = "result.checkpoint/training.state";
/// Keeps the state after every step, and goes on from it.
const CAREFUL: [&str; 5] = ["--out", "result", "--resume", "--save-every", "0"];

/// The version of the bundle that a run without any interruption makes.
fn uninterrupted(workshop: &Workshop, more: &[&str]) -> String {
    workshop.succeed(&[&["--out", "whole"], more].concat());
    version(workshop, "whole")
}

fn version(workshop: &Workshop, name: &str) -> String {
    let bundle = Bundle::open(workshop.path(name)).unwrap();
    bundle.verify().unwrap();
    bundle.version
}

/// A run that is under way, and what it tells.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(workshop: &Workshop, arguments: &[&str]) -> Self {
        let mut child = workshop
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until it tells something that is wanted.
    fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) {
        let found = self
            .lines
            .any(|line| wanted(&serde_json::from_str(&line.unwrap()).unwrap()));
        assert!(found, "it ended without a word of what was waited for");
    }

    /// Sends a signal, reads what it still says, and waits for its end.
    fn end(mut self, signal: &str) -> std::process::Output {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
        assert!(self.lines.all(|line| line.is_ok()));
        self.child.wait_with_output().unwrap()
    }
}

/// A run that was killed once its state was kept after some steps of many.
fn killed(workshop: &Workshop, more: &[&str]) {
    let mut running = Running::start(workshop, &[&CAREFUL[..], more].concat());
    running.wait_for(|told| told["event"] == "state" && told["step"].as_u64() >= Some(30));
    let output = running.end("-KILL");
    assert_eq!(output.status.code(), None, "{}", stderr(&output));
    assert!(workshop.path(STATE).exists());
}

#[test]
fn a_run_killed_and_resumed_ends_in_the_same_bundle_and_leaves_no_state() {
    let workshop = Workshop::new();
    let many = ["--epochs", "40"];
    let whole = uninterrupted(&workshop, &many);
    killed(&workshop, &many);
    let told = workshop.succeed(&["--out", "result", "--resume", "--epochs", "40"]);
    let resumed = event(&told, "resumed");
    assert!(resumed["step"].as_u64() >= Some(30), "{resumed}");
    assert_eq!(resumed["epochs"], json!(40));
    let first = told.iter().find(|told| told["event"] == "step").unwrap();
    assert!(first["step"].as_u64() > resumed["step"].as_u64());
    assert_eq!(version(&workshop, "result"), whole);
    assert!(!workshop.path(STATE).exists());
}

#[test]
fn a_stopped_run_keeps_its_state_and_goes_on_to_the_same_bundle() {
    let workshop = Workshop::new();
    // So many that it cannot be over before it hears of the signal.
    let many = ["--epochs", "150"];
    let whole = uninterrupted(&workshop, &many);
    // Nothing is kept but what the signal makes it keep.
    let arguments = ["--out", "result", "--resume", "--epochs", "150"];
    let mut running = Running::start(&workshop, &arguments);
    running.wait_for(|told| told["event"] == "step");
    refused(&running.end("-TERM"), 130, "--resume goes on");
    let told = workshop.succeed(&arguments);
    assert!(event(&told, "resumed")["step"].as_u64() >= Some(25));
    assert_eq!(version(&workshop, "result"), whole);
}

#[test]
fn a_run_of_which_nothing_is_kept_begins_anew_and_a_finished_one_stays_as_it_is() {
    let workshop = Workshop::new();
    let few = ["--epochs", "1"];
    let whole = uninterrupted(&workshop, &few);
    let arguments = ["--out", "result", "--resume", "--epochs", "1"];
    let told = workshop.succeed(&arguments);
    assert!(told.iter().all(|told| told["event"] != "resumed"));
    assert_eq!(version(&workshop, "result"), whole);

    let told = workshop.succeed(&arguments);
    assert!(told.iter().all(|told| told["event"] != "start"));
    assert_eq!(event(&told, "bundle")["version"], json!(whole));
    refused(
        &workshop.run(&["--out", "result", "--resume", "--epochs", "2"]),
        2,
        "result exists already",
    );
}

#[test]
fn the_state_of_another_training_is_refused_and_left_alone() {
    let workshop = Workshop::new();
    let many = ["--epochs", "40"];
    killed(&workshop, &many);
    let kept = std::fs::read(workshop.path(STATE)).unwrap();
    let resume = |more: &[&str]| workshop.run(&[&CAREFUL[..], &many, more].concat());
    let foreign = "belongs to a training with another recipe";
    refused(&resume(&["--seed", "2"]), 2, foreign);
    refused(&resume(&["--lr", "1e-3"]), 2, foreign);
    workshop.write("train.tsv", &tweets(0..239));
    refused(&resume(&[]), 2, foreign);
    workshop.write("train.tsv", &tweets(0..240));
    let other = RECIPE.replace("path = \"train.tsv\"", "path = \"train.tsv\"\nrepeat = 2");
    workshop.write("recipe.toml", &other);
    refused(&resume(&[]), 2, foreign);
    assert!(std::fs::read(workshop.path(STATE)).unwrap() == kept);
}

#[test]
fn a_damaged_state_is_refused() {
    let workshop = Workshop::new();
    let many = ["--epochs", "40"];
    killed(&workshop, &many);
    let kept = std::fs::read(workshop.path(STATE)).unwrap();
    let resume = |bytes: &[u8]| {
        std::fs::write(workshop.path(STATE), bytes).unwrap();
        workshop.run(&[&CAREFUL[..], &many].concat())
    };
    refused(&resume(&kept[..kept.len() - 40]), 2, "is damaged");
    refused(&resume(&[&kept[..], b"more"].concat()), 2, "is damaged");
    let mut flipped = kept.clone();
    flipped[kept.len() / 2] ^= 1;
    refused(&resume(&flipped), 2, "its checksum does not agree");
    refused(&resume(b"something else"), 2, "is damaged");
}

#[test]
fn a_full_disk_is_said_and_the_state_before_it_serves() {
    let workshop = Workshop::new();
    let many = ["--epochs", "40"];
    let whole = uninterrupted(&workshop, &many);
    killed(&workshop, &many);
    let kept = std::fs::read(workshop.path(STATE)).unwrap();

    // No file may grow beyond 48 KiB, which holds everything but the state; the signal for it is ignored, so that
    // writing fails as on a full disk.
    assert!(kept.len() > 49_152, "{}", kept.len());
    let program = workshop.command(&[&CAREFUL[..], &many].concat());
    let limited = "trap '' XFSZ; ulimit -f 96; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", limited])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(workshop.path(""))
        .env_remove("TIDEWATCH_DATA")
        .output()
        .unwrap();
    refused(&output, 4, "training.state.partial cannot be written");
    assert!(std::fs::read(workshop.path(STATE)).unwrap() == kept);
    assert!(!workshop.path(&format!("{STATE}.partial")).exists());

    workshop.succeed(&[&CAREFUL[..], &many].concat());
    assert_eq!(version(&workshop, "result"), whole);
}

#[cfg(feature = "failpoints")]
mod at_points {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    /// Runs until it ends by itself, and dies at a point in each process; how many did.
    fn deaths(workshop: &Workshop, fault: &str, more: &[&str]) -> usize {
        for deaths in 0..100 {
            let output = workshop
                .command(&[&CAREFUL[..], more].concat())
                .env("TIDEWATCH_FAULT", fault)
                .output()
                .unwrap();
            if output.status.signal() != Some(9) {
                assert!(output.status.success(), "{}", stderr(&output));
                return deaths;
            }
        }
        panic!("{fault}: it gets nowhere");
    }

    #[test]
    fn a_run_that_dies_every_few_steps_ends_in_the_same_bundle() {
        let workshop = Workshop::new();
        let two = ["--epochs", "2"];
        let whole = uninterrupted(&workshop, &two);
        let steps = event(
            &workshop.succeed(&["--out", "again", "--epochs", "2"]),
            "start",
        )["steps"]
            .as_u64()
            .unwrap();
        // Each process dies after its fifth step, before that is kept.
        let deaths = deaths(&workshop, "step-done@5=kill", &two);
        assert_eq!(deaths as u64, (steps - 1) / 4);
        assert_eq!(version(&workshop, "result"), whole);
    }

    #[test]
    fn a_run_that_dies_while_it_writes_ends_in_the_same_bundle() {
        let workshop = Workshop::new();
        let one = ["--epochs", "1"];
        let whole = uninterrupted(&workshop, &one);
        for (fault, at_least) in [
            ("state-written@3=kill", 5),
            ("state-kept@3=kill", 5),
            ("bundle-written@1=kill", 1),
        ] {
            assert!(deaths(&workshop, fault, &one) >= at_least, "{fault}");
            assert_eq!(version(&workshop, "result"), whole, "{fault}");
            std::fs::remove_dir_all(workshop.path("result")).unwrap();
        }
    }

    #[test]
    fn a_run_that_dies_before_its_bundle_does_not_train_again() {
        let workshop = Workshop::new();
        let one = ["--epochs", "1"];
        let whole = uninterrupted(&workshop, &one);
        let output = workshop
            .command(&[&CAREFUL[..], &one].concat())
            .env("TIDEWATCH_FAULT", "bundle-due@1=kill")
            .output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(9));
        let told = workshop.succeed(&[&CAREFUL[..], &one].concat());
        let resumed = event(&told, "resumed");
        assert_eq!(resumed["step"], resumed["steps"]);
        assert!(told.iter().all(|told| told["event"] != "step"));
        assert_eq!(version(&workshop, "result"), whole);
    }
}
