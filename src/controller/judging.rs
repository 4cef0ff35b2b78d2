//! The gate on a candidate that came of a training.

use std::path::PathBuf;

use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::aside::aside;
use crate::compare::config::HeldOutConfig;
use crate::compare::error::CompareError;
use crate::compare::rows::Rows;
use crate::compare::{Compared, Material, Pair, Watch, material};
use crate::gate::comparison;
use crate::gate::config::GateConfig;
use crate::model::config::ModelConfig;
use crate::registry::{Registry, RegistryError};

/// Timed runs of each model: the interval of their ratio is narrow enough with so many.
const RUNS: usize = 8;

/// What the gate is to know.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    pub(super) gate: GateConfig,
    pub(super) held_out: HeldOutConfig,
    /// Where models run; the path plays no part.
    pub(super) model: ModelConfig,
    pub(super) max_tokens: usize,
}

/// What it says.
pub(super) struct Verdict {
    /// As it stands in the table.
    pub(super) verdict: &'static str,
    pub(super) gate: Value,
}

impl Verdict {
    fn unheard(verdict: &'static str, reason: &str) -> Self {
        let gate = json!({"verdict": verdict, "reasons": [reason]});
        Self { verdict, gate }
    }
}

/// Why there is no verdict yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum JudgeError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error("{0}")]
    Material(String),
}

impl Judge {
    /// Compares the candidate with the champion on the fixed set and on what the training has held out.
    pub(super) async fn judge(
        self,
        registry: &Registry,
        candidate: &str,
        held_out: Option<PathBuf>,
        stop: &CancellationToken,
    ) -> Result<Verdict, JudgeError> {
        let Some(champion) = registry.champion().await? else {
            return Ok(Verdict::unheard(
                "inconclusive",
                "there is no champion to compare it with",
            ));
        };
        if champion == candidate {
            return Ok(Verdict::unheard(
                "inconclusive",
                "it was promoted before it was compared",
            ));
        }
        let champion = registry.fetch(&champion).await?.dir;
        let candidate = registry.fetch(candidate).await?.dir;
        let stop = stop.clone();
        let judged = aside(move || {
            let fixed = material::fixed(&self.held_out).map_err(JudgeError::Material)?;
            if fixed.rows.is_empty() {
                let reason = "there is no fixed set to compare on: name its files under [held_out]";
                return Ok(Verdict::unheard("inconclusive", reason));
            }
            let corpus = material::corpus(&self.gate).map_err(JudgeError::Material)?;
            let from = Utc::now() - TimeDelta::days(i64::from(self.gate.recent_days));
            let recent = held_out.map(|path| material::held_out(&path, from));
            let recent: Rows = recent
                .transpose()
                .map_err(JudgeError::Material)?
                .unwrap_or_default();
            let mut pair = Pair::open(&champion, &candidate, &self.model, self.max_tokens)?;
            let material = Material {
                fixed: &fixed,
                recent: &recent,
                corpus: corpus.as_ref(),
                runs: RUNS,
                rules: &self.gate,
            };
            let watch = Watch {
                scored: &|_| {},
                stop: &|| stop.is_cancelled(),
            };
            Ok(said(&pair.compare(&material, &watch)?))
        });
        match judged.await {
            Err(JudgeError::Compare(error)) if is_lasting(&error) => {
                Ok(Verdict::unheard("fail", &error.to_string()))
            }
            judged => judged,
        }
    }
}

fn said(compared: &Compared) -> Verdict {
    Verdict {
        verdict: match compared.comparison.verdict {
            comparison::Verdict::Pass => "pass",
            comparison::Verdict::Fail => "fail",
            comparison::Verdict::Inconclusive => "inconclusive",
        },
        gate: json!(compared),
    }
}

/// Whether the candidate itself is to blame, so that comparing again would come to the same.
fn is_lasting(error: &CompareError) -> bool {
    match error {
        CompareError::Model(_) | CompareError::Gate(_) | CompareError::Report { .. } => true,
        CompareError::Broken { role, .. } => *role == "candidate",
        CompareError::Equity(_) | CompareError::NothingLeft { .. } | CompareError::Stopped => false,
    }
}
