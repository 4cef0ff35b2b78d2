//! The books: every message sent must stand exactly once in Kafka and once in Postgres, and both must agree.

use std::collections::BTreeMap;

use sqlx::Row;

use super::{Kafka, Record, ServiceConfig, TestDatabase};

/// Partition and offset of an input message.
pub type Place = (i32, i64);

/// What one side says became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Scored { label: String, model: String },
    Dead { reason: String },
}

/// Both sides' entries, by the place of the message in the input topic.
pub struct Ledger {
    pub kafka: BTreeMap<Place, Entry>,
    pub postgres: BTreeMap<Place, Entry>,
    /// The exit code of `tidewatch verify` and what it says, which looks at more.
    pub verified: (i32, serde_json::Value),
}

impl Ledger {
    /// Reads both sides; panics when one of them holds a message twice.
    pub async fn read(kafka: &Kafka, database: &TestDatabase) -> Self {
        // First, since it waits until everything in the output topics can be read.
        let verified = ServiceConfig::new(kafka, database, "").verify(&[]);
        let mut in_kafka = BTreeMap::new();
        for record in kafka.results() {
            let result = record.json();
            let entry = Entry::Scored {
                label: text(&result["label"]),
                model: text(&result["model"]),
            };
            insert_once(&mut in_kafka, origin(&record), entry, "Kafka");
        }
        for record in kafka.dead_letters() {
            let entry = Entry::Dead {
                reason: text(&record.json()["reason"]),
            };
            insert_once(&mut in_kafka, origin(&record), entry, "Kafka");
        }

        let pool = database.pool().await;
        let mut in_postgres = BTreeMap::new();
        for (sql, scored) in [
            (
                r#"SELECT "partition", "offset", label, model FROM v_predictions WHERE topic = $1"#,
                true,
            ),
            (
                r#"SELECT "partition", "offset", reason FROM v_dead_letters WHERE topic = $1"#,
                false,
            ),
        ] {
            let rows = sqlx::query(sql)
                .bind(&kafka.input)
                .fetch_all(&pool)
                .await
                .expect("the view can be read");
            for row in rows {
                let entry = if scored {
                    Entry::Scored {
                        label: row.get("label"),
                        model: row.get("model"),
                    }
                } else {
                    Entry::Dead {
                        reason: row.get("reason"),
                    }
                };
                insert_once(
                    &mut in_postgres,
                    (row.get("partition"), row.get("offset")),
                    entry,
                    "Postgres",
                );
            }
        }
        pool.close().await;
        Self {
            kafka: in_kafka,
            postgres: in_postgres,
            verified,
        }
    }

    /// Panics unless both sides hold exactly `sent` messages and agree on each.
    pub fn assert_balanced(&self, sent: usize) {
        let disagreeing: Vec<_> = self
            .kafka
            .iter()
            .filter(|(place, entry)| self.postgres.get(place) != Some(entry))
            .take(5)
            .collect();
        assert_eq!(
            (self.kafka.len(), self.postgres.len(), disagreeing),
            (sent, sent, Vec::new()),
            "messages in Kafka, in Postgres, and those on which they disagree, of {sent} sent; only in Postgres: {:?}; verify: {:?}",
            self.postgres
                .keys()
                .filter(|place| !self.kafka.contains_key(place))
                .take(5)
                .collect::<Vec<_>>(),
            self.verified
        );
        let (code, said) = &self.verified;
        let outcomes = said["scored"].as_u64().zip(said["dead"].as_u64());
        assert_eq!(
            (*code, outcomes.map(|(scored, dead)| scored + dead)),
            (0, u64::try_from(sent).ok()),
            "{said}"
        );
    }

    /// How many became dead letters.
    pub fn dead(&self) -> usize {
        self.kafka
            .values()
            .filter(|entry| matches!(entry, Entry::Dead { .. }))
            .count()
    }
}

fn insert_once(entries: &mut BTreeMap<Place, Entry>, place: Place, entry: Entry, side: &str) {
    if let Some(earlier) = entries.insert(place, entry.clone()) {
        panic!("{side} holds {place:?} twice: {earlier:?} and {entry:?}");
    }
}

/// The input message that an outcome speaks of.
fn origin(record: &Record) -> Place {
    let origin = &record.json()["origin"];
    let partition = origin["partition"]
        .as_i64()
        .expect("an origin has a partition");
    let offset = origin["offset"].as_i64().expect("an origin has an offset");
    (
        i32::try_from(partition).expect("a partition is small"),
        offset,
    )
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().expect("the field is text").to_owned()
}
