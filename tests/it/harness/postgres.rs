//! A database of a test's own.

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};

use super::{server, unique};

/// An empty database on the server named by `DATABASE_URL`, dropped with this value.
pub struct TestDatabase {
    pub name: String,
    pub url: String,
    /// The server that it must be dropped from; nothing where it goes with its server.
    admin: Option<String>,
}

impl TestDatabase {
    /// Creates the database.
    pub async fn new() -> Self {
        let admin = server("DATABASE_URL");
        let mut database = Self::on(&admin, "").await;
        database.admin = Some(admin);
        database
    }

    /// Creates the database on a server of the test's own, with further options of `CREATE DATABASE`.
    pub async fn on(url: &str, options: &str) -> Self {
        let name = unique("tidewatch_test");
        let mut connection = PgConnection::connect(url).await.expect("Postgres answers");
        let statement = format!("CREATE DATABASE {name} {options}");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .expect("a database can be created");
        Self {
            url: with_database(url, &name),
            name,
            admin: None,
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
        let Some(admin) = self.admin.clone() else {
            return;
        };
        // A drop may run inside a test's runtime, so the clean-up gets a thread and a runtime of its own.
        let name = self.name.clone();
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
