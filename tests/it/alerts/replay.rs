//! `tidewatch alerts replay` over the airline tweets.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::harness::{data_folder, default_model};

#[test]
fn each_airline_with_a_bad_day_is_one_alert_that_resolves_and_a_new_one_has_no_normal_yet() {
    let Some(folder) = data_folder("the replay of the airline tweets") else {
        return;
    };
    let output = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args(["alerts", "replay", "--json", "--labels=given"])
        .args(["--label-field=airline_sentiment", "--text-field=text"])
        .args(["--time-field=tweet_created", "--author-field=name"])
        .args(["--subject-field=airline", "--model"])
        .arg(default_model())
        .arg(folder.join("airline-tweets/tweets.csv"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut told: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in &lines {
        let status = line["status"]
            .as_str()
            .filter(|status| *status != "updated");
        if let (Some(status), Some(subject)) = (status, line["alert"]["subject"].as_str()) {
            told.entry(subject).or_default().push(status);
        }
    }
    let once = vec!["opened", "resolved"];
    let expected = ["Delta", "Southwest", "US Airways"].map(|airline| (airline, once.clone()));
    assert_eq!(told, BTreeMap::from(expected));
    let american = lines
        .iter()
        .find(|line| line["series"]["subject"] == "American")
        .unwrap();
    assert_eq!(american["standing"]["normal"], Value::Null, "{american}");
    let sum = lines.last().unwrap();
    assert_eq!(sum["messages"], 14_640);
}
