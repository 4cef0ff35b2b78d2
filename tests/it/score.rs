//! `tidewatch score` as a program, on a small bundle.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tidewatch::model::scorer::Scorer;

use crate::harness::{LABELS, MAX_TOKENS, SmallBundle};

fn command(bundle: &SmallBundle, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewatch"));
    command
        .arg("score")
        .arg("--model")
        .arg(bundle.path())
        .args(["--device", "cpu", "--threads", "1"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Scores what is written to standard input.
fn score(bundle: &SmallBundle, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(bundle, arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    })
}

fn rows(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn write(bundle: &SmallBundle, name: &str, content: &[u8]) -> String {
    let path = bundle.around().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn each_line_gets_the_label_and_probabilities_of_its_text_in_its_place() {
    let bundle = SmallBundle::new();
    let texts: Vec<String> = (0..1500)
        .map(|i| {
            format!(
                "the {} film number {}",
                ["good", "bad", "very"][i % 3],
                "long ".repeat(i % 9)
            )
        })
        .collect();
    let output = score(&bundle, &[], texts.join("\n").as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = rows(&output);
    assert_eq!(rows.len(), texts.len());

    let mut scorer = Scorer::open(&bundle.path(), &bundle.config()).unwrap();
    for (row, text) in rows.iter().zip(&texts) {
        let members: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(members, ["text", "label", "probabilities", "model"]);
        assert_eq!(row["text"], **text);
        assert_eq!(row["model"], *scorer.version().version);
        let (_, prediction) = scorer.score(&[text], 1).unwrap().remove(0);
        let prediction = prediction.unwrap();
        assert_eq!(row["label"], LABELS[prediction.label]);
        for (label, expected) in LABELS.iter().zip(&prediction.probabilities) {
            let is = row["probabilities"][label].as_f64().unwrap();
            assert!((is - f64::from(*expected)).abs() < 1e-5, "{row}");
        }
    }
}

#[test]
fn json_keeps_its_fields_to_the_last_digit_and_the_text_may_lie_deep() {
    let bundle = SmallBundle::new();
    let line = r#"{"id":123456789012345678901234567890,"post":{"body":"good day"},"weight":1.50,"label":"given","odd":"\u00e9"}"#;
    let output = score(&bundle, &["--text-field", "post.body"], line.as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    let expected = r#"{"id":123456789012345678901234567890,"post":{"body":"good day"},"weight":1.50,"input_label":"given","odd":"\u00e9","label":""#;
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn lines_that_cannot_be_scored_are_errors_in_their_place_and_the_exit_code() {
    let bundle = SmallBundle::new();
    let input = b"{\"text\":\"good\",\"n\":1}\n{\"text\":\"bad\xff\"}\n{\"text\":\n\n{\"n\":5}\n{\"text\":\" \\u0000 \",\"n\":6}\n[1]\n{\"text\":\"the day\"}";
    let output = score(&bundle, &["--format", "jsonl"], input);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("6 of 8 lines"),
        "{}",
        stderr(&output)
    );
    assert_eq!(stderr(&output).lines().count(), 1);
    let rows = rows(&output);
    assert_eq!(rows.len(), 8);
    let reasons = [
        "",
        "not UTF-8",
        "not a JSON object",
        "not a JSON object",
        "no field text",
        "no text",
        "not a JSON object",
        "",
    ];
    for (number, (row, reason)) in rows.iter().zip(reasons).enumerate() {
        if reason.is_empty() {
            assert!(row["label"].is_string(), "{row}");
        } else {
            assert_eq!(row["line"], number + 1);
            assert!(row["error"].as_str().unwrap().contains(reason), "{row}");
            assert!(row.get("label").is_none(), "{row}");
        }
    }
    assert_eq!(rows[4]["n"], 5);
}

#[test]
fn the_format_is_told_by_the_flag_then_the_name_then_the_first_line() {
    let bundle = SmallBundle::new();
    let line = br#"{"text":"good day"}"#;
    let text_of = |output: &Output| rows(output)[0]["text"].clone();
    let json = serde_json::json!("good day");
    let plain = serde_json::json!(std::str::from_utf8(line).unwrap());
    assert_eq!(text_of(&score(&bundle, &[], line)), json);
    assert_eq!(
        text_of(&score(&bundle, &["--format", "lines"], line)),
        plain
    );
    let file = write(&bundle, "posts.txt", line);
    assert_eq!(text_of(&score(&bundle, &[&file], b"")), plain);
    assert_eq!(
        text_of(&score(&bundle, &[&file, "--format", "jsonl"], b"")),
        json
    );
    assert_eq!(text_of(&score(&bundle, &["-"], b"good day\n{}")), json);
}

#[test]
fn a_text_longer_than_the_model_takes_is_flagged_and_an_enormous_one_costs_no_more() {
    let bundle = SmallBundle::new();
    let fits = "day ".repeat(MAX_TOKENS - 2);
    let longer = "day ".repeat(MAX_TOKENS - 1);
    let enormous = "day ".repeat(2 << 20);
    let input = format!("{fits}\n{longer}\n{enormous}\n");
    let output = score(&bundle, &[], input.as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = rows(&output);
    assert!(rows[0].get("truncated").is_none());
    assert_eq!(rows[1]["truncated"], true);
    assert_eq!(rows[2]["truncated"], true);
    assert_eq!(rows[1]["probabilities"], rows[2]["probabilities"]);
}

#[test]
fn whoever_follows_a_slow_input_sees_each_result_before_the_next_text() {
    let bundle = SmallBundle::new();
    let mut child: Child = command(&bundle, &[]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for text in ["good day", "bad day", "the film"] {
        writeln!(stdin, "{text}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let row: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(row["text"], text);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let bundle = SmallBundle::new();
    let mut child = command(&bundle, &[]).spawn().unwrap();
    // The pipe stays open: the end comes from the output alone.
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let feeder = std::thread::spawn(move || while writeln!(stdin, "good day").is_ok() {});
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}

#[test]
fn what_cannot_be_opened_ends_with_2_and_one_sentence() {
    let bundle = SmallBundle::new();
    let refused = |command: &mut Command, words: &[&str]| {
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let said = stderr(&output);
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    refused(&mut command(&bundle, &["no/such/file"]), &["no/such/file"]);
    let mut no_bundle = Command::new(env!("CARGO_BIN_EXE_tidewatch"));
    refused(
        no_bundle.args(["score", "--model", "no/such/bundle"]),
        &["no/such/bundle", "manifest.json"],
    );

    let library = |path: &Path| {
        let mut command = command(&bundle, &[]);
        command.env("ORT_DYLIB_PATH", path);
        command
    };
    let nowhere = bundle.around().join("libnothing.so");
    refused(
        &mut library(&nowhere),
        &[
            "libnothing.so",
            "scripts/setup --onnxruntime",
            "ORT_DYLIB_PATH",
        ],
    );
    let text = write(&bundle, "libtext.so", b"no library");
    refused(
        &mut library(Path::new(&text)),
        &["libtext.so", "does not load"],
    );
    // A library, but another one: this program's own C library.
    refused(
        &mut library(Path::new("libc.so.6")),
        &["libc.so.6", "another library", "OrtGetApiBase"],
    );
    let old = library_of_version(&bundle, "1.20.1");
    refused(
        &mut library(&old),
        &[
            "libold.so",
            "it is version 1.20.1",
            "of version 1.24 or newer",
        ],
    );
}

/// A library that answers as an ONNX Runtime of some version does, and ends the process if anything else is called in it.
fn library_of_version(bundle: &SmallBundle, version: &str) -> PathBuf {
    let source = format!(
        r#"#include <stdlib.h>
        static const void *get_api(unsigned version) {{ (void)version; abort(); }}
        static const char *get_version(void) {{ return "{version}"; }}
        struct base {{ const void *(*get_api)(unsigned); const char *(*get_version)(void); }};
        const struct base *OrtGetApiBase(void) {{
            static const struct base base = {{ get_api, get_version }};
            return &base;
        }}"#
    );
    let source = write(bundle, "old.c", source.as_bytes());
    let library = bundle.around().join("libold.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .status()
        .unwrap();
    assert!(compiled.success());
    library
}
