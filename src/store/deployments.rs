//! Which model serves: aliases changed in one transaction each, and everything that was ever done with models.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgTransaction;

use super::leases::{self, Lease};
use super::registry::{Alias, Kept, kept};
use super::{Store, StoreError, clean};

/// Who changes something, and why.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    pub by: &'a str,
    pub reason: &'a str,
    /// What it rests on, for the history.
    pub detail: Value,
    /// The duty by which an instance does it: it is refused once another has that. By hand none is needed.
    pub lease: Option<&'a Lease>,
}

/// What became of a change of aliases. Where it is not `Done`, nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// Who had the alias until then.
    Done { before: Option<String> },
    /// It was so already.
    Unchanged,
    /// Another change came first: the champion is not the one that the caller has seen.
    Moved { champion: Option<String> },
    /// The model was never imported, or its bundle was removed.
    NotImported,
    /// Its labels or its kind of problem are not the champion's.
    OtherLabels {
        labels: Vec<String>,
        champion: Vec<String>,
    },
    /// There is nothing to return to.
    NoPrevious,
    /// The duty has passed to another instance.
    LeaseLost,
}

/// Something that was done with a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    pub number: i64,
    pub at: DateTime<Utc>,
    /// `import`, `promote`, `rollback`, `alias`, `unalias` or `remove`.
    pub what: String,
    pub alias: Option<String>,
    pub version: String,
    /// Who had the alias until then.
    pub before: Option<String>,
    pub by: String,
    pub reason: String,
    pub detail: Value,
}

impl Store {
    /// Makes a model the champion and the champion the previous one, if the champion is still `seen`. A candidate or shadow
    /// that becomes champion is that no longer.
    ///
    /// # Errors
    ///
    /// The database does not answer. Then it may have been done all the same: read [`Store::aliases`] before asking again.
    pub async fn promote(
        &self,
        version: &str,
        seen: Option<&str>,
        change: &Change<'_>,
    ) -> Result<Swap, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !begin(&mut transaction, change).await? {
            return Ok(Swap::LeaseLost);
        }
        let champion = holder(&mut transaction, Alias::Champion).await?;
        if version_of(champion.as_ref()) != seen {
            return Ok(Swap::Moved {
                champion: champion.map(|holder| holder.version),
            });
        }
        let Some(model) = kept(&mut transaction, version).await? else {
            return Ok(Swap::NotImported);
        };
        if let Some(swap) = unlike(&model, champion.as_ref()) {
            return Ok(swap);
        }
        let before = champion.as_ref().map(|champion| champion.id);
        if before == Some(model.id) {
            return Ok(Swap::Unchanged);
        }
        self.crown(transaction, "promote", model.id, before, change)
            .await?;
        Ok(Swap::Done {
            before: champion.map(|champion| champion.version),
        })
    }

    /// Makes the previous model the champion, and the champion the previous one, if the champion is still `seen`.
    ///
    /// # Errors
    ///
    /// As [`Store::promote`].
    pub async fn rollback(
        &self,
        seen: Option<&str>,
        change: &Change<'_>,
    ) -> Result<Swap, StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !begin(&mut transaction, change).await? {
            return Ok(Swap::LeaseLost);
        }
        let champion = holder(&mut transaction, Alias::Champion).await?;
        if version_of(champion.as_ref()) != seen {
            return Ok(Swap::Moved {
                champion: champion.map(|holder| holder.version),
            });
        }
        let previous = holder(&mut transaction, Alias::Previous).await?;
        let (Some(champion), Some(previous)) = (champion, previous) else {
            return Ok(Swap::NoPrevious);
        };
        if kept(&mut transaction, &previous.version).await?.is_none() {
            return Ok(Swap::NotImported);
        }
        self.crown(
            transaction,
            "rollback",
            previous.id,
            Some(champion.id),
            change,
        )
        .await?;
        Ok(Swap::Done {
            before: Some(champion.version),
        })
    }

    /// Gives an alias to a model, or takes it away. The champion and the previous one change by [`Store::promote`] and
    /// [`Store::rollback`] only, and a champion is neither candidate nor shadow.
    ///
    /// # Errors
    ///
    /// As [`Store::promote`].
    ///
    /// # Panics
    ///
    /// For the champion and the previous one.
    pub async fn set_alias(
        &self,
        alias: Alias,
        version: Option<&str>,
        change: &Change<'_>,
    ) -> Result<Swap, StoreError> {
        assert!(
            matches!(alias, Alias::Candidate | Alias::Shadow),
            "the champion and the previous one change by promotion and roll-back"
        );
        let mut transaction = self.pool.begin().await?;
        if !begin(&mut transaction, change).await? {
            return Ok(Swap::LeaseLost);
        }
        let before = holder(&mut transaction, alias).await?;
        let before_id = before.as_ref().map(|holder| holder.id);
        let champion = holder(&mut transaction, Alias::Champion).await?;
        let model = match version {
            Some(version) => match kept(&mut transaction, version).await? {
                None => return Ok(Swap::NotImported),
                Some(model) => {
                    if let Some(swap) = unlike(&model, champion.as_ref()) {
                        return Ok(swap);
                    }
                    Some(model.id)
                }
            },
            None => None,
        };
        let serves = champion.is_some_and(|champion| Some(champion.id) == model);
        if before_id == model || serves {
            return Ok(Swap::Unchanged);
        }
        let (what, of) = match (model, before_id) {
            (Some(model), _) => {
                give(&mut transaction, alias, model, change).await?;
                ("alias", model)
            }
            (None, Some(before)) => {
                take(&mut transaction, alias).await?;
                ("unalias", before)
            }
            (None, None) => return Ok(Swap::Unchanged),
        };
        note(&mut transaction, what, Some(alias), (of, before_id), change).await?;
        transaction.commit().await?;
        Ok(Swap::Done {
            before: before.map(|holder| holder.version),
        })
    }

    /// What was done, the latest first, with all models or with one.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub async fn history(
        &self,
        version: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Deployment>, StoreError> {
        Ok(sqlx::query_as!(
            Deployment,
            r#"SELECT d.number, d.at, d.what, d.alias, m.version, b.version AS "before?", d.by_whom AS by, d.reason, d.detail
                 FROM deployments d JOIN models m ON m.id = d.model LEFT JOIN models b ON b.id = d.before
                WHERE $1::text IS NULL OR m.version = $1 OR b.version = $1
                ORDER BY d.number DESC LIMIT $2"#,
            version,
            i64::from(limit),
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Makes a model the champion and ends the transaction.
    async fn crown(
        &self,
        mut transaction: PgTransaction<'_>,
        what: &str,
        model: i32,
        before: Option<i32>,
        change: &Change<'_>,
    ) -> Result<(), StoreError> {
        let dropped = sqlx::query_scalar!(
            "DELETE FROM model_aliases WHERE model = $1 AND alias IN ('candidate', 'shadow') RETURNING alias",
            model
        )
        .fetch_all(&mut *transaction)
        .await?;
        give(&mut transaction, Alias::Champion, model, change).await?;
        if let Some(before) = before {
            give(&mut transaction, Alias::Previous, before, change).await?;
        }
        let mut change = change.clone();
        if !dropped.is_empty()
            && let Some(detail) = change.detail.as_object_mut()
        {
            detail.insert("was".to_owned(), json!(dropped));
        }
        let alias = Some(Alias::Champion);
        note(&mut transaction, what, alias, (model, before), &change).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Who has an alias.
pub(super) struct Holder {
    pub(super) id: i32,
    pub(super) version: String,
    pub(super) labels: Vec<String>,
    pub(super) problem: String,
}

fn version_of(holder: Option<&Holder>) -> Option<&str> {
    holder.map(|holder| holder.version.as_str())
}

/// The refusal of a model whose results would not mean what the champion's do.
fn unlike(model: &Kept, champion: Option<&Holder>) -> Option<Swap> {
    let champion = champion?;
    (model.labels != champion.labels || model.problem != champion.problem).then(|| {
        Swap::OtherLabels {
            labels: model.labels.clone(),
            champion: champion.labels.clone(),
        }
    })
}

/// Makes sure that nobody else changes aliases before the transaction has ended; `false` where the duty was lost.
pub(super) async fn begin(
    transaction: &mut PgTransaction<'_>,
    change: &Change<'_>,
) -> Result<bool, StoreError> {
    if let Some(lease) = change.lease
        && !leases::hold(transaction, lease).await?
    {
        return Ok(false);
    }
    sqlx::query!("LOCK TABLE model_aliases IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut **transaction)
        .await?;
    Ok(true)
}

/// Who is champion; call it after [`begin`].
pub(super) async fn champion(
    transaction: &mut PgTransaction<'_>,
) -> Result<Option<Holder>, StoreError> {
    holder(transaction, Alias::Champion).await
}

async fn holder(
    transaction: &mut PgTransaction<'_>,
    alias: Alias,
) -> Result<Option<Holder>, StoreError> {
    Ok(sqlx::query_as!(
        Holder,
        "SELECT m.id, m.version, m.labels, m.problem FROM model_aliases a JOIN models m ON m.id = a.model WHERE a.alias = $1",
        alias.name(),
    )
    .fetch_optional(&mut **transaction)
    .await?)
}

async fn give(
    transaction: &mut PgTransaction<'_>,
    alias: Alias,
    model: i32,
    change: &Change<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO model_aliases (alias, model, by_whom, reason) VALUES ($1, $2, $3, $4)
         ON CONFLICT (alias) DO UPDATE
            SET model = excluded.model, since = now(), by_whom = excluded.by_whom, reason = excluded.reason",
        alias.name(),
        model,
        &*clean::name(change.by),
        &*clean::text(change.reason),
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn take(transaction: &mut PgTransaction<'_>, alias: Alias) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM model_aliases WHERE alias = $1", alias.name())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Writes down what was done with a model, and who had the alias before.
pub(super) async fn note(
    transaction: &mut PgTransaction<'_>,
    what: &str,
    alias: Option<Alias>,
    (model, before): (i32, Option<i32>),
    change: &Change<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO deployments (what, alias, model, before, by_whom, reason, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        what,
        alias.map(Alias::name),
        model,
        before,
        &*clean::name(change.by),
        &*clean::text(change.reason),
        clean::json(&change.detail),
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
