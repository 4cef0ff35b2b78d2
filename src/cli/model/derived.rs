//! What derived bundles are, in words; and what the commands share that make them.

use anyhow::anyhow;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::json;

use super::registry::{short, with_store};
use crate::cli::ConfigArgs;
use crate::cli::exit::{BadInput, End};
use crate::model::manifest::Manifest;
use crate::registry::{Registry, RegistryError, resolve};
use crate::remedy::{Remedied, RemedyError, Setting};

/// A line for each thing that a derived model does; none of a model that was trained.
pub(super) fn lines(manifest: &Manifest) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(adjustment) = &manifest.adjustment {
        let parent = manifest.parent.as_deref().map_or("nothing", short);
        lines.push(format!("derived from {parent}, without training"));
        if let Some(held) = adjustment.recalibration {
            lines.push(format!(
                "recalibrated: temperature {:.4}, before {:.4}",
                held.to, held.from
            ));
        }
        if let Some(priors) = &adjustment.prior_correction {
            let shares: Vec<String> = manifest
                .labels
                .iter()
                .zip(priors.source.iter().zip(&priors.target))
                .map(|(label, (source, target))| {
                    format!(
                        "{label} {:.1} %, before {:.1} %",
                        100.0 * target,
                        100.0 * source
                    )
                })
                .collect();
            lines.push(format!("class shares corrected: {}", shares.join("; ")));
        }
    }
    if let Some(ensemble) = &manifest.ensemble {
        let members: Vec<String> = ensemble
            .members
            .iter()
            .map(|member| format!("{} ({})", short(&member.version), member.weight))
            .collect();
        lines.push(format!(
            "{} pool of {}",
            ensemble.method.name(),
            members.join(", ")
        ));
    }
    lines
}

/// A class share or a weight, as in `negative=0.5`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assigned {
    pub(super) name: String,
    pub(super) value: f64,
}

impl Assigned {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .rsplit_once('=')
            .ok_or_else(|| format!("{text:?} is not NAME=NUMBER"))?;
        let value: f64 = value
            .trim()
            .parse()
            .map_err(|_| format!("{value:?} is no number"))?;
        Ok(Self {
            name: name.trim().to_owned(),
            value,
        })
    }
}

/// What the commands that correct a model have in common.
#[derive(Debug, Args)]
pub(super) struct RemedyArgs {
    /// The model: a version, its first digits (six at least), or an alias
    #[arg(value_name = "VERSION", default_value = "champion")]
    model: String,
    #[command(flatten)]
    config: ConfigArgs,
    /// Say what would be done, and take nothing into the registry
    #[arg(long)]
    dry_run: bool,
    /// What was found, as one JSON object
    #[arg(long)]
    json: bool,
    /// Who does it, for the history
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    by: String,
}

impl RemedyArgs {
    /// Makes the remedy and says what came of it.
    pub(super) fn run(
        &self,
        work: impl AsyncFnOnce(Setting<'_>, &str) -> Result<Remedied, RemedyError>,
    ) -> anyhow::Result<End> {
        let made = with_store(&self.config, async |config, store| {
            let registry = Registry::open(&config.registry, &config.model, store.clone())?;
            let version = resolve(&store, &self.model).await?;
            let setting = Setting {
                registry: &registry,
                store: &store,
                model: &config.model,
                batch_tokens: config.batch.max_tokens,
                by: &self.by,
                dry_run: self.dry_run,
            };
            Ok::<_, RegistryError>(work(setting, &version).await)
        })?;
        match made {
            Ok(remedied) => {
                self.say(&remedied);
                Ok(End::Done)
            }
            Err(error @ RemedyError::NoShares(_)) => Err(BadInput::from(error)),
            Err(error) if error.is_refusal() => {
                eprintln!("tidewatch: {error}");
                Ok(End::Unfit)
            }
            Err(error) => Err(anyhow!("{error}")),
        }
    }

    fn say(&self, remedied: &Remedied) {
        let report = &remedied.report;
        if self.json {
            println!("{}", json!({"version": remedied.version, "report": report}));
            return;
        }
        for sentence in &report.sentences {
            eprintln!("tidewatch: {sentence}");
        }
        match &remedied.version {
            None => eprintln!("tidewatch: nothing was changed (--dry-run)"),
            Some(version) => {
                println!("{version}");
                eprintln!(
                    "tidewatch: {} is in the registry, derived from {}; it serves after `tidewatch model promote {}`",
                    short(version),
                    short(&report.original),
                    short(version)
                );
            }
        }
    }
}

/// So many days ago.
pub(super) fn days_ago(days: u32) -> DateTime<Utc> {
    Utc::now() - TimeDelta::days(i64::from(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_a_name_and_a_number_and_nothing_else() {
        let said = Assigned::parse("negative = 0.5").unwrap();
        assert_eq!((&*said.name, said.value), ("negative", 0.5));
        assert!(Assigned::parse("negative").is_err());
        assert!(Assigned::parse("negative=much").is_err());
    }
}
