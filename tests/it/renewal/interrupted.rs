//! Trainings that are stopped, killed or got in the way of.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus, Stdio};

use tidewatch::store::{Begun, NewTraining, TrainingState};

use super::*;

/// So many that it cannot be over before it hears of a signal.
const MANY: u32 = 60;

/// Starts a training, and sends the signal to `tidewatch` once some steps are kept; its exit status and its last words.
fn interrupted(fixture: &Fixture, signal: &str) -> (ExitStatus, String) {
    let mut child: Child = fixture
        .training(&[], MANY)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let kept = told.any(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        line["event"] == "state" && line["step"].as_u64() >= Some(20)
    });
    assert!(kept, "it ended before it was interrupted");
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap()
            .success()
    );
    assert!(told.all(|line| line.is_ok()));
    let mut words = String::new();
    let mut errors = child.stderr.take().unwrap();
    errors.read_to_string(&mut words).unwrap();
    (child.wait().unwrap(), words)
}

/// Goes on with the only run, which must end with the candidate that one go would have made.
async fn resumes_to_the_same(fixture: &Fixture) {
    let output = fixture.training(&["--resume", "1"], MANY).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let events = lines(&output.stdout);
    assert!(event(&events, "resumed")["step"].as_u64() >= Some(20));
    let version = event(&events, "candidate")["version"].as_str().unwrap();
    assert_eq!(fixture.candidate().await.as_deref(), Some(version));
    assert_eq!(fixture.in_one_go(), version);
    let runs = fixture.runs().await;
    assert_eq!(
        (runs.len(), runs[0].state, runs[0].attempt),
        (1, TrainingState::Done, 2)
    );
    assert_eq!(runs[0].candidate.as_deref(), Some(version));
}

#[tokio::test]
async fn a_training_killed_half_way_goes_on_to_the_same_candidate() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..60).await;
    let (status, _) = interrupted(&fixture, "-KILL");
    assert_eq!(status.code(), None);
    let run = &fixture.runs().await[0];
    // Nobody was left to say anything else.
    assert_eq!((run.state, run.attempt), (TrainingState::Running, 1));
    resumes_to_the_same(&fixture).await;
}

#[tokio::test]
async fn a_stopped_training_says_so_and_goes_on_to_the_same_candidate() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..60).await;
    let (status, words) = interrupted(&fixture, "-TERM");
    assert_eq!(status.code(), Some(130), "{words}");
    assert!(words.contains("--resume 1` goes on"), "{words}");
    let run = &fixture.runs().await[0];
    assert_eq!(run.state, TrainingState::Stopped);
    assert!(run.ended.is_some() && run.candidate.is_none());
    let again = fixture.training(&[], MANY).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(
        said(&again).contains("go on with it by --resume"),
        "{}",
        said(&again)
    );
    resumes_to_the_same(&fixture).await;
}

#[tokio::test]
async fn two_trainings_at_a_time_are_refused_and_one_that_was_taken_over_is_not_told_on() {
    let fixture = Fixture::new(true).await;
    fixture.label(0..60).await;
    let store = &fixture.store;
    let lock = store.lock_training().await.unwrap().unwrap();
    assert!(store.lock_training().await.unwrap().is_none());
    let new = NewTraining {
        fingerprint: "f",
        cause: json!({"cause": "labels", "new": 5}),
        champion: None,
        reasons: &[],
        dataset: json!({}),
        by: "me",
        label_mark: 5,
        decision: None,
    };
    let Begun::Claimed(claim) = store.begin_training(&lock, &new).await.unwrap() else {
        panic!("it is the first");
    };
    let again = store.begin_training(&lock, &new).await.unwrap();
    assert_eq!(again, Begun::Repeated);
    let output = fixture.training(&[], 1).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = said(&output);
    assert!(words.contains("under way already (run 1)"), "{words}");
    assert!(!fixture.workshop.path("trainings").exists());

    let told = json!({"step": 1, "steps": 2});
    assert!(store.training_progress(claim, &told).await.unwrap());
    let next = store
        .resume_training(&lock, claim.id)
        .await
        .unwrap()
        .unwrap();
    assert!(!store.training_progress(claim, &json!({})).await.unwrap());
    let (failed, outcome) = (TrainingState::Failed, json!({"end": "silent"}));
    assert!(
        !store
            .end_training(claim, failed, None, &outcome)
            .await
            .unwrap()
    );
    assert!(
        store
            .end_training(next, failed, None, &outcome)
            .await
            .unwrap()
    );
    assert_eq!(store.resume_training(&lock, 99).await.unwrap(), None);
    lock.release().await;
    let run = store.training(claim.id).await.unwrap().unwrap();
    assert_eq!((run.state, run.attempt, run.progress), (failed, 2, told));
    assert_eq!(store.training_of("f").await.unwrap().unwrap().id, run.id);
}
