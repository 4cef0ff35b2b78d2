//! A database of a test's own.

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};

use super::{server, unique};

/// An empty database on the server named by `DATABASE_URL`, dropped with this value.
pub struct TestDatabase {
    pub name: String,
    pub url: String,
    admin: String,
}

impl TestDatabase {
    /// Creates the database.
    pub async fn new() -> Self {
        let admin = server("DATABASE_URL");
        let name = unique("tidewatch_test");
        let mut connection = PgConnection::connect(&admin)
            .await
            .expect("Postgres answers");
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await
            .expect("a database can be created");
        Self {
            url: with_database(&admin, &name),
            name,
            admin,
        }
    }

    /// A pool for looking at what the service wrote.
    pub async fn pool(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(4)
            .connect(&self.url)
            .await
            .expect("the test's database answers")
    }
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (head, query) = url
        .split_once('?')
        .map_or((url, None), |(head, query)| (head, Some(query)));
    let authority = head.find("://").map_or(0, |at| at + 3);
    let base = head[authority..]
        .find('/')
        .map_or(head, |at| &head[..authority + at]);
    match query {
        Some(query) => format!("{base}/{name}?{query}"),
        None => format!("{base}/{name}"),
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A drop may run inside a test's runtime, so the clean-up gets a thread and a runtime of its own.
        let (admin, name) = (self.admin.clone(), self.name.clone());
        let cleaned = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .is_ok_and(|runtime| {
                    runtime.block_on(async {
                        let Ok(mut connection) = PgConnection::connect(&admin).await else {
                            return false;
                        };
                        sqlx::query(sqlx::AssertSqlSafe(format!(
                            "DROP DATABASE {name} WITH (FORCE)"
                        )))
                        .execute(&mut connection)
                        .await
                        .is_ok()
                    })
                })
        })
        .join();
        if !matches!(cleaned, Ok(true)) {
            eprintln!("the database {} could not be dropped", self.name);
        }
    }
}
