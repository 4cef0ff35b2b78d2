//! Reading files in each form, with each fault.

use super::*;
use crate::train::escape::Escape;

fn source(toml: &str) -> Source {
    toml::from_str(toml).unwrap()
}

fn labels() -> Labels {
    Labels {
        names: vec!["negative".into(), "positive".into()],
        map: Default::default(),
    }
}

fn read_one(name: &str, content: &[u8], source: &Source) -> Dataset {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), content).unwrap();
    let text = TextOptions {
        unescape: vec![Escape::Unicode, Escape::Html],
    };
    read(
        std::slice::from_ref(source),
        &labels(),
        &text,
        folder.path(),
    )
    .unwrap()
}

#[test]
fn every_line_of_a_tsv_is_an_example_a_repetition_or_a_named_fault() {
    let source = source(
        r#"path = "a.tsv"
        format = "tsv"
        columns = { id = 0, label = 1, text = 2 }"#,
    );
    let content = b"1\tpositive\t\"quoted\" \\u2019 &amp; \xff broken\t\n\
        2\tmixed\ttext\n\
        3\tnegative\n\
        1\tnegative\tagain\n\
        1\tpositive\tand again\n\
        4\tnegative\t   \n\
        5\tnegative\tlast";
    let dataset = read_one("a.tsv", content, &source);
    let texts: Vec<&str> = dataset.examples.iter().map(|e| e.text.as_str()).collect();
    assert_eq!(texts, ["\"quoted\" ’ & \u{fffd} broken", "last"]);
    assert_eq!((dataset.repeated, dataset.conflicting), (2, 1));
    let faults: Vec<(u64, &str)> = dataset
        .faults
        .iter()
        .map(|f| (f.line, f.reason.as_str()))
        .collect();
    assert_eq!(
        faults,
        [
            (2, "the label \"mixed\" is not in the recipe"),
            (3, "has 2 columns, so no text in column 2"),
            (6, "the text is empty"),
        ]
    );
}

#[test]
fn a_csv_is_read_by_the_names_in_its_header() {
    let source = source(
        r#"path = "a.csv"
        format = "csv"
        header = true
        columns = { label = "kind", text = "words", time = "at" }"#,
    );
    let content = b"at,kind,words\n2015-02-24 11:35:52 -0800,positive,\"two\nlines, one field\"\n\
        2015-02-24T11:35:52Z,negative,\"a \"\"b\"\"\"\n1424777752,negative,c\n1424777752123,positive,d\nnever,positive,e\n";
    let dataset = read_one("a.csv", content, &source);
    assert_eq!(dataset.examples[0].text, "two\nlines, one field");
    assert_eq!(dataset.examples[1].text, "a \"b\"");
    let times: Vec<i64> = dataset
        .examples
        .iter()
        .map(|e| e.time.unwrap().timestamp_millis())
        .collect();
    assert_eq!(
        times,
        [
            1_424_806_552_000,
            1_424_777_752_000,
            1_424_777_752_000,
            1_424_777_752_123
        ]
    );
    assert_eq!(
        dataset.faults[0].reason,
        "the time \"never\" cannot be read"
    );
}

#[test]
fn broken_json_lines_are_faults_and_the_others_are_read() {
    let source = source(
        r#"path = "a.jsonl"
        format = "jsonl"
        columns = { id = "id", label = "l", text = "t" }"#,
    );
    let content =
        b"{\"id\":7,\"l\":\"positive\",\"t\":\"a\"}\n\n{\"id\":8,\n[1]\n{\"id\":9,\"t\":\"a\"}\n";
    let dataset = read_one("a.jsonl", content, &source);
    assert_eq!(dataset.examples.len(), 1);
    assert_eq!(dataset.examples[0].id.as_deref(), Some("7"));
    let lines: Vec<u64> = dataset.faults.iter().map(|f| f.line).collect();
    assert_eq!(lines, [3, 4, 5]);
    assert!(dataset.faults[2].reason.contains("\"l\""));
}

#[test]
fn a_column_name_without_a_header_is_an_error_that_says_what_to_set() {
    let source = source(
        r#"path = "a.csv"
        format = "csv"
        columns = { label = "kind", text = 0 }"#,
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "x,y\n").unwrap();
    let error = read(&[source], &labels(), &TextOptions::default(), folder.path()).unwrap_err();
    assert!(error.to_string().contains("header = true"), "{error}");
}

#[test]
fn a_folder_stands_for_its_files_in_the_order_of_their_names() {
    let source = source(
        r#"path = "."
        format = "tsv"
        columns = { label = 0, text = 1 }"#,
    );
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("b.tsv", "second"), ("a.tsv", "first"), ("c.txt", "never")] {
        std::fs::write(folder.path().join(name), format!("positive\t{text}\n")).unwrap();
    }
    let dataset = read(&[source], &labels(), &TextOptions::default(), folder.path()).unwrap();
    let texts: Vec<&str> = dataset.examples.iter().map(|e| e.text.as_str()).collect();
    assert_eq!(texts, ["first", "second"]);
}
