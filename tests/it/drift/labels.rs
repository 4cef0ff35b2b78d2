//! Labels that come by their topic, on real Kafka and real Postgres.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

use super::{LONG, WINDOW, post, tidewatch, write};
use crate::harness::{Kafka, Service, ServiceConfig, TestDatabase};

/// Messages of the feed.
const ALL: usize = 3 * WINDOW;

/// A deployment, its topic of labels, and a look behind it.
struct Stage {
    kafka: Kafka,
    /// Its input is the topic of labels.
    desk: Kafka,
    config: ServiceConfig,
    pool: PgPool,
    _database: TestDatabase,
    _folder: tempfile::TempDir,
}

/// The baseline of posts with the labels that their words have.
fn labelled_baseline(folder: &Path) -> String {
    let posts = (10_000..11_000).map(|number| {
        let mut post = post(number, false);
        post["truth"] = json!(["negative", "positive", "neutral"][number % 3]);
        post
    });
    let input = write(folder, "labelled.jsonl", posts);
    let output = folder.join("baseline.json").display().to_string();
    let made = tidewatch(&[
        "baseline",
        "--resamples=500",
        "--label-field=truth",
        "--output",
        &output,
        input.to_str().unwrap(),
    ]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    output
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (kafka, desk) = (Kafka::new(1).await, Kafka::new(2).await);
        let database = TestDatabase::new().await;
        let more = format!(
            "[drift]\nbaseline = {:?}\nwindow_messages = {WINDOW}\nidle_seconds = 3600\nlabels_per_false_alarm = 500\n[labels]\ntopic = {:?}\n",
            labelled_baseline(folder.path()),
            desk.input
        );
        let config = ServiceConfig::new(&kafka, &database, &more);
        config.migrate();
        Self {
            pool: database.pool().await,
            kafka,
            desk,
            config,
            _database: database,
            _folder: folder,
        }
    }

    /// Sends posts of the feed as it is normal.
    fn send(&self, numbers: std::ops::Range<usize>) {
        let posts = numbers.map(|number| Some(post(number, false).to_string().into_bytes()));
        self.kafka.send(posts);
    }

    fn label(&self, labels: impl IntoIterator<Item = Value>) {
        let values = labels
            .into_iter()
            .map(|label| Some(label.to_string().into_bytes()));
        self.desk.send(values);
    }

    async fn rows(&self, sql: &'static str) -> Vec<PgRow> {
        sqlx::query(sql).fetch_all(&self.pool).await.unwrap()
    }

    async fn number(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    async fn wait(&self, what: &str, sql: &'static str, least: i64) {
        let deadline = std::time::Instant::now() + LONG;
        loop {
            let number = self.number(sql).await;
            if number >= least {
                return;
            }
            let waited = std::time::Instant::now() < deadline;
            assert!(waited, "{what}: {number} of {least}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// What the model has said of each message, by number.
    async fn predicted(&self) -> Vec<String> {
        let rows = self
            .rows("SELECT label FROM v_predictions ORDER BY message_id::integer")
            .await;
        rows.iter().map(|row| row.get("label")).collect()
    }
}

/// A label by the message's id that agrees with the prediction, or another one.
fn given(number: usize, predicted: &str, right: bool) -> Value {
    let other = if predicted == "neutral" {
        "positive"
    } else {
        "neutral"
    };
    json!({"id": number.to_string(), "annotator": "ann", "label": if right { predicted } else { other }})
}

const LABELLED: &str = "SELECT count(*) FROM labelled_messages WHERE NOT pending";

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_measured_beside_the_estimate_and_wrong_answers_are_one_alarm() {
    let stage = Stage::new().await;
    let mut service = stage.config.start("one");
    service.wait_ready();
    // Before their messages: by place and by id. Two annotators of one message, of whom one changes their mind.
    let place = |offset: i64| json!({"topic": stage.kafka.input, "partition": 0, "offset": offset});
    stage.label([
        json!({"origin": place(0), "label": "negative", "annotator": "ann"}),
        json!({"origin": place(0), "label": "positive", "annotator": "bob"}),
        json!({"id": "1", "label": "Positive", "annotator": "ann", "sampling": "uncertain"}),
    ]);
    // And what is none.
    stage.desk.send([
        None,
        Some(b"\xff".to_vec()),
        Some(b"{\"label\": \"positive\"}".to_vec()),
        Some(b"{\"id\": \"2\"}".to_vec()),
        Some(b"{\"id\": \"2\", \"label\": \"postive\"}".to_vec()),
    ]);
    stage
        .wait("labels to be read", "SELECT count(*) FROM labels", 3)
        .await;
    stage.send(0..ALL + 1);
    stage.wait("labels to be matched", LABELLED, 2).await;
    stage
        .wait("rejections", "SELECT count(*) FROM v_rejected_labels", 5)
        .await;
    let reasons: Vec<String> = stage
        .rows("SELECT reason FROM v_rejected_labels ORDER BY reason")
        .await
        .iter()
        .map(|row| row.get("reason"))
        .collect();
    assert_eq!(
        reasons,
        [
            "no_label",
            "no_message",
            "undecodable",
            "undecodable",
            "unknown_label"
        ]
    );
    let tied =
        stage.number("SELECT count(*) FROM v_labels WHERE \"offset\" = 0 AND agreed IS NULL");
    assert_eq!(tied.await, 2, "as many say one as the other");

    stage
        .wait(
            "predictions",
            "SELECT count(*) FROM v_predictions",
            ALL as i64 + 1,
        )
        .await;
    let predicted = stage.predicted().await;
    // Always right in the first window, always wrong in the two that follow: in the third before it is closed.
    stage.label((10..WINDOW).map(|number| given(number, &predicted[number], true)));
    stage.wait("the first labels", LABELLED, 192).await;
    stage.label((2 * WINDOW..ALL).map(|number| given(number, &predicted[number], false)));
    stage.wait("the third window's labels", LABELLED, 392).await;
    // Moves the watermark past all of them.
    stage.send(100_000..100_001);
    stage
        .wait("the windows", "SELECT count(*) FROM v_drift_windows", 3)
        .await;
    stage.label((WINDOW..2 * WINDOW).map(|number| given(number, &predicted[number], false)));
    stage.wait("all labels", LABELLED, ALL as i64 - 8).await;
    let windows = stage
        .rows("SELECT labelled, accuracy, accuracy_low, accuracy_high, agreement FROM v_drift_windows ORDER BY number")
        .await;
    let labelled: Vec<i64> = windows.iter().map(|row| row.get("labelled")).collect();
    assert_eq!(
        labelled,
        [190, 200, 200],
        "not what is tied or was chosen for being uncertain"
    );
    let right: Vec<f64> = windows.iter().map(|row| row.get("accuracy")).collect();
    assert_eq!(right, [1.0, 0.0, 0.0]);
    assert!(
        windows[0].get::<f64, _>("accuracy_low") > 0.9
            && windows[1].get::<f64, _>("accuracy_high") < 0.1
    );
    let agreement: Vec<&str> = windows.iter().map(|row| row.get("agreement")).collect();
    assert_eq!(&agreement[1..], ["too_high"; 2]);
    let reports = stage
        .rows("SELECT change, report FROM v_drift_reports")
        .await;
    assert_eq!(reports.len(), 1, "one rise is one alarm");
    let report: Value = reports[0].get("report");
    assert_eq!(
        (&report["statistic"], &report["change"]),
        (&json!("errors"), &json!("opened"))
    );
    assert_eq!(service.metric("tidewatch_drift_alarms_open"), Some(1.0));
    assert_eq!(service.metric("tidewatch_labels_rejected_total"), Some(5.0));
    assert!(service.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_label_counts_once_whichever_leader_dies() {
    let stage = Stage::new().await;
    let (mut one, mut two) = (stage.config.start("one"), stage.config.start("two"));
    one.wait_ready();
    two.wait_ready();
    stage.send(0..ALL);
    stage
        .wait(
            "predictions",
            "SELECT count(*) FROM v_predictions",
            ALL as i64,
        )
        .await;
    let predicted = stage.predicted().await;
    let labels = |numbers: std::ops::Range<usize>| {
        let predicted = predicted.clone();
        numbers.map(move |number| given(number, &predicted[number], number % 4 != 0))
    };
    stage.label(labels(0..ALL / 2));
    stage
        .wait("the first labels", "SELECT count(*) FROM labels", 1)
        .await;
    let leads = |service: &Service| service.metric("tidewatch_drift_leader") == Some(1.0);
    let (doomed, left) = if leads(&one) {
        (&mut one, &mut two)
    } else {
        (&mut two, &mut one)
    };
    doomed.kill();
    stage.label(labels(ALL / 2..ALL));
    stage.wait("all labels", LABELLED, ALL as i64).await;
    assert_eq!(
        stage.number("SELECT count(*) FROM labels").await,
        ALL as i64
    );
    let read = stage.number(
        "SELECT sum(next_offset)::bigint FROM drift_positions WHERE topic NOT IN (SELECT topic FROM predictions)",
    );
    assert_eq!(read.await, ALL as i64);
    let counted = stage.number("SELECT count(*) FROM labelled_messages WHERE counted");
    assert_eq!(counted.await, ALL as i64);
    let wrong = stage.number("SELECT count(*) FROM v_labelled_messages WHERE NOT correct");
    assert_eq!(wrong.await, ALL as i64 / 4);
    // The topic goes, and the watch goes on.
    stage.desk.delete(&stage.desk.input).await;
    stage.send(100_000..100_001);
    stage
        .wait("the windows", "SELECT count(*) FROM v_drift_windows", 3)
        .await;
    assert!(left.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_alarm_is_reported_once_more_when_labels_tell_what_it_means() {
    let stage = Stage::new().await;
    let mut service = stage.config.start("one");
    service.wait_ready();
    let posts =
        (0..ALL).map(|number| Some(post(number, number >= WINDOW).to_string().into_bytes()));
    stage.kafka.send(posts);
    stage.send(100_000..100_001);
    let opened = "SELECT count(*) FROM v_drift_reports WHERE change = 'opened'";
    stage.wait("the alarm", opened, 1).await;
    stage
        .wait("the windows", "SELECT count(*) FROM v_drift_windows", 3)
        .await;
    let predicted = stage.predicted().await;
    let updated = "SELECT count(*) FROM v_drift_reports WHERE change = 'updated'";
    // A few are no all-clear.
    stage.label((WINDOW..WINDOW + 5).map(|number| given(number, &predicted[number], true)));
    stage.wait("some labels", LABELLED, 5).await;
    assert_eq!(stage.number(updated).await, 0);
    stage.label((WINDOW + 5..2 * WINDOW).map(|number| given(number, &predicted[number], true)));
    stage.wait("the update", updated, 1).await;
    stage.label((2 * WINDOW..ALL).map(|number| given(number, &predicted[number], true)));
    stage.wait("all labels", LABELLED, 2 * WINDOW as i64).await;
    let reports = stage
        .rows("SELECT change, report FROM v_drift_reports ORDER BY reported_at")
        .await;
    let changes: Vec<&str> = reports.iter().map(|row| row.get("change")).collect();
    assert_eq!(changes, ["opened", "updated"]);
    let (opened, updated): (Value, Value) = (reports[0].get("report"), reports[1].get("report"));
    assert_eq!(updated["since"], opened["since"]);
    assert_eq!(updated["measured"]["accuracy"]["value"], 1.0);
    assert!(
        updated["alarm"]["reason"]
            .as_str()
            .unwrap()
            .starts_with("Labels show"),
        "{updated}"
    );
    let config = stage.config.path();
    let config = config.to_str().unwrap();
    let said = |arguments: &[&str]| {
        let output = tidewatch(&[&["drift"], arguments, &["--config", config]].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = said(&["show"]);
    assert!(
        shown.contains("labels of window 2: right in 100.0 % of 200"),
        "{shown}"
    );
    assert!(
        shown.contains("sources of window 2: without a source drift"),
        "{shown}"
    );
    let id: String = stage
        .rows("SELECT id FROM v_drift_reports WHERE change = 'updated'")
        .await[0]
        .get("id");
    let explained = said(&["explain", &id]);
    assert!(
        explained.contains("by labels since then right: 100.0 %"),
        "{explained}"
    );
    assert!(service.terminate().success());
}
