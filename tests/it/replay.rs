//! `tidewatch replay` as a program, against a real Kafka.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::harness::{Kafka, Record, eventually, unique};

fn replay(bootstrap: &str, topic: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewatch"));
    command
        .args(["replay", "--json", "--kafka", bootstrap, "--topic", topic])
        .stdin(Stdio::null());
    command
}

fn summary(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "standard output is no JSON line: {error}\n{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

fn ids(records: &[Record]) -> Vec<String> {
    let id = |record: &Record| String::from_utf8(record.key.clone().unwrap()).unwrap();
    records.iter().map(id).collect()
}

/// Posts of 20 ids, each with ascending numbers, and a fault after every hundredth.
fn file_with_faults(path: &Path, posts: usize) -> (BTreeSet<String>, usize) {
    let mut content = Vec::new();
    let mut texts = BTreeSet::new();
    let mut faults = 0;
    for number in 0..posts {
        let text = format!("post {number} of many \u{1F30A}");
        writeln!(content, "id{}\t{text}", number % 20).unwrap();
        texts.insert(text);
        if number % 100 == 99 {
            let fault: &[u8] = match (number / 100) % 3 {
                0 => b"no tab in here\n",
                1 => b"id\tbroken \xff\xfe\n",
                _ => b"\n",
            };
            content.extend_from_slice(fault);
            faults += 1;
        }
    }
    std::fs::write(path, content).unwrap();
    (texts, faults)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_faults_arrives_exactly_and_in_order_by_key() {
    let kafka = Kafka::new(3).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("posts.tsv");
    let (texts, faults) = file_with_faults(&file, 5_000);
    let output = replay(&kafka.bootstrap, &kafka.input)
        .args(["--id-field", "1", "--text-field", "2"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let counts = summary(&output);
    assert_eq!(counts["sent"], 5_000);
    assert_eq!(counts["delivered"], 5_000);
    assert_eq!(counts["failed"], 0);
    assert_eq!(counts["malformed"], faults);
    let named = String::from_utf8_lossy(&output.stderr);
    assert_eq!(named.matches("malformed line").count(), faults, "{named}");
    assert!(
        named.contains("posts.tsv:101: no column 2 (the line has 1)"),
        "{named}"
    );

    let records = kafka.inputs();
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for record in &records {
        let post = record.json();
        let text = post["text"].as_str().unwrap();
        let number: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
        let id = post["id"].as_str().unwrap();
        assert_eq!(record.key.as_deref(), Some(id.as_bytes()));
        // Records of one partition come in its order, and a key has one partition.
        let before = last.insert(id.to_owned(), number);
        assert!(
            before.is_none_or(|before| before < number),
            "{id}: {before:?}, then {number}"
        );
        seen.insert(text.to_owned());
    }
    assert_eq!(records.len(), 5_000);
    assert_eq!(seen, texts);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_standard_input_are_put_in_the_order_of_their_event_times() {
    let kafka = Kafka::new(1).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.jsonl");
    let line = |id: &str, second: u32| {
        format!("{{\"id\":\"{id}\",\"text\":\"x\",\"event_time\":{second}}}\n")
    };
    let untimed = "{\"id\":\"never\",\"text\":\"x\"}\n";
    std::fs::write(&file, line("d", 4) + untimed + &line("b", 2)).unwrap();
    let mut child = replay(&kafka.bootstrap, &kafka.input)
        .args(["--by-time", "--speed", "1000", "--format", "jsonl"])
        .arg(&file)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    write!(input, "{}{}", line("c", 3), line("a", 1)).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(summary(&output)["malformed"], 1, "the post without a time");
    assert_eq!(ids(&kafka.inputs()), ["a", "b", "c", "d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_does_not_take_is_counted_and_fails() {
    let kafka = Kafka::new(1).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("posts.txt");
    // The harness's topics take 10 MB.
    std::fs::write(&file, format!("small\n{}\nsmall\n", "x".repeat(11_000_000))).unwrap();
    let output = replay(&kafka.bootstrap, &kafka.input)
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let counts = summary(&output);
    assert_eq!(
        (&counts["sent"], &counts["delivered"], &counts["failed"]),
        (&3.into(), &2.into(), &1.into())
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("not delivered"));
    assert_eq!(kafka.inputs().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_replay_ends_after_its_deliveries_with_130() {
    let kafka = Kafka::new(1).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("posts.txt");
    let mut content = String::new();
    for number in 0..1_000 {
        writeln!(content, "post {number}").unwrap();
    }
    std::fs::write(&file, content).unwrap();
    let child = replay(&kafka.bootstrap, &kafka.input)
        .args(["--rate", "20"])
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the first posts", Duration::from_secs(30), || {
        (kafka.stored() > 3).then_some(())
    });
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let counts = summary(&output);
    let sent = counts["sent"].as_u64().unwrap();
    assert!((4..1_000).contains(&sent), "{counts}");
    assert_eq!(counts["delivered"], sent);
    assert_eq!(kafka.inputs().len() as u64, sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_cannot_begin_says_why_and_sends_nothing() {
    let kafka = Kafka::new(1).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("posts.csv");
    std::fs::write(&file, "id,body\n1,fine\n").unwrap();
    let missing = unique("no_such_topic");
    let input = kafka.input.as_str();
    let cases: [(&str, &[&str], i32, &str); 5] = [
        (input, &[], 2, "no column named 'text'"),
        (
            input,
            &["--text-field", "body", "-X", "no.such=1"],
            2,
            "no.such",
        ),
        (
            input,
            &["--text-field", "body", "--speed", "0"],
            2,
            "above 0",
        ),
        (
            input,
            &["--text-field", "body", "nowhere.csv"],
            2,
            "nowhere.csv",
        ),
        (&missing, &["--text-field", "body"], 1, "no topic"),
    ];
    for (topic, arguments, code, words) in cases {
        let output = replay(&kafka.bootstrap, topic)
            .arg(&file)
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert!(kafka.inputs().is_empty());
}
