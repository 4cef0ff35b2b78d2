//! Another temperature, fitted on labelled messages.

use chrono::{DateTime, Utc};

use super::material::{Material, Row};
use super::original::{Messages, Original};
use super::report::Report;
use super::{Checked, Kind, LEAST_TEMPERATURE, Remedied, RemedyError, Setting};
use crate::adjustment::{Adjustment, Recalibration};
use crate::drift::accuracy::CalibrationError;
use crate::train::calibrate::{self, Fitted};

/// Parts into which the messages are divided: each is judged by a temperature that was fitted on the others.
const FOLDS: usize = 5;

/// Fits the temperature of a model of the registry anew (Guo et al. 2017), on at least `need` labelled messages (their
/// effective number) written since, which stand for all: those that were picked with a known chance, each counting with its
/// inverse, or else those chosen by chance. A correction of class shares stays as it is.
///
/// # Errors
/// A refusal where it cannot be made, changes next to nothing, or does not make the messages likelier by a temperature that
/// was fitted on others ([`RemedyError`]); or something does not answer.
pub async fn recalibration(
    setting: Setting<'_>,
    version: &str,
    since: DateTime<Utc>,
    need: u32,
) -> Result<Remedied, RemedyError> {
    let original = Original::of(setting, version).await?;
    let material = Material::gather(setting, &original, since, need).await?;
    let have = material.effective();
    if have < need.max(FOLDS as u32) {
        return Err(RemedyError::TooFewLabels {
            have,
            need: need.max(FOLDS as u32),
            left_out: material.left_out.to_string(),
        });
    }
    let from = original.bundle.manifest.temperature;
    let now = original.current.recalibration.map_or(from, |held| held.to);
    let fit = |leave_out: Option<usize>| {
        let rows = material.rows.iter().enumerate();
        let rows: Vec<&Row> = rows
            .filter(|(index, _)| Some(index % FOLDS) != leave_out)
            .map(|(_, row)| row)
            .collect();
        fitted(&rows, from, &original.current)
    };
    let to = fit(None);
    if (to / now).ln().abs() < LEAST_TEMPERATURE {
        return Err(RemedyError::NoChange(format!(
            "the temperature would go from {now:.3} to {to:.3}, and less than {:.0} % changes next to nothing",
            100.0 * LEAST_TEMPERATURE
        )));
    }
    let with = |to: f64| Adjustment {
        recalibration: Some(Recalibration {
            from,
            to,
            bias: 0.0,
            standard_error: 0.0,
        }),
        prior_correction: original.current.prior_correction.clone(),
    };
    let by_fold: Vec<Adjustment> = (0..FOLDS).map(|fold| with(fit(Some(fold)))).collect();
    let after = |index: usize, row: &Row| by_fold[index % FOLDS].apply(&row.original);
    let Some(checked) = Checked::of(&material, &original.current, after) else {
        return Err(RemedyError::TooFewLabels {
            have: 0,
            need,
            left_out: material.left_out.to_string(),
        });
    };
    if checked.is_worse() {
        return Err(RemedyError::Worse(checked.sentence()));
    }
    let rows = material.rows.iter().enumerate();
    let error = weighed_error(rows.map(|(index, row)| (after(index, row), row)), have);
    let mut adjustment = with(to);
    if let Some(held) = &mut adjustment.recalibration {
        held.bias = error.bias;
        held.standard_error = error.standard_error;
    }
    let sentences = vec![
        format!(
            "The temperature goes from {now:.3} to {to:.3}, fitted on {} labelled messages that tell as much as {have} of equal \
             weight ({}); {} of them were scored anew.",
            material.rows.len(),
            material.left_out,
            material.scored
        ),
        format!(
            "{} Each message was judged by a temperature that was fitted without it.",
            checked.sentence()
        ),
    ];
    let report = Report {
        kind: Kind::Recalibration,
        original: original.version.clone(),
        corrects: original.named.clone(),
        labels: original.labels().to_vec(),
        adjustment,
        before: original.current.clone(),
        watched: None,
        checked: Some(checked),
        left_out: material.left_out.clone(),
        sentences,
    };
    let messages = material.rows.iter();
    let messages = Messages::of(messages.map(|row| (&row.origin, row.time, row.truth)));
    original.derive(setting, report, Some(messages)).await
}

/// The temperature at which the rows are likeliest, other class shares taken as they are.
fn fitted(rows: &[&Row], from: f64, current: &Adjustment) -> f64 {
    // Logits but for a constant, which no softmax sees.
    let logit = |&p: &f32| (from * f64::from(p.max(f32::MIN_POSITIVE)).ln()) as f32;
    let logits: Vec<Vec<f32>> = rows
        .iter()
        .map(|row| row.original.iter().map(logit).collect())
        .collect();
    let labels: Vec<u32> = rows.iter().map(|row| row.truth as u32).collect();
    let weights: Vec<f64> = rows.iter().map(|row| row.weight).collect();
    let priors = current.prior_correction.as_ref();
    calibrate::temperature(Fitted {
        logits: &logits,
        labels: &labels,
        weights: &weights,
        offsets: &priors.map(|priors| priors.offsets()).unwrap_or_default(),
    })
}

/// Right less confidence, on weighted average.
fn weighed_error<'a>(
    answers: impl Iterator<Item = (Vec<f32>, &'a Row)>,
    effective: u32,
) -> CalibrationError {
    let (mut weight, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for (probabilities, row) in answers {
        let best = crate::model::probability::largest(&probabilities);
        let gap = f64::from(u8::from(best == row.truth)) - f64::from(probabilities[best]);
        weight += row.weight;
        sum += row.weight * gap;
        squares += row.weight * gap * gap;
    }
    let bias = sum / weight;
    let variance = (squares / weight - bias * bias).max(0.0);
    CalibrationError {
        bias,
        standard_error: (variance / f64::from(effective.max(2) - 1)).sqrt(),
    }
}

#[cfg(test)]
mod tests;
