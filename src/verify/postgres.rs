//! What Postgres says of each message, read in one snapshot.

use std::collections::HashMap;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use futures::{Stream, TryStreamExt};
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions, Connection, Executor, Row};

use super::book::{Book, Partition};
use super::error::VerifyError;
use super::outcome::{self, Kind};
use super::watch::{Step, Watch};
use crate::store::config::StoreConfig;

/// A model that the database knows.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub version: String,
    /// In the order of its rows' probabilities.
    pub labels: Vec<String>,
    pub first_seen: DateTime<Utc>,
}

/// A connection that sees the database as it was at one moment, and changes nothing.
pub(super) struct Snapshot {
    pub connection: PgConnection,
    pub models: HashMap<i32, Model>,
}

impl Snapshot {
    /// Connects and takes the snapshot.
    pub(super) async fn take(config: &StoreConfig) -> Result<Self, VerifyError> {
        let url = config.url.expose_secret();
        // The error would show the URL's parts.
        let options = PgConnectOptions::from_str(url).map_err(|_| VerifyError::Url)?;
        // Statements that take long are what is expected here.
        let options = options
            .application_name("tidewatch-verify")
            .disable_statement_logging();
        let mut connection = PgConnection::connect_with(&options)
            .await
            .map_err(VerifyError::postgres("it cannot be reached"))?;
        // The count of the rollups is one statement over all rows.
        connection
            .execute(
                "SET timezone = 'UTC'; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
                 BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
            )
            .await
            .map_err(VerifyError::postgres("no snapshot can be taken"))?;
        let rows = sqlx::query(
            "SELECT id, version, labels, first_seen FROM models WHERE first_seen IS NOT NULL",
        )
        .fetch_all(&mut connection)
        .await
        .map_err(VerifyError::postgres("the models cannot be read"))?;
        let models = rows
            .iter()
            .map(|row| {
                Ok((
                    row.try_get(0)?,
                    Model {
                        version: row.try_get(1)?,
                        labels: row.try_get(2)?,
                        first_seen: row.try_get(3)?,
                    },
                ))
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(VerifyError::postgres("the models cannot be read"))?;
        Ok(Self { connection, models })
    }

    /// Enters every row of the messages that are looked at.
    pub(super) async fn read(
        &mut self,
        book: &mut Book,
        ranged: bool,
        watch: &mut Watch<'_>,
    ) -> Result<(), VerifyError> {
        let digests: Digests = Digests::of(&self.models);
        watch.begin(
            Step::Rows,
            book.partitions()
                .map(|(_, partition)| partition.messages() as u64)
                .sum(),
        );
        let Book {
            topics,
            foreign_rows,
            ..
        } = book;
        for topic in topics {
            // Whole tables are read fastest in the order in which they lie on the disk; a part of them by their key.
            let spans: Vec<Option<(i32, i64, i64)>> = if ranged {
                let partitions = topic.partitions.iter();
                partitions
                    .filter(|partition| !partition.range.is_empty())
                    .map(|partition| {
                        Some((partition.number, partition.range.start, partition.range.end))
                    })
                    .collect()
            } else {
                vec![None]
            };
            for span in spans {
                for kind in [Kind::Result, Kind::Dead] {
                    let mut rows = rows(&mut self.connection, kind, &topic.name, span);
                    let failed = || VerifyError::postgres("the rows cannot be read");
                    while let Some(row) = rows.try_next().await.map_err(failed())? {
                        watch.advance(1);
                        let entry = entry(kind, &row, &digests).map_err(failed())?;
                        let partition = usize::try_from(entry.partition)
                            .ok()
                            .and_then(|number| topic.partitions.get_mut(number));
                        enter(partition, kind, &entry, foreign_rows);
                    }
                }
            }
        }
        Ok(())
    }
}

fn enter(partition: Option<&mut Partition>, kind: Kind, entry: &Entry, foreign: &mut u64) {
    let Some(partition) = partition else {
        *foreign += 1;
        return;
    };
    match partition.rank(entry.offset) {
        Some(rank) => partition.postgres_mut(rank).say(kind, entry.digest),
        // What came after we looked is nothing strange.
        None if entry.offset >= partition.range.end => {}
        None => *foreign += 1,
    }
}

/// Models and their labels as digests, with a last resort for numbers that no model has.
struct Digests(HashMap<i32, (u64, Vec<u64>)>);

impl Digests {
    fn of(models: &HashMap<i32, Model>) -> Self {
        let digest = |model: &Model| {
            let labels = model.labels.iter().map(|label| outcome::name(label));
            (outcome::name(&model.version), labels.collect())
        };
        Self(
            models
                .iter()
                .map(|(&id, model)| (id, digest(model)))
                .collect(),
        )
    }
}

/// A row: of which message it speaks, and the digest of what it says.
struct Entry {
    partition: i32,
    offset: i64,
    digest: u64,
}

/// Only the columns that are compared.
const PREDICTIONS: &str = r#"SELECT "partition", "offset", kafka_time, label, model, confidence, probabilities
                               FROM predictions WHERE topic = $1"#;
const PREDICTIONS_WITHIN: &str = r#"SELECT "partition", "offset", kafka_time, label, model, confidence, probabilities
                                      FROM predictions
                                     WHERE topic = $1 AND "partition" = $2 AND "offset" >= $3 AND "offset" < $4"#;
const DEAD_LETTERS: &str =
    r#"SELECT "partition", "offset", kafka_time, reason FROM dead_letters WHERE topic = $1"#;
const DEAD_LETTERS_WITHIN: &str = r#"SELECT "partition", "offset", kafka_time, reason
                                       FROM dead_letters
                                      WHERE topic = $1 AND "partition" = $2 AND "offset" >= $3 AND "offset" < $4"#;

/// The rows of a topic, or of a span of one of its partitions, as they come.
fn rows<'a>(
    connection: &'a mut PgConnection,
    kind: Kind,
    topic: &'a str,
    span: Option<(i32, i64, i64)>,
) -> impl Stream<Item = Result<PgRow, sqlx::Error>> + Unpin + 'a {
    let statement = match (kind, span) {
        (Kind::Result, None) => PREDICTIONS,
        (Kind::Result, Some(_)) => PREDICTIONS_WITHIN,
        (Kind::Dead, None) => DEAD_LETTERS,
        (Kind::Dead, Some(_)) => DEAD_LETTERS_WITHIN,
    };
    let query = sqlx::query(statement).bind(topic);
    match span {
        Some((partition, first, end)) => query.bind(partition).bind(first).bind(end),
        None => query,
    }
    .fetch(connection)
}

fn entry(kind: Kind, row: &PgRow, digests: &Digests) -> Result<Entry, sqlx::Error> {
    let time = outcome::kafka_time(row.try_get(2)?);
    let label = outcome::name(row.try_get(3)?);
    let said = match kind {
        Kind::Dead => outcome::dead_letter(label),
        Kind::Result => {
            let confidence: f32 = row.try_get(5)?;
            let probabilities: Vec<Option<f32>> = row.try_get(6)?;
            let probabilities = probabilities
                .into_iter()
                .map(|probability| probability.unwrap_or(f32::NAN));
            match digests.0.get(&row.try_get(4)?) {
                Some((model, labels)) if labels.len() == probabilities.len() => {
                    let by_label = labels.iter().copied().zip(probabilities);
                    outcome::prediction(label, *model, by_label, confidence)
                }
                // Nothing that Kafka holds is like it.
                _ => outcome::hash((0u8, label)),
            }
        }
    };
    Ok(Entry {
        partition: row.try_get(0)?,
        offset: row.try_get(1)?,
        digest: said ^ time,
    })
}
