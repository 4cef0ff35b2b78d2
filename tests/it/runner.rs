//! The runner with real processes: scripts that hang, are silent or crash, and `tidewatch-finetune`.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod finetune;
mod orphan;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tidewatch::retrain::runner::{End, Event, Job, Limits, Progress, Refusal, persist, run};

/// A folder in which scripts run.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("mkfifo")
            .arg(folder.path().join("alive"))
            .status()
            .unwrap();
        assert!(made.success());
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A job that runs a script with limits it does not come near.
    fn job(&self, script: &str) -> Job {
        let path = std::env::var("PATH").unwrap();
        Job {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            folder: self.folder.path().into(),
            bundle: self.path("bundle"),
            environment: BTreeMap::from([("PATH".into(), path)]),
            secrets: Vec::new(),
            limits: Limits {
                nice: 0,
                cpus: None,
                memory: None,
                time: Duration::from_secs(3600),
                silence: Duration::from_secs(3600),
                grace: Duration::from_secs(3600),
            },
        }
    }

    /// Returns once nobody writes to the file `alive` any more, so when all that had opened it are gone. It must have
    /// been opened before.
    fn wait_until_deserted(&self, mut reader: std::fs::File) {
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        assert_eq!(said, "");
    }

    /// The reading end of `alive`, which can be had before there is a writer.
    fn reader(&self) -> std::fs::File {
        // Opened for both, it does not wait for a writer; the second one, for reading only, then does not either.
        let both = std::fs::File::options()
            .read(true)
            .write(true)
            .open(self.path("alive"))
            .unwrap();
        let reader = std::fs::File::open(self.path("alive")).unwrap();
        drop(both);
        reader
    }
}

/// Runs a job that nobody stops; its end and its events.
fn ended(job: &Job) -> (End, Vec<Event>) {
    let mut events = Vec::new();
    let end = run(job, &mut |event| events.push(event.clone()), &|| false);
    (end, events)
}

fn told(events: &[Event]) -> Vec<Progress> {
    let told = events.iter().filter_map(|event| match event {
        Event::Told(progress) => Some(progress.clone()),
        Event::Started { .. } => None,
    });
    told.collect()
}

fn words(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_command_that_leaves_a_bundle_is_done_and_what_it_says_is_passed_on() {
    let place = Place::new();
    let job = place.job(
        r#"echo '{"event":"start","steps":4,"epochs":1}'; echo plain; echo aside >&2; mkdir bundle"#,
    );
    let (end, events) = ended(&job);
    let bundle = place.path("bundle");
    assert_eq!(end, End::Done { bundle });
    assert!(matches!(events[0], Event::Started { attempt: 1, .. }));
    assert_eq!(
        told(&events),
        [
            Progress::Start {
                steps: 4,
                epochs: 1
            },
            Progress::Other(json!("plain"))
        ]
    );
}

#[test]
fn each_exit_code_has_its_meaning_and_the_last_words_tell_why_without_secrets() {
    for (code, why) in [
        (0, Refusal::NoBundle),
        (2, Refusal::BadInput),
        (3, Refusal::Gate),
        (4, Refusal::Resources),
        (7, Refusal::Other),
    ] {
        let place = Place::new();
        let mut job = place.job(&format!("echo \"no: $TOKEN\" >&2; exit {code}"));
        job.environment.insert("TOKEN".into(), "hunter22".into());
        job.secrets = words(&["TOKEN"]);
        let last_words = words(&["no: [TOKEN]"]);
        let refused = End::Refused {
            why,
            code,
            last_words,
        };
        assert_eq!(ended(&job).0, refused);
    }
    let place = Place::new();
    let last_words = Vec::new();
    assert_eq!(ended(&place.job("exit 130")).0, End::Stopped { last_words });
}

#[test]
fn a_program_that_is_not_there_is_said_by_name() {
    let place = Place::new();
    let mut job = place.job("");
    job.program = "no-such-trainer".into();
    let (end, events) = ended(&job);
    let End::NotStarted { reason } = end else {
        panic!("{end:?}");
    };
    assert!(reason.contains("no-such-trainer"), "{reason}");
    assert_eq!(events, []);
}

/// Ignores the request to end, and has a child in its group and one that has left it.
const STUBBORN: &str =
    "exec 9>alive; trap '' TERM; (trap '' TERM; sleep 1000) & setsid sleep 1000 & echo ready; ";

#[test]
fn a_silent_command_is_ended_with_all_that_it_has_started() {
    let place = Place::new();
    let mut job = place.job(&format!("{STUBBORN} wait"));
    job.limits.silence = Duration::from_secs(2);
    job.limits.grace = Duration::from_millis(100);
    let reader = place.reader();
    let (end, events) = ended(&job);
    assert!(matches!(end, End::Silent { .. }), "{end:?}");
    assert_eq!(told(&events), [Progress::Other(json!("ready"))]);
    place.wait_until_deserted(reader);
}

#[test]
fn a_command_that_only_talks_is_ended_when_its_time_is_over() {
    let place = Place::new();
    let mut job = place.job(&format!("{STUBBORN} while :; do echo; sleep 0.01; done"));
    job.limits.time = Duration::from_millis(500);
    job.limits.silence = Duration::from_secs(60);
    job.limits.grace = Duration::from_millis(100);
    let reader = place.reader();
    let (end, _) = ended(&job);
    assert!(matches!(end, End::TimedOut { .. }), "{end:?}");
    place.wait_until_deserted(reader);
}

#[test]
fn a_command_that_is_stopped_may_end_in_order() {
    let place = Place::new();
    let job =
        place.job("trap 'echo saved >&2; kill $!; exit 130' TERM; sleep 1000 & echo ready; wait");
    let asked = Cell::new(false);
    let end = run(
        &job,
        &mut |event| {
            if matches!(event, Event::Told(_)) {
                asked.set(true);
            }
        },
        &|| asked.get(),
    );
    let last_words = words(&["saved"]);
    assert_eq!(end, End::Stopped { last_words });
}

#[test]
fn nothing_is_started_once_it_is_to_stop() {
    let place = Place::new();
    let job = place.job("touch started");
    let end = run(&job, &mut |_| panic!("something was started"), &|| true);
    assert!(matches!(end, End::Stopped { .. }));
    assert!(!place.path("started").exists());
}

#[test]
fn a_bundle_that_is_finished_while_it_is_to_stop_is_a_bundle() {
    let place = Place::new();
    let job = place.job("trap 'mkdir bundle; kill $!; exit 0' TERM; sleep 1000 & echo ready; wait");
    let asked = Cell::new(false);
    let end = run(
        &job,
        &mut |event| asked.set(matches!(event, Event::Told(_))),
        &|| asked.get(),
    );
    let bundle = place.path("bundle");
    assert_eq!(end, End::Done { bundle });
}

/// Dies by SIGKILL until there are three files of its deaths.
const MORTAL: &str = "[ -e third ] && mkdir bundle && exit; \
    for name in first second third; do [ -e $name ] || { touch $name; kill -9 $$; }; done";

#[test]
fn a_killed_command_is_started_again_as_often_as_it_may() {
    let place = Place::new();
    let job = place.job(MORTAL);
    let mut attempts = Vec::new();
    let mut note = |event: &Event| {
        if let Event::Started { attempt, .. } = event {
            attempts.push(*attempt);
        }
    };
    let end = persist(&job, 2, &mut note, &|| false);
    assert!(matches!(end, End::Killed { by: 9, .. }), "{end:?}");
    let end = persist(&job, 2, &mut note, &|| false);
    assert!(matches!(end, End::Done { .. }), "{end:?}");
    assert_eq!(attempts, [1, 2, 1, 2]);
}

#[test]
fn a_refusal_is_not_tried_again() {
    let place = Place::new();
    let job = place.job("echo x >> tries; exit 3");
    let end = persist(&job, 5, &mut |_| {}, &|| false);
    assert!(matches!(
        end,
        End::Refused {
            why: Refusal::Gate,
            ..
        }
    ));
    let tries = std::fs::read_to_string(place.path("tries")).unwrap();
    assert_eq!(tries.lines().count(), 1);
}

#[test]
fn a_command_has_its_limits_and_no_other_environment() {
    let place = Place::new();
    let mut job = place.job(
        "nice; nproc; ulimit -d; ulimit -c; cat /proc/$$/oom_score_adj; \
         ps -o pgid= -p $$ | tr -d ' '; env | sed 's/=.*//' | sort | tr '\\n' ' '",
    );
    job.limits.nice = 7;
    job.limits.cpus = NonZeroUsize::new(1);
    job.limits.memory = Some(512 << 20);
    let (_, events) = ended(&job);
    let Event::Started { process, .. } = &events[0] else {
        panic!("{events:?}");
    };
    let said: Vec<String> = told(&events)
        .iter()
        .map(|line| match line {
            Progress::Other(value) => value.to_string().trim_matches('"').to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    // The shell's limit of data is in KiB; its own variables are PWD, OLDPWD, SHLVL and _.
    assert_eq!(said[..5], ["7", "1", "524288", "0", "500"]);
    assert_eq!(said[5], *process);
    let strange = said[6].split_whitespace().filter(|name| {
        ![
            "PATH",
            "TIDEWATCH_RUNNER_FOLDER",
            "PWD",
            "OLDPWD",
            "SHLVL",
            "_",
        ]
        .contains(name)
    });
    assert_eq!(strange.collect::<Vec<_>>(), Vec::<&str>::new());
}
