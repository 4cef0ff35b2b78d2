//! The main job on real Kafka and real Postgres: every message that goes in comes out once on each side, and both agree.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::time::Duration;

use serde_json::json;
use sqlx::Row;

use crate::harness::{
    Entry, Kafka, Ledger, ServiceConfig, TestDatabase, eventually, semeval_files,
};

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(600);

fn text(text: &str) -> Option<Vec<u8>> {
    Some(json!({ "text": text }).to_string().into_bytes())
}

/// Waits until the group has committed everything sent.
fn wait_committed(kafka: &Kafka, sent: usize) {
    let sent = i64::try_from(sent).unwrap();
    eventually("everything to be committed", LONG, || {
        (kafka.committed() >= sent).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_goes_all_the_way_through() {
    let (kafka, database) = (Kafka::new(1).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, "");
    config.migrate();
    let mut service = config.start("one");
    service.wait_ready();
    let post = json!({
        "id": "42", "text": "What a lovely morning 😀", "author": "ann", "source": "twitter", "subject": "weather",
        "language": "en", "event_time": "2015-02-24T19:35:52Z",
    });
    kafka.send([Some(post.to_string().into_bytes())]);
    wait_committed(&kafka, 1);

    let results = kafka.results();
    assert_eq!(results.len(), 1);
    let (record, result) = (&results[0], results[0].json());
    assert_eq!(record.key.as_deref(), Some(&b"key-0"[..]));
    for field in ["id", "text", "author", "source", "subject", "language"] {
        assert_eq!(result[field], post[field], "{field}");
    }
    assert_eq!(
        result["origin"],
        json!({"topic": kafka.input, "partition": 0, "offset": 0})
    );
    let probabilities: f64 = result["probabilities"]
        .as_object()
        .unwrap()
        .values()
        .map(|p| p.as_f64().unwrap())
        .sum();
    assert!((probabilities - 1.0).abs() < 1e-5, "{result}");
    assert_eq!(record.header("ce_specversion").as_deref(), Some("1.0"));
    assert_eq!(
        record.header("ce_id"),
        Some(format!("{}[0]@0", kafka.input))
    );

    let pool = database.pool().await;
    let row = sqlx::query(
        "SELECT *, extract(epoch FROM event_time)::bigint AS written FROM v_predictions",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    for field in [
        "text", "author", "source", "subject", "language", "label", "model",
    ] {
        assert_eq!(
            row.get::<String, _>(field),
            result[field].as_str().unwrap(),
            "{field}"
        );
    }
    assert_eq!(row.get::<i64, _>("written"), 1_424_806_552);
    let minute: i64 = sqlx::query_scalar(
        "SELECT messages FROM v_sentiment_minute WHERE source = 'twitter' AND subject = 'weather'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(minute, 1);
    pool.close().await;

    let (status, metrics) = service.get("/metrics").unwrap();
    assert_eq!(status, 200);
    let label = result["label"].as_str().unwrap();
    let line = format!("tidewatch_predictions_total{{label=\"{label}\"}} 1");
    assert!(
        metrics.lines().any(|other| other == line),
        "{line}:\n{metrics}"
    );
    assert_eq!(service.get("/livez").unwrap().0, 200);
    assert!(service.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_cannot_be_scored_becomes_a_dead_letter_with_its_reason_and_its_bytes() {
    let (kafka, database) = (Kafka::new(2).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, "");
    config.migrate();
    let letters_8_mb = "a".repeat(8_000_000);
    let values: Vec<(Option<Vec<u8>>, Option<&str>)> = vec![
        (text("fine"), None),
        (None, Some("tombstone")),
        (
            Some(b"{\"text\":\"caf\xe9\"}".to_vec()),
            Some("undecodable"),
        ),
        (Some(b"no json".to_vec()), Some("undecodable")),
        (Some(br#"{"text":"\ud83d"}"#.to_vec()), Some("undecodable")),
        (text(""), Some("no_text")),
        (text("\u{7}\u{0} \n\t"), Some("no_text")),
        (Some(br#"{"body":"elsewhere"}"#.to_vec()), Some("no_text")),
        (text("NUL \0 and bell \u{7} inside"), None),
        (text(&"😀".repeat(100_000)), None),
        (text(&letters_8_mb), None),
        (text(&"word ".repeat(1_000_000)), None),
        (
            text("\u{202e}thgir ot tfel\u{202c} e\u{301}\u{301}\u{301}"),
            None,
        ),
        (text(&"b".repeat(8_500_000)), Some("too_large")),
    ];
    let sent = kafka.send(values.iter().map(|(value, _)| value.clone()));
    let mut service = config.start("one");
    wait_committed(&kafka, sent);
    let ledger = Ledger::read(&kafka, &database).await;
    ledger.assert_balanced(sent);
    for (index, (value, reason)) in values.iter().enumerate() {
        let place = (
            i32::try_from(index % 2).unwrap(),
            i64::try_from(index / 2).unwrap(),
        );
        let size = value.as_ref().map_or(0, Vec::len);
        match (&ledger.kafka[&place], reason) {
            (Entry::Scored { .. }, None) => {}
            (Entry::Dead { reason: is }, Some(reason)) => {
                assert_eq!(is, reason, "message {index} of {size} bytes")
            }
            (is, should) => panic!("message {index} of {size} bytes: {is:?}, expected {should:?}"),
        }
    }
    let undecodable = kafka
        .dead_letters()
        .into_iter()
        .find(|letter| {
            letter.json()["detail"]
                .as_str()
                .unwrap()
                .contains("line 1 column 2")
        })
        .unwrap();
    assert_eq!(
        undecodable.json()["payload"],
        json!("bm8ganNvbg=="),
        "the original bytes in base64"
    );
    assert_eq!(
        undecodable
            .header("__connect.errors.exception.class.name")
            .as_deref(),
        Some("undecodable")
    );
    assert!(service.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_topics_are_read_each_with_its_decoder() {
    let (kafka, database) = (Kafka::new(1).await, TestDatabase::new().await);
    let other = Kafka::new(1).await;
    let more = format!(
        "[[input]]\ntopic = \"{}\"\ndecoder = \"text\"\nsource = \"letters\"\n",
        other.input
    );
    let config = ServiceConfig::new(&kafka, &database, &more);
    config.migrate();
    kafka.send([text("from the first")]);
    other.send([Some(b"from the second".to_vec())]);
    let mut service = config.start("one");
    let pool = database.pool().await;
    let rows = |pool: sqlx::PgPool| async move {
        sqlx::query_as::<_, (String, Option<String>)>(
            "SELECT text, source FROM v_predictions ORDER BY text",
        )
        .fetch_all(&pool)
        .await
        .unwrap()
    };
    wait_committed(&kafka, 1);
    let runtime = tokio::runtime::Handle::current();
    let found = tokio::task::block_in_place(|| {
        eventually("both rows", LONG, || {
            Some(runtime.block_on(rows(pool.clone()))).filter(|rows| rows.len() == 2)
        })
    });
    assert_eq!(
        found,
        [
            ("from the first".to_owned(), None),
            ("from the second".to_owned(), Some("letters".to_owned()))
        ]
    );
    pool.close().await;
    assert!(service.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_semeval_tweets_ends_as_one_row_and_one_result_or_as_a_dead_letter() {
    let Some(files) = semeval_files("every_line_of_the_semeval_tweets") else {
        return;
    };
    let (kafka, database) = (Kafka::new(4).await, TestDatabase::new().await);
    let config = ServiceConfig::with_decoder(&kafka, &database, "text", "");
    config.migrate();
    let mut service = config.start("one");
    let mut sent = 0;
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        let lines = bytes
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty());
        sent += kafka.send(lines.map(|line| Some(line.to_vec())));
    }
    assert_eq!(sent, 50_248);
    // In steps, each with the whole patience: a busy machine is slow, and only one that stands still has failed.
    for part in (5_000..sent).step_by(5_000).chain([sent]) {
        wait_committed(&kafka, part);
    }
    Ledger::read(&kafka, &database).await.assert_balanced(sent);
    let pool = database.pool().await;
    let (rows, counted): (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM predictions), (SELECT sum(messages)::bigint FROM sentiment_minute)")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(rows, counted, "the rollups count every row");
    pool.close().await;
    assert!(service.terminate().success());
}
