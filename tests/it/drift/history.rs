//! What stands in Postgres, replayed and taken for a baseline.

use std::process::Output;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{ALL, Stage, TURN, WINDOW, baseline, begin};

/// The end of a command that went well: its lines as JSON.
fn lines(output: &Output) -> Vec<Value> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_replayed_as_it_was_watched_and_a_part_of_it_is_a_baseline() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(&baseline(folder.path()), "").await;
    let mut service = stage.config.start("one");
    service.wait_ready();
    stage.send(0..ALL);
    stage.pass();
    let watched = stage.wait_windows().await;
    assert!(service.terminate().success());
    let pool = stage.database.pool().await;
    let sources: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM v_drift_sources WHERE messages = 200 AND p IS NOT NULL",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(
        sources, 8,
        "each window has the one source that has no name"
    );

    let time = |number: usize| (begin() + TimeDelta::seconds(number as i64)).to_rfc3339();
    let drift = |arguments: &[&str]| {
        let config = stage.config.path();
        let config = config.to_str().unwrap();
        super::tidewatch(&[arguments, &["--config", config]].concat())
    };
    let replay = ["drift", "replay", "--json", "--window=200"];
    let (from, to) = (time(0), time(ALL));
    let all = [&replay[..], &["--from", &from, "--to", &to]].concat();
    let replayed = lines(&drift(&all));
    let (end, windows) = replayed.split_last().unwrap();
    assert_eq!((&end["windows"], &end["alarms"]), (&json!(8), &json!(1)));
    for (window, watched) in windows.iter().zip(&watched) {
        let p = window["p"].as_f64().unwrap();
        let same = (
            watched.4.as_str(),
            watched.5.as_deref(),
            watched.3,
            &*watched.6,
        );
        let said = (
            window["verdict"].as_str().unwrap(),
            window["foremost"].as_str(),
            window["messages"].as_i64().unwrap(),
            &*format!("{:.1}", -p.log10()),
        );
        assert_eq!(said, same);
    }

    // The quiet part as a baseline: the turn is an alarm by it, too.
    let made = folder.path().join("own.json");
    let made = made.to_str().unwrap();
    let quiet = time(TURN);
    let output = drift(&[
        "baseline",
        "--resamples=500",
        "--output",
        made,
        "--from",
        &from,
        "--to",
        &quiet,
    ]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let kept: Value = serde_json::from_slice(&std::fs::read(made).unwrap()).unwrap();
    assert_eq!(kept["messages"], json!(TURN));
    let rest = [&all[..], &["--baseline", made]].concat();
    assert_eq!(lines(&drift(&rest)).last().unwrap()["alarms"], 1);

    // Any window is explained, not only one with an alarm.
    let explained = drift(&["drift", "explain", "--window", "5"]);
    let said = String::from_utf8(explained.stdout).unwrap();
    assert!(
        said.contains("mean confidence") && said.contains("expected"),
        "{said}"
    );
    assert!(super::BAD.iter().any(|word| said.contains(word)), "{said}");

    // What cannot be done is said in a sentence.
    let early = time(0);
    let before = (begin() - TimeDelta::days(1)).to_rfc3339();
    let faults = [
        (None, [&*before, &*early], "holds no prediction"),
        (
            Some("UPDATE predictions SET text = NULL, text_sha256 = 'x'"),
            [&*from, &*to],
            "keeps only hashes",
        ),
        (
            Some("UPDATE models SET version = 'another'"),
            [&*from, &*to],
            "were not scored by",
        ),
    ];
    for (change, [from, to], words) in faults {
        if let Some(change) = change {
            sqlx::query(change).execute(&pool).await.unwrap();
        }
        let output = drift(&["drift", "replay", "--from", from, "--to", to]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains(words) && error.trim().lines().count() == 1,
            "{error}"
        );
    }
    assert_eq!(watched.len(), ALL / WINDOW);
}
