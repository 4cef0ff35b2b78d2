//! The watch over the feed, on real Kafka and real Postgres, and over files.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod files;
mod history;
mod labels;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde_json::{Value, json};
use sqlx::Row;

use crate::harness::{Kafka, Service, ServiceConfig, TestDatabase, eventually};

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(300);
const PARTITIONS: i32 = 3;
/// Messages in a window.
const WINDOW: usize = 200;

const THINGS: [&str; 24] = [
    "battery",
    "queue",
    "coffee",
    "room",
    "flight",
    "train",
    "app",
    "update",
    "screen",
    "soundtrack",
    "menu",
    "seat",
    "driver",
    "website",
    "keyboard",
    "match",
    "speech",
    "garden",
    "ticket",
    "parcel",
    "bridge",
    "camera",
    "lesson",
    "museum",
];
const GOOD: [&str; 8] = [
    "lovely",
    "great",
    "brilliant",
    "wonderful",
    "superb",
    "charming",
    "excellent",
    "delightful",
];
const BAD: [&str; 8] = [
    "awful",
    "terrible",
    "broken",
    "disgusting",
    "useless",
    "horrible",
    "dreadful",
    "rotten",
];
const PLAIN: [&str; 8] = [
    "open",
    "on Monday",
    "in town",
    "next to the station",
    "back at nine",
    "listed",
    "here",
    "over there",
];

/// The `number`th post: one in three is bad, good or plain, unless `bad` says that all are bad.
fn text(number: usize, bad: bool) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(number as u64);
    let mut pick = |list: &[&'static str]| list[rng.random_range(0..list.len())];
    let words = match (bad, number % 3) {
        (true, _) | (false, 0) => BAD,
        (false, 1) => GOOD,
        _ => PLAIN,
    };
    let tail = pick(&["today", "again", "I think", "as they said", "this week"]);
    format!(
        "the {} beside the {} is {} {tail}",
        pick(&THINGS),
        pick(&THINGS),
        pick(&words)
    )
}

fn begin() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn post(number: usize, bad: bool) -> Value {
    json!({"id": number.to_string(), "text": text(number, bad), "event_time": begin() + TimeDelta::seconds(number as i64)})
}

/// Where the feed turns bad.
const TURN: usize = 5 * WINDOW;
/// All of the feed that is judged.
const ALL: usize = 8 * WINDOW;

/// Posts in a file.
fn write(folder: &Path, name: &str, posts: impl IntoIterator<Item = Value>) -> PathBuf {
    let path = folder.join(name);
    let lines: Vec<String> = posts.into_iter().map(|post| post.to_string()).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn tidewatch(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args(arguments)
        .output()
        .unwrap()
}

/// The baseline of a feed that has not turned, of other posts than those that follow.
fn baseline(folder: &Path) -> PathBuf {
    let input = write(
        folder,
        "held-out.jsonl",
        (10_000..11_000).map(|n| post(n, false)),
    );
    let output = folder.join("baseline.json");
    let made = tidewatch(&[
        "baseline",
        "--resamples=500",
        "--output",
        output.to_str().unwrap(),
        input.to_str().unwrap(),
    ]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    output
}

/// What is said of each window: number, times, messages, verdict, the statistic in front, and p to six digits.
type Said = (
    i64,
    DateTime<Utc>,
    DateTime<Utc>,
    i64,
    String,
    Option<String>,
    String,
);

/// A deployment that reads the feed.
struct Stage {
    kafka: Kafka,
    database: TestDatabase,
    config: ServiceConfig,
}

impl Stage {
    async fn new(baseline: &Path, more: &str) -> Self {
        let (kafka, database) = (Kafka::new(PARTITIONS).await, TestDatabase::new().await);
        let drift = format!(
            "[drift]\nbaseline = {:?}\nwindow_messages = {WINDOW}\nidle_seconds = 3600\n{more}\n",
            baseline.display().to_string()
        );
        let config = ServiceConfig::new(&kafka, &database, &drift);
        config.migrate();
        Self {
            kafka,
            database,
            config,
        }
    }

    /// Sends a part of the feed, each partition in turn.
    fn send(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let value = post(number, number >= TURN).to_string();
            let partition = number as i32 % PARTITIONS;
            self.kafka
                .send_record(partition, None, Some(value.as_bytes()));
        }
        self.kafka.flush();
    }

    /// Moves the watermark past everything by one later post in each partition.
    fn pass(&self) {
        for partition in 0..PARTITIONS {
            let value = post(100_000 + partition as usize, false).to_string();
            self.kafka
                .send_record(partition, None, Some(value.as_bytes()));
        }
        self.kafka.flush();
    }

    async fn windows(&self) -> Vec<Said> {
        let rows = sqlx::query(
            "SELECT number, started, ended, messages, verdict, foremost, p FROM v_drift_windows ORDER BY number",
        )
        .fetch_all(&self.database.pool().await)
        .await
        .unwrap();
        rows.iter()
            .map(|row| {
                let p: Option<f64> = row.get("p");
                (
                    row.get("number"),
                    row.get("started"),
                    row.get("ended"),
                    row.get("messages"),
                    row.get("verdict"),
                    row.get("foremost"),
                    // A score may differ in its last digits by the batch that it was made in.
                    p.map_or_else(String::new, |p| format!("{:.1}", -p.log10())),
                )
            })
            .collect()
    }

    async fn wait_windows(&self) -> Vec<Said> {
        let deadline = std::time::Instant::now() + LONG;
        loop {
            let windows = self.windows().await;
            if windows.len() >= ALL / WINDOW {
                return windows;
            }
            assert!(std::time::Instant::now() < deadline, "only {windows:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn reports(&self) -> Vec<(String, i64, Value)> {
        let rows =
            sqlx::query("SELECT change, number, report FROM v_drift_reports ORDER BY number")
                .fetch_all(&self.database.pool().await)
                .await
                .unwrap();
        rows.iter()
            .map(|row| (row.get("change"), row.get("number"), row.get("report")))
            .collect()
    }

    fn wait_committed(&self, least: usize) {
        let least = i64::try_from(least).unwrap();
        eventually("the feed to be committed", LONG, || {
            (self.kafka.committed() >= least).then_some(())
        });
    }
}

fn wait_leader(services: &[&Service]) {
    eventually("one instance to watch", LONG, || {
        let leads = |service: &&Service| service.metric("tidewatch_drift_leader") == Some(1.0);
        (services.iter().filter(|service| leads(service)).count() == 1).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_and_two_of_which_one_is_killed_say_the_same_of_the_same_feed_and_call_one_alarm()
 {
    let folder = tempfile::tempdir().unwrap();
    let baseline = baseline(folder.path());

    let outlet = Kafka::new(1).await;
    let alone = Stage::new(&baseline, &format!("reports = {:?}", outlet.input)).await;
    let mut service = alone.config.start("one");
    service.wait_ready();
    alone.send(0..ALL);
    alone.pass();
    let said = alone.wait_windows().await;
    let verdicts: Vec<&str> = said.iter().map(|window| &*window.4).collect();
    assert_eq!(
        verdicts,
        [["ok"; 5].as_slice(), &["drift"; 3]].concat(),
        "{said:?}"
    );
    assert!(said.iter().all(|window| window.3 == WINDOW as i64));

    let reports = alone.reports().await;
    assert_eq!(reports.len(), 1, "one change is one alarm: {reports:?}");
    let (change, number, report) = &reports[0];
    assert_eq!((&**change, *number), ("opened", 5));
    let tokens = report["alarm"]["explanation"]["tokens"].as_array().unwrap();
    let moved: Vec<&str> = tokens
        .iter()
        .filter_map(|token| token["text"].as_str())
        .collect();
    assert!(
        BAD.iter().any(|word| moved.contains(word)),
        "{moved:?} do not say what came"
    );
    let example = &tokens[0]["examples"][0];
    assert!(
        example["text"].as_str().unwrap().starts_with("the "),
        "{example}"
    );
    eventually("the report to reach Kafka", LONG, || {
        (!outlet.inputs().is_empty()).then_some(())
    });
    assert_eq!(outlet.inputs()[0].json()["window"], 5);
    assert!(service.terminate().success());

    let shared = Stage::new(&baseline, "").await;
    let (mut one, mut two) = (shared.config.start("one"), shared.config.start("two"));
    one.wait_ready();
    two.wait_ready();
    wait_leader(&[&one, &two]);
    shared.send(0..TURN + WINDOW / 2);
    // In the middle of a window, with chunks under way.
    shared.wait_committed(TURN / 2);
    let (doomed, left) = if one.metric("tidewatch_drift_leader") == Some(1.0) {
        (&mut one, &mut two)
    } else {
        (&mut two, &mut one)
    };
    doomed.kill();
    shared.send(TURN + WINDOW / 2..ALL);
    shared.pass();
    assert_eq!(shared.wait_windows().await, said);
    assert_eq!(shared.reports().await.len(), 1);
    assert!(left.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_again_is_counted_once_and_a_restart_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(&baseline(folder.path()), "").await;
    let mut sent = 0;
    for step in 0..4 {
        let mut service = stage.config.start("one");
        let next = sent + ALL / 4;
        stage.send(sent..next);
        stage.wait_committed(sent + ALL / 8);
        sent = next;
        if step < 3 {
            service.kill();
        } else {
            stage.pass();
            let windows = stage.wait_windows().await;
            let numbers: Vec<i64> = windows.iter().map(|window| window.0).collect();
            assert_eq!(numbers, (0..(ALL / WINDOW) as i64).collect::<Vec<_>>());
            for (number, window) in (0..).zip(&windows) {
                let time = |index: usize| begin() + TimeDelta::seconds(index as i64);
                let first = number * WINDOW;
                assert_eq!(
                    (window.1, window.2, window.3),
                    (time(first), time(first + WINDOW - 1), WINDOW as i64)
                );
            }
            assert!(service.terminate().success());
        }
    }
}
