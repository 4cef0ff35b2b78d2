//! Messages are picked from the live feed and labelled by HTTP, on real Kafka and real Postgres.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, a panic with its line is the report"
)]

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;
use tidewatch::coin;

use crate::harness::{Kafka, Service, ServiceConfig, TestDatabase};

/// Room for a slow machine; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(300);
/// The probability of the random slice.
const CHANCE: f64 = 0.3;

/// A deployment that picks, and a look behind it.
struct Stage {
    kafka: Kafka,
    config: ServiceConfig,
    pool: PgPool,
    _database: TestDatabase,
}

impl Stage {
    async fn new() -> Self {
        let (kafka, database) = (Kafka::new(1).await, TestDatabase::new().await);
        let more = format!(
            "[annotate]\nenabled = true\nrandom_per_day = 0\nleast_probability = {CHANCE}\nuncertain_per_day = 240\nperiod_texts = 100\n"
        );
        let config = ServiceConfig::new(&kafka, &database, &more);
        config.migrate();
        Self {
            pool: database.pool().await,
            kafka,
            config,
            _database: database,
        }
    }

    /// Sends distinct texts.
    fn send(&self, numbers: std::ops::Range<usize>) {
        let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
        self.kafka.send(numbers.map(|number| {
            let name: String = [number / 676, number / 26, number]
                .map(letter)
                .iter()
                .collect();
            let mood = ["lovely", "dreadful", "here"][number % 3];
            let text = format!("the new {name} is {mood} this week");
            Some(
                json!({"id": number.to_string(), "text": text})
                    .to_string()
                    .into_bytes(),
            )
        }));
    }

    async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    async fn wait(&self, what: &str, sql: &'static str, least: i64) {
        let deadline = Instant::now() + LONG;
        loop {
            let number = self.number(sql).await;
            if number >= least {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {number} of {least}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Whether the coin picks the message at an offset.
    fn is_tossed(&self, offset: i64) -> bool {
        let partition = 0_i32.to_be_bytes();
        let (topic, offset) = (self.kafka.input.as_bytes(), offset.to_be_bytes());
        coin::toss("", &[b"random", topic, &partition, &offset]) < CHANCE
    }

    fn tidewatch(&self, arguments: &[&str], input: &str) -> (i32, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
            .args(arguments)
            .arg("--config")
            .arg(self.config.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let code = output.status.code().unwrap_or(-1);
        (code, String::from_utf8(output.stdout).unwrap())
    }
}

const COUNTED: &str = "SELECT coalesce(sum(next_offset), 0)::bigint FROM drift_positions";

#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_picked_once_by_its_coin_whichever_leader_dies() {
    let stage = Stage::new().await;
    let (mut one, mut two) = (stage.config.start("one"), stage.config.start("two"));
    one.wait_ready();
    two.wait_ready();
    stage.send(0..350);
    stage.wait("messages to be counted", COUNTED, 150).await;
    let leads = |service: &Service| service.metric("tidewatch_drift_leader") == Some(1.0);
    let (doomed, left) = if leads(&one) {
        (&mut one, &mut two)
    } else {
        (&mut two, &mut one)
    };
    doomed.kill();
    // What the next leader begins with: of what came before, the last period may be lost.
    let begun = stage.number(COUNTED).await;
    let before: Vec<(i64, String)> = picks(&stage.pool).await;
    stage.send(350..700);
    stage.wait("all to be counted", COUNTED, 700).await;
    // Which ends the last period.
    assert!(left.terminate().success());
    let picks = picks(&stage.pool).await;
    assert_eq!(before, picks[..before.len()], "what is picked stays picked");
    for (offset, sampling) in &picks {
        assert_eq!(stage.is_tossed(*offset), sampling == "random", "{offset}");
    }
    let tossed = |offset: &i64| stage.is_tossed(*offset);
    let random: BTreeSet<i64> = picks
        .iter()
        .filter(|(offset, sampling)| sampling == "random" && *offset >= begun)
        .map(|(offset, _)| *offset)
        .collect();
    let expected: BTreeSet<i64> = (begun..700).filter(tossed).collect();
    assert_eq!(random, expected, "from {begun} on, nothing is lost");
    assert!(picks.len() > random.len(), "and some for their uncertainty");
    let odd = stage.number(
        "SELECT count(*) FROM v_annotations WHERE random <> 0.3 OR uncertain NOT BETWEEN 0 AND 1 OR model IS NULL
             OR (sampling = 'uncertain' AND uncertain = 0) OR state <> 'open'",
    );
    assert_eq!(odd.await, 0);
}

async fn picks(pool: &PgPool) -> Vec<(i64, String)> {
    sqlx::query_as("SELECT \"offset\", sampling FROM annotation_queue ORDER BY \"offset\"")
        .fetch_all(pool)
        .await
        .unwrap()
}

/// The messages that an answer gives.
fn given(answer: Option<(u16, String)>) -> Vec<Value> {
    let (status, body) = answer.unwrap();
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["annotations"].as_array().unwrap().clone()
}

/// What became of each item of a request.
fn outcomes(answer: Option<(u16, String)>) -> Vec<Value> {
    let (status, body) = answer.unwrap();
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    body["results"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_by_http_reach_the_labelled_messages_and_the_estimate() {
    let stage = Stage::new().await;
    let mut service = stage.config.start("one");
    service.wait_ready();
    assert_eq!(given(service.get("/v1/annotations")), [] as [Value; 0]);
    stage.send(0..350);
    stage
        .wait("picks", "SELECT count(*) FROM annotation_queue", 20)
        .await;
    let ann = given(service.get("/v1/annotations?limit=6&annotator=ann"));
    let bob = given(service.get("/v1/annotations?limit=6&annotator=bob"));
    let places = |given: &[Value]| -> BTreeSet<i64> {
        let offsets = given.iter().map(|one| one["origin"]["offset"].as_i64());
        offsets.map(Option::unwrap).collect()
    };
    assert_eq!((ann.len(), bob.len()), (6, 6));
    assert!(places(&ann).is_disjoint(&places(&bob)));
    assert!(ann[0]["text"].as_str().unwrap().starts_with("the new "));
    let again = given(service.get("/v1/annotations?limit=6&annotator=ann"));
    assert_eq!(places(&again), places(&ann));

    let labels = ann[0]["labels"].as_array().unwrap();
    let by = |name: &str, asked: &Value, label: &Value| json!({"origin": asked["origin"], "annotator": name, "label": label});
    let items = json!([
        by("ann", &ann[0], &labels[0]),
        by("ann", &ann[0], &labels[0]),
        by("ann", &ann[1], &json!("sideways")),
        {"label": labels[0]},
        {"id": "a later one", "label": labels[0]},
        by("bob", &ann[0], &labels[1]),
    ]);
    let results = outcomes(service.post("/v1/labels", &items));
    let what: Vec<&str> = results
        .iter()
        .map(|one| one["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(
        what,
        [
            "accepted",
            "duplicate",
            "rejected",
            "rejected",
            "accepted",
            "accepted"
        ]
    );
    assert_eq!(results[2]["reason"], "unknown_label");
    assert_eq!(results[3]["reason"], "no_message");
    assert_eq!(
        (&results[4]["waiting"], &results[5]["conflict"]),
        (&json!(true), &json!(true))
    );
    // One object will do; and what nobody can label.
    let one = outcomes(service.post("/v1/labels", &by("ann", &ann[1], &labels[0])));
    assert_eq!(one[0]["outcome"], "accepted");
    let skipped = json!({"origin": ann[2]["origin"], "annotator": "ann"});
    for outcome in ["skipped", "not_waiting"] {
        let results = outcomes(service.post("/v1/annotations/skip", &skipped));
        assert_eq!(results[0]["outcome"], outcome);
    }
    assert_eq!(service.get("/v1/annotations?limit=0").unwrap().0, 400);
    assert_eq!(
        service.post("/v1/labels", &json!(vec![1; 501])).unwrap().0,
        413
    );

    // The rest by lines.
    let lines: Vec<String> = ann[3..]
        .iter()
        .chain(&bob)
        .map(|asked| json!({"origin": asked["origin"], "label": labels[1]}).to_string())
        .collect();
    let (code, said) = stage.tidewatch(&["annotate", "label", "--as", "cyd"], &lines.join("\n"));
    assert_eq!(
        (code, said.matches("\"accepted\"").count()),
        (0, 9),
        "{said}"
    );
    stage
        .wait("labels", "SELECT count(*) FROM v_labelled_messages", 11)
        .await;
    let wrong = stage.number(
        "SELECT count(*) FROM v_labelled_messages m JOIN v_annotations q USING (topic, \"partition\", \"offset\")
          WHERE m.inclusion IS DISTINCT FROM q.inclusion OR m.sampling <> q.sampling OR q.state <> 'labelled'",
    );
    assert_eq!(wrong.await, 0);
    let tied = stage.number("SELECT count(*) FROM v_labelled_messages WHERE label IS NULL");
    assert_eq!(tied.await, 1, "two say one and the other");
    let (code, said) = stage.tidewatch(&["annotate", "estimate", "--json"], "");
    assert_eq!(code, 0);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["estimates"]["accuracy"]["labels"], 10);
    let (_, said) = stage.tidewatch(&["annotate", "estimate", "--from", "1h"], "");
    assert!(
        said.contains("accuracy") && said.contains("10 labels"),
        "{said}"
    );
    let (_, said) = stage.tidewatch(&["annotate", "next", "--limit", "1", "--as", "dan"], "");
    assert!(said.contains("claimed"), "{said}");
    let rejected = service.metric("tidewatch_labels_submitted_total");
    assert_eq!(rejected, Some(7.0));
    assert!(service.terminate().success());
}
