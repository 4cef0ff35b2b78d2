//! `tidewatch demo` as a program, with all the servers it brings along.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::harness::default_model;

/// A demo that finds the clone's own model and leaves its temporary files in `folder`.
fn demo(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewatch"));
    command
        .args(["demo", "--json", "--model"])
        .arg(default_model())
        .env("TMPDIR", folder)
        .stdin(Stdio::null());
    command
}

/// A folder in which the user that Postgres runs as may work, too.
fn temporary_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

fn left_behind(folder: &Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// What adds up: sent = rows + dead letters in Postgres = results + dead letters in Kafka.
fn assert_adds_up(summary: &Value) {
    let count = |name: &str| {
        summary[name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name} in {summary}"))
    };
    let dead_letters = count("dead_letters");
    assert_eq!(count("sent"), count("rows") + dead_letters, "{summary}");
    assert_eq!(count("sent"), count("results") + dead_letters, "{summary}");
}

#[test]
fn a_demo_of_so_many_messages_adds_up_and_leaves_nothing_behind() {
    let folder = temporary_folder();
    let output = demo(folder.path())
        .args(["--messages", "300"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["sent"], 300);
    assert_adds_up(&summary);
    // The feed holds faults, and the model more than one opinion.
    assert!(summary["dead_letters"].as_u64().unwrap() > 0, "{summary}");
    assert!(
        summary["labels"].as_object().unwrap().len() > 1,
        "{summary}"
    );
    assert_eq!(left_behind(folder.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_file_with_faults_is_shown_and_counted_too() {
    let folder = temporary_folder();
    let file = folder.path().join("posts.csv");
    std::fs::write(
        &file,
        "id,text,when\n1,lovely,2020-01-01\n2,\"\",2020-01-02\n3,awful,never\n",
    )
    .unwrap();
    let output = demo(folder.path())
        .arg("--input")
        .arg(&file)
        .args(["--time-field", "when"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_adds_up(&summary);
    assert_eq!(
        (&summary["rows"], &summary["malformed"]),
        (&1.into(), &1.into())
    );
    assert_eq!(summary["reasons"]["no_text"], 1);
}

#[test]
fn ctrl_c_ends_a_demo_in_order() {
    let folder = temporary_folder();
    let mut child = demo(folder.path())
        .args(["--rate", "50"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    // A line with the counts shows that everything runs.
    let address = |line: &str| {
        Some(
            line.strip_prefix("Postgres  ")?
                .split(',')
                .next()?
                .to_owned(),
        )
    };
    let mut postgres = None;
    for line in said.by_ref().map(Result::unwrap) {
        postgres = postgres.or_else(|| address(&line));
        if line.contains("committed") {
            break;
        }
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{rest:#?}");
    assert_adds_up(&serde_json::from_slice(&output.stdout).unwrap());
    assert_eq!(left_behind(folder.path()), Vec::<std::path::PathBuf>::new());
    let postgres = postgres.unwrap();
    assert!(
        std::net::TcpStream::connect(&postgres).is_err(),
        "{postgres} still listens"
    );
}

#[test]
fn a_demo_without_a_model_says_so_at_once() {
    let folder = temporary_folder();
    let output = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args(["demo", "--model"])
        .arg(folder.path().join("none"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no model at"));
}

#[test]
fn a_change_is_shown_with_the_built_in_feed_alone() {
    let folder = temporary_folder();
    let output = demo(folder.path())
        .args(["--drift", "--input", "posts.csv"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--drift"));
}
