//! One record in three is hostile: each ends as one outcome, and its neighbours never notice.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

mod corpus;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::Row;
use tidewatch::model::scorer::Scorer;

use self::corpus::{Fate, ORDINARY_TIME, Poison};
use crate::harness::{
    Entry, Kafka, LABELS, Ledger, Place, Record, ServiceConfig, SmallBundle, TestDatabase, Wire,
    WireRecord,
};
use crate::recovery::{assert_rollups, wait_committed};

const PARTITIONS: i32 = 2;
/// The same text, scored alone, beside others and by way of a database's `real`.
const TOLERANCE: f64 = 1e-6;

/// A record that was sent, and what must become of it.
struct Sent {
    what: String,
    record: WireRecord,
    fate: Fate,
}

/// An ordinary post, of the small model's words.
fn ordinary(number: usize, value: fn(&str) -> String) -> Sent {
    let word = ["good", "bad", "not bad", "not very good"][number % 4];
    let text = format!(
        "Post {number}: the film was {word}{}",
        " day".repeat(number % 23)
    );
    Sent {
        what: format!("ordinary post {number}"),
        record: WireRecord {
            timestamp: ORDINARY_TIME + i64::try_from(number).unwrap(),
            key: Some(format!("key-{number}").into_bytes()),
            value: Some(value(&text).into_bytes()),
            headers: Vec::new(),
        },
        fate: Fate::Scored(text),
    }
}

/// Two ordinary posts before each hostile record, and one at the end of each partition.
fn mixed(poisons: Vec<Poison>, value: fn(&str) -> String) -> Vec<Sent> {
    let mut stream = Vec::new();
    for (number, poison) in poisons.into_iter().enumerate() {
        stream.push(ordinary(2 * number, value));
        stream.push(ordinary(2 * number + 1, value));
        stream.push(Sent {
            what: poison.what,
            record: poison.record,
            fate: poison.fate,
        });
    }
    let number = stream.len();
    stream.extend((number..number + 2).map(|number| ordinary(number, value)));
    stream
}

/// Runs the stream through the service and checks all that becomes of it.
struct Run {
    kafka: Kafka,
    database: TestDatabase,
    sent: BTreeMap<Place, Sent>,
}

impl Run {
    async fn new(decoder: &str, stream: Vec<Sent>) -> Self {
        let (kafka, database) = (Kafka::new(PARTITIONS).await, TestDatabase::new().await);
        let bundle = SmallBundle::new();
        let config = ServiceConfig::written(&kafka, &database, decoder, &bundle.path(), "", "");
        config.migrate();
        let mut wire = Wire::connect();
        let sent: BTreeMap<Place, Sent> = (0..PARTITIONS)
            .cycle()
            .zip(stream)
            .map(|(partition, sent)| {
                let offset = wire.send(&kafka.input, partition, &sent.record);
                ((partition, offset), sent)
            })
            .collect();
        let mut service = config.start("one");
        wait_committed(&kafka, i64::try_from(sent.len()).unwrap());
        assert!(service.terminate().success());

        let run = Self {
            kafka,
            database,
            sent,
        };
        run.assert_fates().await;
        run.assert_scores(&bundle).await;
        assert_rollups(&run.database).await;
        run
    }

    async fn assert_fates(&self) {
        let ledger = Ledger::read(&self.kafka, &self.database).await;
        for (place, sent) in &self.sent {
            let entry = ledger.kafka.get(place);
            let matches = match (&sent.fate, entry) {
                (Fate::Scored(_), Some(Entry::Scored { .. })) => true,
                (Fate::Dead(reason), Some(Entry::Dead { reason: is })) => is == reason,
                _ => false,
            };
            let Sent { what, fate, .. } = sent;
            assert!(
                matches,
                "{what} at {place:?} became {entry:?}, not {:.60}",
                format!("{fate:?}")
            );
        }
        ledger.assert_balanced(self.sent.len());
    }

    /// Both sides hold what the model says of the same texts without any hostile ones, of one after the other.
    async fn assert_scores(&self, bundle: &SmallBundle) {
        let mut scorer = Scorer::open(&bundle.path(), &bundle.config()).unwrap();
        let rows = self.rows().await;
        let results = by_place(self.kafka.results());
        for (place, sent) in &self.sent {
            let Fate::Scored(text) = &sent.fate else {
                continue;
            };
            let what = &sent.what;
            let (_, prediction) = scorer.score(&[text], 1).unwrap().remove(0);
            let prediction = prediction.unwrap();
            let (row, result) = (&rows[place], results[place].json());
            for (label, &expected) in LABELS.iter().zip(&prediction.probabilities) {
                for side in [&row.probabilities, &result["probabilities"]] {
                    let is = side[label].as_f64().unwrap();
                    assert!(
                        (is - f64::from(expected)).abs() < TOLERANCE,
                        "{what}: {label} is {is}, alone it is {expected}"
                    );
                }
            }
            assert_eq!(row.label, LABELS[prediction.label], "{what}");
            assert_eq!(result["label"], json!(row.label), "{what}");
            assert!(result["text"] == json!(text), "the text of {what}");
            assert!(
                row.text == text.replace('\0', "\u{fffd}"),
                "the stored text of {what}"
            );
            // Four digits of a year, as every reader expects.
            for time in [
                &result["event_time"],
                &json!(results[place].header("ce_time")),
            ] {
                let time = time.as_str().unwrap();
                assert!(time.len() == 24 && time.ends_with('Z'), "{what}: {time}");
            }
        }
    }

    async fn rows(&self) -> BTreeMap<Place, Scored> {
        let pool = self.database.pool().await;
        let rows = sqlx::query("SELECT * FROM v_predictions")
            .fetch_all(&pool)
            .await
            .unwrap();
        pool.close().await;
        let scored = |row: sqlx::postgres::PgRow| {
            let names = ["message_id", "author", "source", "subject", "language"];
            Scored {
                text: row.get("text"),
                label: row.get("label"),
                probabilities: row.get("probabilities"),
                names: names
                    .map(|name| row.get::<Option<String>, _>(name))
                    .to_vec(),
            }
        };
        rows.into_iter()
            .map(|row| ((row.get("partition"), row.get("offset")), scored(row)))
            .collect()
    }

    /// Where the record of this description stands.
    fn place(&self, what: &str) -> Place {
        let found = self.sent.iter().find(|(_, sent)| sent.what.contains(what));
        *found.unwrap_or_else(|| panic!("{what} was not sent")).0
    }
}

/// A row of `v_predictions`.
struct Scored {
    text: String,
    label: String,
    probabilities: Value,
    /// The identifier, author, source, subject and language.
    names: Vec<Option<String>>,
}

fn by_place(records: Vec<Record>) -> BTreeMap<Place, Record> {
    let place = |record: &Record| {
        let origin = &record.json()["origin"];
        (
            i32::try_from(origin["partition"].as_i64().unwrap()).unwrap(),
            origin["offset"].as_i64().unwrap(),
        )
    };
    records
        .into_iter()
        .map(|record| (place(&record), record))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_json_ends_as_one_outcome_each_and_its_neighbours_score_as_without_it() {
    let stream = mixed(corpus::json_records(), |text| {
        json!({ "text": text }).to_string()
    });
    let run = Run::new("json", stream).await;
    let (rows, results) = (run.rows().await, by_place(run.kafka.results()));

    // Postgres cannot hold NUL in a text: it stands as U+FFFD there, and as it was in Kafka.
    let place = run.place("NUL \\0 in the middle");
    let sent = "NUL \0 in the middle \0";
    let stored = "NUL \u{fffd} in the middle \u{fffd}";
    assert_eq!(rows[&place].text, stored);
    assert_eq!(rows[&place].names, vec![Some(stored.to_owned()); 5]);
    for field in ["id", "text", "author", "source", "subject", "language"] {
        assert_eq!(results[&place].json()[field], json!(sent), "{field}");
    }
    let pool = run.database.pool().await;
    let counted: i64 = sqlx::query_scalar(
        "SELECT messages FROM v_sentiment_minute WHERE source = $1 AND subject = $1",
    )
    .bind(stored)
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(counted, 1);

    // What never became text is kept byte by byte.
    let place = run.place("a raw NUL in a string");
    let payload: Vec<u8> = sqlx::query_scalar(
        r#"SELECT payload FROM v_dead_letters WHERE "partition" = $1 AND "offset" = $2"#,
    )
    .bind(place.0)
    .bind(place.1)
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(payload, b"{\"text\":\"go\0od\"}");
    pool.close().await;

    let names = &rows[&run.place("megabytes of names")].names;
    let cut = "n\u{fffd}".repeat(100);
    let cut: String = cut.chars().take(199).chain(['…']).collect();
    assert_eq!(*names, vec![Some(cut); 5]);
    assert_eq!(
        results[&run.place("an empty key")].key.as_deref(),
        Some(&b""[..])
    );
    assert_eq!(results[&run.place("no key")].key, None);
    let passed_on = &results[&run.place("headers of every kind")].headers;
    let of = |name: &str| passed_on.iter().filter(|(key, _)| key == name).count();
    assert_eq!(
        (of("traceparent"), of("baggage"), of("tracestate")),
        (1, 1, 0)
    );
    assert_eq!(
        (of("ce_id"), of("content-type")),
        (1, 1),
        "forged ones are not passed on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_plain_text_ends_as_one_outcome_each_and_its_neighbours_score_as_without_it() {
    Run::new("text", mixed(corpus::plain_records(), str::to_owned)).await;
}
