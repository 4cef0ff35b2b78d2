//! A parent that is killed, and what becomes of its child.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

/// Says in which folder the parent below shall run a job, which makes it a parent.
const FOLDER: &str = "RUNNER_ORPHAN_FOLDER";

/// Not a test by itself: a process that runs a job, to be killed by the tests below.
#[test]
#[ignore = "the other tests of this module start it"]
fn parent() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let script = std::fs::read_to_string(folder.join("script")).unwrap();
    let place = Place::new();
    let mut job = place.job(&script);
    job.folder = folder;
    run(&job, &mut |event| println!("{event:?}"), &|| false);
}

/// Starts a parent that runs a script in the place's folder, and returns when the script has said that it is ready.
fn parent_of(place: &Place, script: &str) -> Child {
    std::fs::write(place.path("script"), script).unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "runner::orphan::parent",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, place.path(""))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("ready")));
    parent
}

#[test]
fn a_command_does_not_outlive_a_killed_parent() {
    let place = Place::new();
    let reader = place.reader();
    let mut parent = parent_of(&place, "exec 9>alive; echo ready; exec sleep 1000");
    parent.kill().unwrap();
    parent.wait().unwrap();
    place.wait_until_deserted(reader);
}

#[test]
fn what_the_command_of_a_killed_parent_has_started_is_ended_before_the_next_one() {
    let place = Place::new();
    let reader = place.reader();
    let mut parent = parent_of(&place, &format!("{STUBBORN} wait"));
    parent.kill().unwrap();
    parent.wait().unwrap();
    let (end, _) = ended(&place.job("mkdir bundle"));
    assert!(matches!(end, End::Done { .. }), "{end:?}");
    place.wait_until_deserted(reader);
}
