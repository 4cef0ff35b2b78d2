//! Models that were imported: what is known of each, and what it is to the service.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgTransaction;

use super::models::{problem, problem_name};
use super::{Store, StoreError, clean};
use crate::record::{ModelVersion, Problem};

/// Most models that are listed, the latest first.
const MOST_LISTED: i64 = 10_000;

/// What a model is to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alias {
    /// It serves.
    Champion,
    /// It passed its import, and is to be compared with the champion.
    Candidate,
    /// It scores beside the champion, and is not served.
    Shadow,
    /// What a roll-back returns to.
    Previous,
}

impl Alias {
    pub const ALL: [Self; 4] = [
        Self::Champion,
        Self::Candidate,
        Self::Shadow,
        Self::Previous,
    ];

    /// As it stands in the tables and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Candidate => "candidate",
            Self::Shadow => "shadow",
            Self::Previous => "previous",
        }
    }

    /// The alias of a name, if it is one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alias| alias.name() == name)
    }
}

/// What is to be written down of a bundle that was imported.
#[derive(Debug, Clone)]
pub struct Import<'a> {
    pub model: &'a ModelVersion,
    pub name: &'a str,
    /// Version of the bundle that it was trained from.
    pub parent: Option<&'a str>,
    /// Version of the code that wrote it.
    pub code_version: &'a str,
    /// Size of all its files.
    pub bytes: u64,
    /// Where it came from.
    pub origin: &'a str,
    pub by: &'a str,
    pub manifest: Value,
}

/// A model as the tables have it.
#[derive(Debug, Clone, PartialEq)]
pub struct RegisteredModel {
    pub id: i32,
    pub version: String,
    /// In the order of its probabilities.
    pub labels: Vec<String>,
    pub problem: Problem,
    /// When it first scored something.
    pub first_seen: Option<DateTime<Utc>>,
    /// What its import has left; nothing for a model that was only seen to score.
    pub imported: Option<Imported>,
    pub aliases: Vec<Alias>,
}

/// What an import leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    pub at: DateTime<Utc>,
    pub by: String,
    pub name: String,
    pub parent: Option<String>,
    pub code_version: String,
    pub bytes: u64,
    pub origin: String,
    pub manifest: Value,
    /// When its bundle was removed again.
    pub removed: Option<DateTime<Utc>>,
}

impl RegisteredModel {
    /// Whether its bundle was imported and is still kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.imported
            .as_ref()
            .is_some_and(|imported| imported.removed.is_none())
    }
}

/// Who has an alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasOf {
    pub alias: Alias,
    pub version: String,
    pub since: DateTime<Utc>,
    pub by: String,
    pub reason: String,
}

impl Store {
    /// All that is known of a model.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn registered(&self, version: &str) -> Result<Option<RegisteredModel>, StoreError> {
        Ok(self.models_where(Some(version)).await?.pop())
    }

    /// Every model that was imported or has scored something, the latest first.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn all_models(&self) -> Result<Vec<RegisteredModel>, StoreError> {
        self.models_where(None).await
    }

    async fn models_where(
        &self,
        version: Option<&str>,
    ) -> Result<Vec<RegisteredModel>, StoreError> {
        let rows = sqlx::query!(
            r#"SELECT id, version, labels, problem, first_seen, name, parent, code_version, bytes, origin, imported_at,
                      imported_by, removed_at, manifest,
                      ARRAY(SELECT alias FROM model_aliases a WHERE a.model = m.id) AS "aliases!"
                 FROM models m
                WHERE $1::text IS NULL OR version = $1
                ORDER BY coalesce(imported_at, first_seen) DESC, id DESC LIMIT $2"#,
            version,
            MOST_LISTED,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let mut aliases: Vec<Alias> = row
                    .aliases
                    .iter()
                    .filter_map(|name| Alias::parse(name))
                    .collect();
                aliases.sort();
                RegisteredModel {
                    id: row.id,
                    version: row.version,
                    labels: row.labels,
                    problem: problem(&row.problem),
                    first_seen: row.first_seen,
                    // The columns are filled together: a constraint sees to it.
                    imported: row.imported_at.map(|at| Imported {
                        at,
                        by: row.imported_by.unwrap_or_default(),
                        name: row.name.unwrap_or_default(),
                        parent: row.parent,
                        code_version: row.code_version.unwrap_or_default(),
                        bytes: row.bytes.unwrap_or_default().unsigned_abs(),
                        origin: row.origin.unwrap_or_default(),
                        manifest: row.manifest.unwrap_or_default(),
                        removed: row.removed_at,
                    }),
                    aliases,
                }
            })
            .collect())
    }

    /// Up to two versions that begin so: more than one means that it says too little.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn versions_from(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar!(
            "SELECT version FROM models WHERE starts_with(version, $1) ORDER BY version LIMIT 2",
            prefix,
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// A model's ancestors as far as they are known, its parent first.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn lineage(&self, version: &str) -> Result<Vec<String>, StoreError> {
        let line = sqlx::query_scalar!(
            r#"WITH RECURSIVE line (version, depth) AS (
                   SELECT parent, 1 FROM models WHERE version = $1 AND parent IS NOT NULL
                   UNION ALL
                   SELECT m.parent, line.depth + 1 FROM line JOIN models m ON m.version = line.version
                    WHERE m.parent IS NOT NULL AND line.depth < 1000)
               SELECT version AS "version!" FROM line ORDER BY depth"#,
            version,
        );
        Ok(line.fetch_all(&self.pool).await?)
    }

    /// Writes down that a bundle was imported, once: `false` where that stands there already.
    ///
    /// # Errors
    ///
    /// The database does not answer; asking again is safe.
    pub async fn register(&self, import: &Import<'_>) -> Result<bool, StoreError> {
        let model = import.model;
        let labels: Vec<_> = model
            .labels
            .iter()
            .map(|label| clean::name(label))
            .collect();
        let by = clean::name(import.by);
        let origin = clean::text(import.origin);
        let parent = import.parent.map(clean::name);
        let mut transaction = self.pool.begin().await?;
        let id = sqlx::query_scalar!(
            "INSERT INTO models (version, labels, problem, first_seen, name, parent, code_version, bytes, origin, imported_at,
                                 imported_by, manifest)
             VALUES ($1, $2, $3, NULL, $4, $5, $6, $7, $8, now(), $9, $10)
             ON CONFLICT (version) DO UPDATE
                SET name = excluded.name, parent = excluded.parent, code_version = excluded.code_version,
                    bytes = excluded.bytes, origin = excluded.origin, imported_at = excluded.imported_at,
                    imported_by = excluded.imported_by, manifest = excluded.manifest, removed_at = NULL
              WHERE models.imported_at IS NULL OR models.removed_at IS NOT NULL
             RETURNING id",
            model.version,
            labels as _,
            problem_name(model.problem),
            &*clean::name(import.name),
            parent.as_deref(),
            &*clean::name(import.code_version),
            i64::try_from(import.bytes).unwrap_or(i64::MAX),
            &*origin,
            &*by,
            clean::json(&import.manifest),
        )
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(id) = id {
            sqlx::query!(
                "INSERT INTO deployments (what, model, by_whom, reason, detail) VALUES ('import', $1, $2, $3, '{}')",
                id,
                &*by,
                format!("from {origin}"),
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(id.is_some())
    }

    /// Who has which alias.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn aliases(&self) -> Result<Vec<AliasOf>, StoreError> {
        let rows = sqlx::query!(
            "SELECT a.alias, m.version, a.since, a.by_whom, a.reason
               FROM model_aliases a JOIN models m ON m.id = a.model ORDER BY a.alias"
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                Some(AliasOf {
                    alias: Alias::parse(&row.alias)?,
                    version: row.version,
                    since: row.since,
                    by: row.by_whom,
                    reason: row.reason,
                })
            })
            .collect())
    }
}

/// A model that may be given an alias.
pub(super) struct Kept {
    pub(super) id: i32,
    pub(super) labels: Vec<String>,
    pub(super) problem: String,
}

/// The model of a version, if its bundle is kept.
pub(super) async fn kept(
    transaction: &mut PgTransaction<'_>,
    version: &str,
) -> Result<Option<Kept>, StoreError> {
    Ok(sqlx::query_as!(
        Kept,
        "SELECT id, labels, problem FROM models WHERE version = $1 AND imported_at IS NOT NULL AND removed_at IS NULL",
        version,
    )
    .fetch_optional(&mut **transaction)
    .await?)
}
