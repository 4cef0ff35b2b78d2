//! A database restored from a backup catches up.

use serde_json::json;
use sqlx::{Executor, Row};

use super::{LONG, assert_same, clean, dump, faults, posts};
use crate::harness::{Kafka, ServiceConfig, TestDatabase, eventually};

/// What a backup holds.
const TABLES: [&str; 5] = [
    "models",
    "partition_epochs",
    "predictions",
    "dead_letters",
    "sentiment_minute",
];

fn wait_committed(kafka: &Kafka, sent: usize) {
    let sent = i64::try_from(sent).unwrap();
    eventually("everything to be committed", LONG, || {
        (kafka.committed() >= sent).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_from_a_backup_catches_up_beside_the_running_service() {
    let (kafka, database) = (Kafka::new(2).await, TestDatabase::new().await);
    let config = ServiceConfig::new(&kafka, &database, "");
    config.migrate();
    let pool = database.pool().await;
    let mut first = config.start("one");
    let mut sent = kafka.send(posts(100));
    wait_committed(&kafka, sent);
    pool.execute("CREATE SCHEMA backup").await.unwrap();
    for table in TABLES {
        let copy = format!("CREATE TABLE backup.{table} AS TABLE {table}");
        pool.execute(sqlx::AssertSqlSafe(copy)).await.unwrap();
    }
    // Epochs are given out that the backup knows nothing of.
    assert!(first.terminate().success());
    let mut second = config.start("two");
    sent += kafka.send(posts(200));
    wait_committed(&kafka, sent);
    let whole = dump(&pool).await;
    assert_eq!(config.verify(&[]), (0, clean(sent)));

    let mut restore = pool.begin().await.unwrap();
    for table in TABLES {
        let statements = format!(
            "DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM backup.{table}"
        );
        restore
            .execute(sqlx::AssertSqlSafe(statements))
            .await
            .unwrap();
    }
    restore.commit().await.unwrap();
    let (code, said) = config.verify(&[]);
    assert_eq!((code, faults(&said)), (1, [200, 0, 0, 0, 0]), "{said}");

    let (code, said) = config.verify(&["--repair"]);
    let repaired = &said["repaired"];
    assert_eq!((code, &repaired["rows"]), (0, &json!(200)), "{said}");
    assert_eq!(repaired["behind"].as_array().unwrap().len(), 2, "{said}");
    assert_same(
        &whole,
        &dump(&pool).await,
        "the restored database is as it was",
    );

    // Whoever held an epoch is fenced, and goes on after claiming anew.
    let epochs: Vec<i64> = sqlx::query("SELECT epoch FROM partition_epochs")
        .fetch_all(&pool)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(
        epochs.iter().all(|&epoch| epoch > 1_000_000_000_000),
        "{epochs:?}"
    );
    sent += kafka.send(posts(100));
    wait_committed(&kafka, sent);
    assert!(
        second
            .log()
            .contains("has been claimed by another instance")
    );
    assert_eq!(config.verify(&["--wait-settled", "30"]), (0, clean(sent)));
    assert!(second.terminate().success());
    pool.close().await;
}
