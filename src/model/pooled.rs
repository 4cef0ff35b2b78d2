//! Several models behind the one seam: each scores the batch, and their answers become one.

use std::fs;

use super::backend::{Backend, InferError};
use super::config::ModelConfig;
use super::ensemble::{Ensemble, Members};
use super::error::ModelError;
use super::manifest::{Bundle, BundleError, Manifest, TOKENIZER_FILE};
use super::onnx::OnnxBackend;
use super::probability::Calibrated;
use crate::record::{Batch, Problem};

/// Stands in for smaller probabilities, whose logarithm could not be written down.
const SMALLEST: f32 = 1e-30;

/// The members of an ensemble. Its logits are those of the pooled probabilities, so that a softmax (or sigmoids, where any
/// number of labels may hold) at temperature one gives these.
pub struct PooledBackend {
    members: Vec<Contributor>,
    pool: Ensemble,
    problem: Problem,
    labels: usize,
    device: String,
}

/// A member: its model, and how its logits become probabilities.
pub(super) struct Contributor {
    pub(super) backend: Box<dyn Backend>,
    pub(super) calibrated: Calibrated,
}

impl PooledBackend {
    /// Opens every member of a bundle whose files are verified.
    ///
    /// # Errors
    /// [`ModelError`] when a member's manifest is not one of this ensemble, or its model cannot be opened.
    pub fn open(
        bundle: &Bundle,
        members: &Members,
        config: &ModelConfig,
    ) -> Result<Self, ModelError> {
        let ensemble = &bundle.manifest;
        let mut opened = Vec::with_capacity(members.members.len());
        for index in 0..members.members.len() {
            let (manifest, model) = Members::files(index);
            let path = bundle.file(&manifest);
            let bytes = fs::read(&path).map_err(|source| BundleError::Read {
                path: path.clone(),
                source,
            })?;
            let member = Manifest::parse(&bytes)
                .and_then(|member| fits(&member, ensemble).map(|()| member))
                .map_err(|reason| ModelError::Graph { path, reason })?;
            let backend =
                OnnxBackend::from_file(&bundle.file(&model), member.labels.len(), config)?;
            opened.push(Contributor {
                calibrated: Calibrated::of(&member),
                backend: Box::new(backend),
            });
        }
        let pool = Ensemble::new(members.method, ensemble.problem, &members.weights());
        let pool = pool.map_err(|error| ModelError::Graph {
            path: bundle.dir.clone(),
            reason: error.to_string(),
        })?;
        Ok(Self::new(
            opened,
            pool,
            ensemble.problem,
            ensemble.labels.len(),
        ))
    }

    pub(super) fn new(
        members: Vec<Contributor>,
        pool: Ensemble,
        problem: Problem,
        labels: usize,
    ) -> Self {
        let device = members
            .first()
            .map(|first| first.backend.device().to_owned());
        Self {
            members,
            pool,
            problem,
            labels,
            device: device.unwrap_or_default(),
        }
    }

    /// The logit of a pooled probability.
    fn logit(&self, p: f32) -> f32 {
        match self.problem {
            Problem::SingleLabel => p.max(SMALLEST).ln(),
            Problem::MultiLabel => {
                let p = f64::from(p).clamp(f64::from(SMALLEST), 1.0 - f64::EPSILON);
                (p / (1.0 - p)).ln() as f32
            }
        }
    }
}

/// Says in what a member's manifest is not one of this ensemble.
pub(crate) fn fits(member: &Manifest, ensemble: &Manifest) -> Result<(), String> {
    if member.ensemble.is_some() {
        return Err("it is an ensemble itself: name its members instead".to_owned());
    }
    if member.labels != ensemble.labels || member.problem != ensemble.problem {
        return Err(format!(
            "its labels are {} and those of the ensemble {}: members must have the same, in the same order",
            member.labels.join(", "),
            ensemble.labels.join(", ")
        ));
    }
    if member.sha256(TOKENIZER_FILE) != ensemble.sha256(TOKENIZER_FILE)
        || member.pad_token_id != ensemble.pad_token_id
        || member.max_tokens != ensemble.max_tokens
    {
        return Err(
            "it has another tokenizer, or another limit of tokens, than the other members, and in this version all must share \
             one"
            .to_owned(),
        );
    }
    Ok(())
}

impl Backend for PooledBackend {
    fn infer(&mut self, batch: &Batch) -> Result<Vec<f32>, InferError> {
        let labels = self.labels;
        let failed = |reason: String| InferError {
            rows: batch.rows,
            width: batch.width,
            reason,
        };
        let mut answers: Vec<Vec<f32>> = Vec::with_capacity(self.members.len());
        for member in &mut self.members {
            let logits = member.backend.infer(batch)?;
            if logits.len() != batch.rows * labels {
                return Err(failed(format!(
                    "a member gave {} logits for {} rows of {labels} labels",
                    logits.len(),
                    batch.rows
                )));
            }
            let rows = logits.chunks_exact(labels);
            let calibrated = &member.calibrated;
            answers.push(
                rows.flat_map(|row| calibrated.predict(row).probabilities)
                    .collect(),
            );
        }
        let mut pooled = Vec::with_capacity(batch.rows * labels);
        for row in 0..batch.rows {
            let rows: Vec<&[f32]> = answers
                .iter()
                .map(|answer| &answer[row * labels..(row + 1) * labels])
                .collect();
            // A member whose logits are no numbers has no probabilities either: the row fails by itself, as one model's would.
            let probabilities = self
                .pool
                .combine(&rows)
                .map_err(|error| failed(error.to_string()))?;
            let whole = rows.iter().all(|row| row.iter().all(|p| p.is_finite()));
            pooled.extend(probabilities.iter().map(
                |&p| {
                    if whole { self.logit(p) } else { f32::NAN }
                },
            ));
        }
        Ok(pooled)
    }

    fn labels(&self) -> usize {
        self.labels
    }

    fn device(&self) -> &str {
        &self.device
    }
}

#[cfg(test)]
mod tests {
    use super::super::ensemble::Pool;
    use super::super::probability::{predict, probabilities};
    use super::*;

    /// Says the same of every row.
    struct Fixed(Vec<f32>);

    impl Backend for Fixed {
        fn infer(&mut self, batch: &Batch) -> Result<Vec<f32>, InferError> {
            Ok(self.0.repeat(batch.rows))
        }

        fn labels(&self) -> usize {
            self.0.len()
        }

        fn device(&self) -> &'static str {
            "fake"
        }
    }

    fn batch(rows: usize) -> Batch {
        Batch {
            ids: vec![1; rows],
            mask: vec![1; rows],
            rows,
            width: 1,
            members: (0..rows).collect(),
        }
    }

    fn pooled(pool: Pool, problem: Problem, members: [&[f32]; 2]) -> PooledBackend {
        let members: Vec<Contributor> = members
            .iter()
            .map(|logits| Contributor {
                backend: Box::new(Fixed(logits.to_vec())),
                calibrated: Calibrated::at(1.25, problem),
            })
            .collect();
        let ensemble = Ensemble::new(pool, problem, &[3.0, 1.0]).unwrap();
        PooledBackend::new(members, ensemble, problem, 3)
    }

    #[test]
    fn what_its_logits_say_is_the_pool_of_what_the_members_say() {
        let (one, other): (&[f32], &[f32]) = (&[2.0, -1.0, 0.5], &[-3.0, 0.0, 4.0]);
        for problem in [Problem::SingleLabel, Problem::MultiLabel] {
            for pool in [Pool::Linear, Pool::Logarithmic] {
                let rows = [one, other].map(|row| probabilities(row, 1.25, problem));
                let ensemble = Ensemble::new(pool, problem, &[3.0, 1.0]).unwrap();
                let expected = ensemble.combine(&[&rows[0], &rows[1]]).unwrap();
                let logits = pooled(pool, problem, [one, other])
                    .infer(&batch(2))
                    .unwrap();
                for row in logits.chunks_exact(3) {
                    let said = predict(row, 1.0, problem).probabilities;
                    for (a, b) in said.iter().zip(&expected) {
                        assert!((a - b).abs() < 1e-6, "{said:?} instead of {expected:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_of_which_a_member_says_nothing_has_no_numbers() {
        let mut backend = pooled(
            Pool::Linear,
            Problem::SingleLabel,
            [&[f32::NAN, 0.0, 0.0], &[1.0, 0.0, 0.0]],
        );
        let logits = backend.infer(&batch(1)).unwrap();
        assert!(logits.iter().all(|logit| logit.is_nan()));
    }
}
