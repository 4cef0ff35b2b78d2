//! The schema: bringing it up to date.

use sqlx::Connection;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;

use super::{Store, StoreError};

/// The migrations of this version, embedded in the program.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!();

impl Store {
    /// Brings the schema up to date; what is already there stays. Safe to run from several places at once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] where the database was migrated by a newer version, or by a changed migration.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        // A connection of its own, closed whatever happens: migrations run under a lock of the session, and may take
        // longer than the pool's connections allow a statement.
        let mut connection = PgConnection::connect_with(&self.options).await?;
        let result = MIGRATIONS.run_direct(None, &mut connection, false).await;
        let closed = connection.close().await;
        result.map_err(from_migration)?;
        closed.map_err(StoreError::from)
    }
}

fn from_migration(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(error) => error.into(),
        MigrateError::ExecuteMigration(error, version) => match StoreError::from(error) {
            StoreError::Other { problem, .. } => StoreError::schema(format!(
                "migration {version} failed, and the schema is as it was: {problem}"
            )),
            known => known,
        },
        MigrateError::VersionMissing(version) => newer(version),
        MigrateError::VersionMismatch(version) => changed(version),
        other => StoreError::schema(format!("the schema cannot be brought up to date: {other}")),
    }
}

pub(super) fn newer(version: i64) -> StoreError {
    StoreError::schema(format!(
        "the database was set up by a newer version (migration {version}): run that version, or newer"
    ))
}

pub(super) fn changed(version: i64) -> StoreError {
    StoreError::schema(format!(
        "migration {version} of the database differs from the one in this program: it was set up by another build, \
         so use an empty database"
    ))
}
