//! The whole: a feed of which one subject turns, the service killed meanwhile.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::Row;

use super::LONG;
use crate::harness::{Kafka, Receiver, ServiceConfig, TestDatabase, eventually};

const PARTITIONS: i32 = 2;
/// Days in which nothing happens.
const CALM: i64 = 7;
/// Posts of each subject in an hour.
const HOURLY: i64 = 4;

const CALM_TEXTS: [&str; 4] = [
    "is open on Monday and the queue was short",
    "was lovely, thank you",
    "is terrible, nothing works",
    "is next to the station",
];

fn begin() -> DateTime<Utc> {
    "2024-03-04T00:00:00Z".parse().unwrap()
}

/// A post of a minute since the beginning; one in four is bad, or all in a storm.
fn post(subject: &str, number: i64, minute: i64, storm: bool) -> Value {
    let tail = CALM_TEXTS[if storm { 2 } else { number as usize % 4 }];
    json!({
        "text": format!("{subject} number {} {tail}", spelled(number)), "subject": subject,
        "author": format!("author {number}"), "event_time": begin() + TimeDelta::minutes(minute),
    })
}

/// A number as letters, since copies are told by their words.
fn spelled(number: i64) -> String {
    number
        .to_string()
        .bytes()
        .map(|digit| char::from(b'a' + digit - b'0'))
        .collect()
}

/// Both subjects from day to day; coffee turns bad on the days of the storm.
fn feed(days: std::ops::Range<i64>, storm: bool) -> Vec<Value> {
    let mut posts = Vec::new();
    for number in days.start * 24 * HOURLY..days.end * 24 * HOURLY {
        let minute = number * 60 / HOURLY;
        posts.push(post("coffee", number, minute, storm));
        posts.push(post("tea", number, minute + 1, false));
    }
    posts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_that_turns_bad_is_one_alert_told_once_also_when_the_service_is_killed() {
    let receiver = Receiver::new([]).await;
    let (kafka, database, outlet) = (
        Kafka::new(PARTITIONS).await,
        TestDatabase::new().await,
        Kafka::new(1).await,
    );
    let config = ServiceConfig::new(
        &kafka,
        &database,
        &format!(
            "[drift]\nenabled = false\n[alerts]\ntopic = {:?}\n[[webhook]]\nname = \"hook\"\nurl = {:?}\n\
             [[alerts.rule]]\nname = \"negative rises\"\nwatch = [\"subject\"]\nlabel = \"negative\"\ndirection = \"rise\"\n",
            outlet.input, receiver.url
        ),
    );
    config.migrate();
    let mut service = config.start("one");
    service.wait_ready();
    let send = |posts: Vec<Value>| {
        for (index, post) in posts.iter().enumerate() {
            let value = post.to_string();
            kafka.send_record(index as i32 % PARTITIONS, None, Some(value.as_bytes()));
        }
        kafka.flush();
    };
    send(feed(0..CALM, false));
    send(feed(CALM..CALM + 1, true));
    receiver.wait(1, LONG).await;
    service.kill();
    let mut service = config.start("two");
    send(feed(CALM + 1..CALM + 2, true));
    send(feed(CALM + 2..CALM + 6, false));
    service.wait_ready();
    eventually("the end to be told", LONG, || {
        let is_end = |text: &str| text.contains("\"status\":\"resolved\"");
        let hook = receiver.told().iter().any(|told| is_end(&told.text));
        let records = outlet.inputs();
        let topic = records
            .iter()
            .any(|record| is_end(&record.json().to_string()));
        (hook && topic).then_some(())
    });
    assert!(service.terminate().success());

    let pool = database.pool().await;
    let rows = sqlx::query(
        "SELECT id, subject, label, direction, share, normal, opened_at, messages FROM v_alerts",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(rows.len(), 1, "one change is one alert");
    let alert = &rows[0];
    assert_eq!(alert.get::<String, _>("subject"), "coffee");
    assert_eq!(alert.get::<String, _>("direction"), "rise");
    let opened: DateTime<Utc> = alert.get("opened_at");
    let storm = begin() + TimeDelta::days(CALM);
    assert!(
        opened >= storm && opened < storm + TimeDelta::days(1),
        "{opened}"
    );

    let mut ids: Vec<String> = receiver.told().into_iter().map(|told| told.id).collect();
    let statuses: Vec<String> = receiver
        .told()
        .iter()
        .map(|told| told.json()["status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(statuses.first().map(String::as_str), Some("opened"));
    assert_eq!(
        statuses.iter().filter(|status| *status == "opened").count(),
        1
    );
    assert_eq!(
        statuses
            .iter()
            .filter(|status| *status == "resolved")
            .count(),
        1
    );
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "nobody is told twice: {ids:?}");
    assert_eq!(outlet.inputs().len(), all, "the topic holds the same");

    let id: String = alert.get("id");
    let listed = list(&config);
    assert_eq!(listed["id"], id);
    assert_eq!(listed["alert"]["subject"], "coffee");
    assert_eq!(listed["acknowledged"], Value::Null);
    let acknowledged = command(&config, &["ack", &id, "--by", "me"]);
    assert!(acknowledged.status.success());
    assert_eq!(list(&config)["acknowledged_by"], "me");
    let unknown = command(&config, &["ack", "unknown"]);
    assert_eq!(unknown.status.code(), Some(2));
    let tried = command(&config, &["test"]);
    assert!(tried.status.success());
    assert!(receiver.told().last().unwrap().id.starts_with("test-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_has_run_before_has_a_normal_at_once() {
    let (kafka, database) = (Kafka::new(1).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, "[drift]\nidle_seconds = 1\n");
    config.migrate();
    let pool = database.pool().await;
    sqlx::query(
        "INSERT INTO sentiment_minute (minute, source, subject, label, messages)
         SELECT $1::timestamptz + make_interval(hours => hour), 'x', 'tea', label, 20
           FROM generate_series(1, 24 * 10) AS hour, unnest(ARRAY['negative', 'positive']) AS label",
    )
    .bind(begin() - TimeDelta::days(10))
    .execute(&pool)
    .await
    .unwrap();
    let mut service = config.start("one");
    service.wait_ready();
    // One of long ago must not hide the days before the others.
    let old =
        json!({"text": "old", "subject": "tea", "event_time": begin() - TimeDelta::days(300)});
    for value in [old, post("tea", 1, 10, false), post("tea", 2, 20, false)] {
        kafka.send_record(0, None, Some(value.to_string().as_bytes()));
    }
    kafka.flush();
    let deadline = std::time::Instant::now() + LONG;
    loop {
        let series: i64 =
            sqlx::query_scalar("SELECT count(*) FROM alert_series WHERE length(payload) > 300")
                .fetch_one(&pool)
                .await
                .unwrap();
        if series >= 2 {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "tea and the whole feed have a past"
        );
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(service.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_whose_rule_is_gone_is_resolved_at_the_next_start() {
    let (kafka, database) = (Kafka::new(1).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, "");
    config.migrate();
    let pool = database.pool().await;
    let event = tidewatch::alerts::sample(Utc::now().timestamp_millis());
    sqlx::query(
        "INSERT INTO alerts (id, started, opened_at, updated_at, normal, share, messages, rule, label, direction, detail)
         VALUES ($1, now(), now(), now(), 0.2, 0.5, 9, 'gone', 'negative', 'rise', $2)",
    )
    .bind(&event.alert.id)
    .bind(json!(event))
    .execute(&pool)
    .await
    .unwrap();
    let mut service = config.start("one");
    let deadline = std::time::Instant::now() + LONG;
    let detail = loop {
        let detail: Option<Value> =
            sqlx::query_scalar("SELECT detail FROM v_alerts WHERE resolved_at IS NOT NULL")
                .fetch_optional(&pool)
                .await
                .unwrap();
        if let Some(detail) = detail {
            break detail;
        }
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    };
    assert_eq!(detail["alert"]["resolution"], "unwatched");
    let notices: i64 = sqlx::query_scalar("SELECT count(*) FROM notices")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(notices, 1);
    assert!(service.terminate().success());
}

/// Runs `tidewatch alerts …`.
fn command(config: &ServiceConfig, arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .arg("alerts")
        .args(arguments)
        .arg("--config")
        .arg(config.path())
        .output()
        .unwrap()
}

/// The only alert, as the command line lists it.
fn list(config: &ServiceConfig) -> Value {
    let output = command(config, &["list", "--json"]);
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
