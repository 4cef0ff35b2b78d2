//! What is wrong with a database is said in sentences, and never with a password in them.

use sqlx::AssertSqlSafe;
use tidewatch::store::config::StoreConfig;
use tidewatch::store::{Store, StoreError};

use super::{Fixture, config};
use crate::harness::{TestDatabase, unique};

/// Runs a script on the fixture's database.
async fn run(fixture: &Fixture, sql: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(sql.into()))
        .execute(&fixture.pool)
        .await
        .unwrap();
}

/// The one fault that the store finds.
async fn fault(store: &Store) -> String {
    let mut faults = store.check().await.unwrap().faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

/// The URL with another user and password.
fn login(url: &str, user: &str, password: &str) -> String {
    let (_, rest) = url.split_once('@').unwrap();
    format!("postgres://{user}:{password}@{rest}")
}

async fn refusal(config: &StoreConfig) -> StoreError {
    Store::connect(config).await.unwrap_err()
}

#[tokio::test]
async fn a_migrated_database_has_no_fault() {
    let fixture = Fixture::new().await;
    assert_eq!(
        fixture.store.check().await.unwrap().faults,
        Vec::<String>::new()
    );
    fixture.store.maintain(chrono::Utc::now()).await.unwrap();
    assert_eq!(
        fixture.store.check().await.unwrap().faults,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn migrations_may_run_twice_and_at_once() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&config(&database.url)).await.unwrap();
    let (one, two, three) = tokio::join!(store.migrate(), store.migrate(), store.migrate());
    for result in [one, two, three, store.migrate().await] {
        result.unwrap();
    }
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    store.require_schema().await.unwrap();
}

#[tokio::test]
async fn a_schema_that_is_missing_older_newer_or_changed_is_named() {
    let database = TestDatabase::new().await;
    let store = Store::connect(&config(&database.url)).await.unwrap();
    assert!(
        fault(&store)
            .await
            .contains("no schema yet: run `tidewatch migrate`")
    );
    let error = store.require_schema().await.unwrap_err();
    assert!(matches!(error, StoreError::Schema { .. }), "{error}");
    let error = store
        .claim("test", &[super::partition(0)])
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Schema { .. }), "{error}");
    assert!(
        error.to_string().contains("run `tidewatch migrate`"),
        "{error}"
    );

    let fixture = Fixture::new().await;
    run(
        &fixture,
        "INSERT INTO _sqlx_migrations VALUES (9999, 'later', now(), true, '', 0)",
    )
    .await;
    assert!(
        fault(&fixture.store)
            .await
            .contains("newer version (migration 9999)")
    );
    let error = fixture.store.migrate().await.unwrap_err();
    assert!(
        error.to_string().contains("newer version (migration 9999)"),
        "{error}"
    );

    run(&fixture, "DELETE FROM _sqlx_migrations WHERE version > 1").await;
    assert!(
        fault(&fixture.store)
            .await
            .contains("migration 2 is missing")
    );

    run(&fixture, "UPDATE _sqlx_migrations SET checksum = 'x'").await;
    assert!(
        fault(&fixture.store)
            .await
            .contains("migration 1 of the database differs")
    );
    let error = fixture.store.migrate().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("migration 1 of the database differs"),
        "{error}"
    );
}

#[tokio::test]
async fn each_missing_right_is_named_with_the_statement_that_grants_it() {
    let fixture = Fixture::new().await;
    let role = unique("role");
    run(
        &fixture,
        format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'p'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
             GRANT INSERT, DELETE ON predictions TO {role}; GRANT INSERT, UPDATE ON models TO {role}"
        ),
    )
    .await;
    let url = login(&fixture.database.url, &role, "p");
    let store = Store::connect(&config(&url)).await.unwrap();
    let faults = store.check().await.unwrap().faults.join("\n");
    for expected in [
        format!("GRANT INSERT, UPDATE ON partition_epochs TO {role}"),
        format!("GRANT INSERT, DELETE ON dead_letters TO {role}"),
        format!("GRANT INSERT, UPDATE, DELETE ON sentiment_minute TO {role}"),
        format!("GRANT INSERT, UPDATE ON leases TO {role}"),
        format!("GRANT INSERT, UPDATE, DELETE ON labels TO {role}"),
        format!(
            "does not own predictions, so it cannot make its daily partitions: GRANT tidewatch TO {role}"
        ),
        format!("GRANT CREATE ON SCHEMA public TO {role}"),
    ] {
        assert!(faults.contains(&expected), "{expected}:\n{faults}");
    }
    assert!(
        !faults.contains("ON models") && !faults.contains("ON predictions TO"),
        "{faults}"
    );
    let error = store
        .claim("test", &[super::partition(0)])
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Denied { .. }), "{error}");

    // A member of the owning role may do everything.
    run(&fixture, format!("GRANT tidewatch TO {role}")).await;
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());
    store.maintain(chrono::Utc::now()).await.unwrap();
    store.close().await;
    run(
        &fixture,
        format!("REASSIGN OWNED BY {role} TO tidewatch; DROP OWNED BY {role}; DROP ROLE {role}"),
    )
    .await;
}

#[tokio::test]
async fn a_database_that_is_read_only_is_named() {
    let fixture = Fixture::new().await;
    let name = &fixture.database.name;
    run(
        &fixture,
        format!("ALTER DATABASE {name} SET default_transaction_read_only = on"),
    )
    .await;
    let store = Store::connect(&config(&fixture.database.url))
        .await
        .unwrap();
    assert!(
        fault(&store)
            .await
            .contains("default_transaction_read_only")
    );
    let error = store
        .claim("test", &[super::partition(0)])
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_commit_that_does_not_wait_for_the_disk_is_refused_by_name() {
    let database = TestDatabase::new().await;
    for (option, refused) in [
        ("options=-c%20synchronous_commit%3Doff", true),
        ("options[synchronous_commit]=off", true),
        ("options=-csynchronous_commit=OFF", true),
        ("options[synchronous_commit]=remote_apply", false),
    ] {
        let url = format!("{}?{option}", database.url);
        let result = Store::connect(&config(&url)).await;
        match result {
            Err(error) => assert!(
                refused && error.to_string().contains("synchronous_commit"),
                "{option}: {error}"
            ),
            Ok(_) => assert!(!refused, "{option} was not refused"),
        }
    }
}

#[tokio::test]
async fn a_wrong_url_login_or_database_is_told_from_a_server_that_is_down() {
    let database = TestDatabase::new().await;
    let url = |text: String| config(&text);
    let wrong_password = url(login(&database.url, "tidewatch", "s3cret"));
    let error = refusal(&wrong_password).await;
    assert!(matches!(error, StoreError::Denied { .. }), "{error}");
    assert!(error.to_string().contains("[postgres] url"), "{error}");

    let error = refusal(&url(format!("{}_no", database.url))).await;
    assert!(error.to_string().contains("no such database"), "{error}");

    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = refusal(&url(format!("postgres://u:s3cret@127.0.0.1:{port}/x"))).await;
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains(&port.to_string()), "{error}");
}

#[tokio::test]
async fn no_error_and_no_debug_output_shows_the_password() {
    let database = TestDatabase::new().await;
    for url in [
        "postgres://u:s3cret@[broken/x".to_owned(),
        "postgres://u:s3cret@localhost:99999/x".to_owned(),
        "mysql://u:s3cret@localhost/x".to_owned(),
        "postgres://u:s3cret@127.0.0.1:1/x?sslmode=odd".to_owned(),
        login(&database.url, "tidewatch", "s3cret"),
    ] {
        let error = refusal(&config(&url)).await;
        let shown = format!("{error} {error:?} {:?}", config(&url));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
    let store = Store::connect(&config(&database.url)).await.unwrap();
    let password = database.url.split([':', '@']).nth(2).unwrap();
    assert!(!format!("{store:?}").contains(password));
}
