//! The views keep what docs/dashboards.md promises of them.

use serde_json::json;
use sqlx::{AssertSqlSafe, Row};
use tidewatch::labels::Sampling;
use tidewatch::record::Outcome;
use tidewatch::store::{Begun, Change, Import, NewDecision, NewTraining, Swap};

use super::{Fixture, chunk, dead, messages, model};

const PAGE: &str = include_str!("../../../docs/dashboards.md");

/// The blocks of SQL on the page, in their order.
fn blocks() -> Vec<&'static str> {
    let blocks = PAGE.split("```sql\n").skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// Today's messages and dead letters, in their days' partitions.
async fn filled() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.store.maintain(chrono::Utc::now()).await.unwrap();
    let epochs = fixture.claim(&[0]).await;
    let mut outcomes = messages(0..60);
    outcomes.extend((60..65).map(|offset| Outcome::Dead(dead(0, offset))));
    fixture
        .store
        .write_chunk(&chunk(outcomes), &epochs)
        .await
        .unwrap();
    super::watching::judge_a_window(&fixture).await;
    super::labelling::label_a_message(&fixture).await;
    promote_the_model(&fixture).await;
    super::annotating::ask(&fixture, &[1, 2], Sampling::Random).await;
    train_a_model(&fixture).await;
    super::rolling::begin(&fixture).await;
    fixture
}

/// A training is under way.
async fn train_a_model(fixture: &Fixture) {
    let lock = fixture.store.lock_training().await.unwrap().unwrap();
    let new = NewTraining {
        fingerprint: "f",
        cause: json!({"cause": "labels", "new": 5}),
        champion: Some("m1"),
        reasons: &["there are 5 new labels".to_owned()],
        dataset: json!({}),
        by: "me",
        label_mark: 5,
        decision: None,
    };
    let begun = fixture.store.begin_training(&lock, &new).await;
    assert!(matches!(begun.unwrap(), Begun::Claimed(_)));
    decide(fixture).await;
}

/// Somebody has asked for a training, and it was decided to wait.
async fn decide(fixture: &Fixture) {
    let store = &fixture.store;
    let asked = store
        .request_training("ann", "why not", false)
        .await
        .unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let lease = store
        .lease("controller", "me", hour)
        .await
        .unwrap()
        .unwrap();
    let new = NewDecision {
        action: "wait",
        dry_run: false,
        champion: "m1",
        cause: json!({"cause": "labels"}),
        fingerprint: Some("f"),
        reasons: json!([{"reason": "nothing_new"}]),
        sentences: json!(["Nothing is new."]),
        situation: json!({}),
        by: "me",
        answers: &[asked],
    };
    let id = store.record_decision(&lease, &new).await.unwrap().unwrap();
    store.settle_decision(id, "nothing", true).await.unwrap();
}

/// The model has been imported, is champion, and is loaded by an instance.
async fn promote_the_model(fixture: &Fixture) {
    let model = model("m1");
    let import = Import {
        model: &model,
        name: "small",
        parent: None,
        code_version: "0",
        bytes: 1,
        origin: "here",
        by: "me",
        manifest: json!({"metrics": {"accuracy": {"value": 0.7, "interval": null}}}),
    };
    assert!(fixture.store.register(&import).await.unwrap());
    let change = Change {
        by: "me",
        reason: "the first",
        detail: json!({}),
        lease: None,
    };
    let swap = fixture.store.promote(&model.version, None, &change).await;
    assert_eq!(swap.unwrap(), Swap::Done { before: None });
    let id = fixture.store.model_id(&model).await.unwrap();
    fixture.store.serving("one", id).await.unwrap();
}

#[tokio::test]
async fn every_query_of_the_page_runs_as_the_role_that_the_page_makes() {
    let fixture = filled().await;
    let blocks = blocks();
    assert!(blocks.len() > 8 && blocks[0].contains("CREATE ROLE dashboards"));
    // Roles belong to the whole server, so all of it is rolled back.
    let mut transaction = fixture.pool.begin().await.unwrap();
    sqlx::raw_sql(blocks[0])
        .execute(&mut *transaction)
        .await
        .unwrap();
    sqlx::raw_sql("SET LOCAL ROLE dashboards")
        .execute(&mut *transaction)
        .await
        .unwrap();
    for sql in &blocks[1..] {
        let rows = sqlx::query(*sql).fetch_all(&mut *transaction).await;
        let rows = rows.unwrap_or_else(|error| panic!("{error}:\n{sql}"));
        // These ask for what the few messages here are not.
        let empty = ["1729", "> 0.9", ">= 50"]
            .iter()
            .any(|rare| sql.contains(rare));
        assert_eq!(rows.is_empty(), empty, "{sql}");
    }
    let denied = sqlx::query("SELECT FROM predictions")
        .execute(&mut *transaction)
        .await;
    assert!(
        denied
            .unwrap_err()
            .to_string()
            .contains("permission denied")
    );
}

#[tokio::test]
async fn the_page_lists_every_column_of_every_view() {
    let fixture = Fixture::new().await;
    let columns = sqlx::query(
        "SELECT table_name::text AS view, column_name::text AS column FROM information_schema.columns
          WHERE table_schema = 'public' AND table_name LIKE 'v\\_%'",
    )
    .fetch_all(&fixture.pool)
    .await
    .unwrap();
    assert!(columns.len() > 30);
    for row in columns {
        let (view, column): (String, String) = (row.get("view"), row.get("column"));
        let (_, section) = PAGE.split_once(&format!("## {view}:")).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let listed = section
            .lines()
            .filter(|line| line.starts_with("| `"))
            .any(|line| {
                line.split('|')
                    .nth(1)
                    .unwrap()
                    .contains(&format!("`{column}`"))
            });
        assert!(listed, "{view}.{column}");
    }
}

#[tokio::test]
async fn ranges_of_time_are_read_by_the_keys_and_partitions_that_the_page_names() {
    let fixture = filled().await;
    let plan = async |sql: &str| {
        let mut transaction = fixture.pool.begin().await.unwrap();
        // The tables are too small for an index to pay.
        sqlx::raw_sql("SET LOCAL enable_seqscan = off")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN {sql}")))
            .fetch_all(&mut *transaction)
            .await
            .unwrap();
        lines.join("\n")
    };
    let series =
        plan("SELECT * FROM v_sentiment_minute WHERE minute >= now() - interval '1 day'").await;
    assert!(series.contains("sentiment_minute_pkey"), "{series}");
    let now = chrono::Utc::now();
    let (today, tomorrow) = (now.date_naive(), (now + chrono::Days::new(1)).date_naive());
    let day = plan(&format!(
        "SELECT label FROM v_predictions WHERE kafka_time >= '{today}Z' AND kafka_time < '{tomorrow}Z' AND event_time >= '{today}Z'"
    ))
    .await;
    // One day, and neither another nor the default partition.
    assert_eq!(day.matches("on predictions_").count(), 1, "{day}");
    let event = plan(&format!(
        "SELECT label FROM v_predictions WHERE event_time >= '{today}Z'"
    ))
    .await;
    assert!(
        event.contains("event_time_idx") && !event.contains("Seq Scan"),
        "{event}"
    );
    let message = plan(r#"SELECT label FROM v_predictions WHERE topic = 'posts' AND "partition" = 3 AND "offset" = 1729"#).await;
    assert!(
        message.contains("_pkey") && !message.contains("Seq Scan on predictions"),
        "{message}"
    );
}
