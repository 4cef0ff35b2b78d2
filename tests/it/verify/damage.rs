//! Damage done by hand: each is found and named, and repaired from what Kafka holds.

use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{Settled, assert_same, clean, dump, faults};

struct Damage {
    what: &'static str,
    /// What does it; `TARGET` picks one message that was scored, `DEAD` one that was not.
    statements: &'static [&'static str],
    /// Lost, doubled, disagreeing, uncommitted, rollups differing.
    found: [u64; 5],
    /// The kind of the first example, and words that it must hold.
    shown: (&'static str, &'static str),
}

const TARGET: &str = r#"topic LIKE '%.posts' AND "partition" = 1 AND "offset" = 5"#;
const DEAD: &str = r#"topic LIKE '%.posts' AND "partition" = 1 AND "offset" = 6"#;

const DAMAGES: &[Damage] = &[
    Damage {
        what: "a row is gone",
        statements: &["DELETE FROM predictions WHERE TARGET"],
        found: [1, 0, 0, 0, 1],
        shown: ("lost", r#""postgres":[]"#),
    },
    Damage {
        what: "a dead letter's row is gone",
        statements: &["DELETE FROM dead_letters WHERE DEAD"],
        found: [1, 0, 0, 0, 0],
        shown: ("lost", "dead letter, undecodable"),
    },
    Damage {
        what: "another label",
        statements: &["UPDATE predictions SET label = 'strange' WHERE TARGET"],
        found: [0, 0, 1, 0, 2],
        shown: ("disagreeing", "strange ("),
    },
    Damage {
        what: "a probability by the smallest step",
        statements: &[
            "UPDATE predictions SET probabilities[1] = CASE probabilities[1]
                WHEN (probabilities[1]::double precision * (1 + 6e-8))::real
                THEN (probabilities[1]::double precision * (1 + 1.2e-7))::real
                ELSE (probabilities[1]::double precision * (1 + 6e-8))::real END WHERE TARGET",
        ],
        found: [0, 0, 1, 0, 0],
        shown: ("disagreeing", "confidence"),
    },
    Damage {
        what: "a probability too few",
        statements: &["UPDATE predictions SET probabilities = probabilities[1:2] WHERE TARGET"],
        found: [0, 0, 1, 0, 0],
        shown: ("disagreeing", "confidence"),
    },
    Damage {
        what: "a probability that is none",
        statements: &["UPDATE predictions SET probabilities[2] = NULL WHERE TARGET"],
        found: [0, 0, 1, 0, 0],
        shown: ("disagreeing", "NaN"),
    },
    Damage {
        what: "another confidence",
        statements: &["UPDATE predictions SET confidence = 0.25 WHERE TARGET"],
        found: [0, 0, 1, 0, 0],
        shown: ("disagreeing", "confidence 0.25"),
    },
    Damage {
        what: "another model",
        statements: &[
            "INSERT INTO models (version, labels, problem)
             SELECT 'another-version', labels, problem FROM models LIMIT 1 ON CONFLICT DO NOTHING",
            "UPDATE predictions SET model = (SELECT id FROM models WHERE version = 'another-version') WHERE TARGET",
        ],
        found: [0, 0, 1, 0, 0],
        shown: ("disagreeing", "by model another-vers"),
    },
    Damage {
        what: "a model that nobody knows",
        statements: &["UPDATE predictions SET model = 999999 WHERE TARGET"],
        found: [0, 0, 1, 0, 0],
        shown: ("disagreeing", "999999, which is not in the table models"),
    },
    Damage {
        what: "another reason",
        statements: &["UPDATE dead_letters SET reason = 'no_text' WHERE DEAD"],
        found: [0, 0, 1, 0, 0],
        shown: ("disagreeing", "dead letter, no_text"),
    },
    Damage {
        what: "a row under another time, as if its message had been another",
        statements: &["UPDATE predictions SET kafka_time = kafka_time - interval '2 hours' WHERE TARGET"],
        found: [0, 0, 1, 0, 0],
        shown: ("disagreeing", " (of "),
    },
    Damage {
        what: "two rows of one message",
        statements: &[
            "CREATE TEMPORARY TABLE copy AS SELECT * FROM predictions WHERE TARGET",
            "UPDATE copy SET kafka_time = kafka_time + interval '1 millisecond'",
            "INSERT INTO predictions SELECT * FROM copy",
            "DROP TABLE copy",
        ],
        found: [0, 1, 0, 0, 1],
        shown: ("doubled", " (of "),
    },
    Damage {
        what: "two dead letters of one message",
        statements: &[
            "CREATE TEMPORARY TABLE copy AS SELECT * FROM dead_letters WHERE DEAD",
            "UPDATE copy SET kafka_time = kafka_time - interval '1 day'",
            "INSERT INTO dead_letters SELECT * FROM copy",
            "DROP TABLE copy",
        ],
        found: [0, 1, 0, 0, 0],
        shown: ("doubled", "dead letter, undecodable"),
    },
    Damage {
        what: "a row and a dead letter of one message",
        statements: &[
            r#"INSERT INTO dead_letters ("offset", kafka_time, payload_bytes, "partition", topic, reason, detail)
               SELECT "offset", kafka_time, 0, "partition", topic, 'no_text', 'by hand' FROM predictions WHERE TARGET"#,
        ],
        found: [0, 1, 0, 0, 0],
        shown: ("doubled", "dead letter, no_text"),
    },
    Damage {
        what: "a dead letter in place of a row",
        statements: &[
            r#"INSERT INTO dead_letters ("offset", kafka_time, payload_bytes, "partition", topic, reason, detail)
               SELECT "offset", kafka_time, 0, "partition", topic, 'no_text', 'by hand' FROM predictions WHERE TARGET"#,
            "DELETE FROM predictions WHERE TARGET",
        ],
        found: [0, 0, 1, 0, 1],
        shown: ("disagreeing", "dead letter, no_text"),
    },
    Damage {
        what: "a count is gone",
        statements: &[
            "DELETE FROM sentiment_minute WHERE (minute, source, subject, label) IN
                (SELECT minute, source, subject, label FROM sentiment_minute ORDER BY 1, 2, 3, 4 LIMIT 1)",
        ],
        found: [0, 0, 0, 0, 1],
        shown: ("rollups_differing", r#""held":0"#),
    },
    Damage {
        what: "a count is too high, one too low, and one counts nothing",
        statements: &[
            "UPDATE sentiment_minute SET messages = messages + 1 WHERE (minute, source, subject, label) IN
                (SELECT minute, source, subject, label FROM sentiment_minute ORDER BY 1, 2, 3, 4 LIMIT 1)",
            "UPDATE sentiment_minute SET messages = messages - 1 WHERE (minute, source, subject, label) IN
                (SELECT minute, source, subject, label FROM sentiment_minute ORDER BY 1, 2, 3, 4 LIMIT 1 OFFSET 1)",
            "INSERT INTO sentiment_minute (minute, messages, source, subject, label) VALUES ('2026-01-02', 3, 's', '', 'odd')",
        ],
        found: [0, 0, 0, 0, 3],
        shown: ("rollups_differing", r#""counted":0"#),
    },
    Damage {
        what: "all of it is gone",
        statements: &["DELETE FROM predictions", "DELETE FROM dead_letters", "DELETE FROM sentiment_minute"],
        found: [200, 0, 0, 0, 0],
        shown: ("lost", r#""postgres":[]"#),
    },
    Damage {
        what: "all rows are gone, and their counts are not",
        statements: &["DELETE FROM predictions"],
        found: [180, 0, 0, 0, 28],
        shown: ("lost", r#""postgres":[]"#),
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn each_damage_is_found_and_named_and_repaired() {
    let settled = Settled::new(200).await;
    let pool = settled.database.pool().await;
    let before = dump(&pool).await;
    assert_eq!(
        before.iter().filter(|line| line.starts_with("row")).count(),
        180
    );
    for damage in DAMAGES {
        let what = damage.what;
        let mut connection = pool.acquire().await.unwrap();
        for statement in damage.statements {
            let statement = statement.replace("TARGET", TARGET).replace("DEAD", DEAD);
            let done = sqlx::query(AssertSqlSafe(statement))
                .execute(&mut *connection)
                .await;
            done.unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        drop(connection);
        let damaged = dump(&pool).await;

        let (code, said) = settled.config.verify(&[]);
        assert_eq!((code, faults(&said)), (1, damage.found), "{what}: {said}");
        assert_eq!(said["messages"], json!(200), "{what}");
        let (fault, words) = damage.shown;
        let examples = said["examples"].as_array().unwrap();
        let shown = examples.iter().find(|example| example["fault"] == fault);
        assert!(
            shown.is_some_and(|shown| shown.to_string().contains(words)),
            "{what}: {said}"
        );
        assert_same(&damaged, &dump(&pool).await, "a check changes nothing");

        let (code, said) = settled.config.verify(&["--repair"]);
        let mut expected = clean(200);
        expected["repaired"] = said["repaired"].clone();
        assert_eq!((code, &said), (0, &expected), "{what}");
        assert_same(&before, &dump(&pool).await, what);
    }
    pool.close().await;
}
