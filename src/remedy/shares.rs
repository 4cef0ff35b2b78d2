//! Other class shares: by the watch's estimate, or given by hand.

use chrono::{DateTime, Utc};

use super::material::Material;
use super::original::Original;
use super::report::in_words;
use super::{
    Checked, Kind, LEAST_CHECKED, LEAST_POINTS, Remedied, RemedyError, Report, Setting,
    WatchedShares,
};
use crate::adjustment::{Adjustment, PriorCorrection, usable_shares};
use crate::drift::severity::{Settings, ShiftSize};
use crate::drift::shift::LabelShift;
use crate::store::PastWindow;

/// Windows that are looked through for those of one model.
const LOOKED_THROUGH: u32 = 500;

/// Which class shares are corrected to.
#[derive(Debug, Clone, PartialEq)]
pub enum Shares {
    /// Those that the watch has estimated in the latest so many windows of the model.
    Watched { windows: u32 },
    /// These, in the order of the labels.
    Given(Vec<f64>),
}

/// Makes a model of the registry good for other class shares (Saerens, Latinne and Decaestecker 2002): its probabilities are
/// weighed by the shares of the feed over those that it was calibrated on, which are `source` or else what its baseline knows.
///
/// Labelled messages written since `checked_since` (of watched shares, since the first window) check it, if they are
/// [`LEAST_CHECKED`] or more; with fewer it is made unchecked, and the report says so.
///
/// # Errors
/// A refusal where it cannot be made, is not sure, changes next to nothing, or labels speak against it ([`RemedyError`]); or
/// something does not answer.
pub async fn prior_correction(
    setting: Setting<'_>,
    version: &str,
    shares: &Shares,
    source: Option<&[f64]>,
    checked_since: DateTime<Utc>,
) -> Result<Remedied, RemedyError> {
    let original = Original::of(setting, version).await?;
    let known = |shares: &[f64]| {
        usable_shares(shares)
            .filter(|usable| usable.len() == original.labels().len())
            .ok_or_else(|| RemedyError::NoShares(shares.to_vec()))
    };
    let source = source
        .or_else(|| original.priors())
        .ok_or_else(|| RemedyError::NoSource(original.version.clone()))?;
    let source = known(source)?;
    let current = original.current.prior_correction.as_ref();
    let before = current.map_or_else(|| source.clone(), |held| held.target.clone());
    let (target, watched) = match shares {
        Shares::Given(target) => (known(target)?, None),
        Shares::Watched { windows } => {
            let watched = watched(setting, version, *windows).await?;
            believed(&watched, &before, original.labels())?;
            (known(&watched.shares)?, Some(watched))
        }
    };
    let correction = PriorCorrection { source, target };
    let points = correction.points_from(&before);
    if points < LEAST_POINTS {
        return Err(RemedyError::NoChange(format!(
            "the class shares {} are {points:.1} points from those that the model reckons with, and less than {LEAST_POINTS} \
             changes next to nothing",
            in_words(original.labels(), &correction.target)
        )));
    }
    let adjustment = Adjustment {
        recalibration: original.current.recalibration,
        prior_correction: Some(correction),
    };
    let since = watched
        .as_ref()
        .map_or(checked_since, |watched| watched.since);
    let material = Material::gather(setting, &original, since, LEAST_CHECKED).await?;
    let checked = if material.effective() >= LEAST_CHECKED {
        let after = |_, row: &super::material::Row| adjustment.apply(&row.original);
        Checked::of(&material, &original.current, after)
    } else {
        None
    };
    if let Some(checked) = checked.as_ref().filter(|checked| checked.is_worse()) {
        return Err(RemedyError::Worse(checked.sentence()));
    }
    let sentences = sentences(
        &original,
        &adjustment,
        &before,
        watched.as_ref(),
        &material,
        checked.as_ref(),
    );
    let report = Report {
        kind: Kind::PriorCorrection,
        original: original.version.clone(),
        corrects: original.named.clone(),
        labels: original.labels().to_vec(),
        adjustment,
        before: original.current.clone(),
        watched,
        checked,
        left_out: material.left_out,
        sentences,
    };
    original.derive(setting, report, None).await
}

fn sentences(
    original: &Original,
    adjustment: &Adjustment,
    before: &[f64],
    watched: Option<&WatchedShares>,
    material: &Material,
    checked: Option<&Checked>,
) -> Vec<String> {
    let labels = original.labels();
    let mut said = Vec::new();
    if let Some(priors) = &adjustment.prior_correction {
        let until_now = if before == priors.source {
            String::new()
        } else {
            format!(" and reckoned with {} until now", in_words(labels, before))
        };
        said.push(format!(
            "The class shares are corrected to {}; the model was calibrated on {}{until_now}.",
            in_words(labels, &priors.target),
            in_words(labels, &priors.source),
        ));
    }
    said.push(match watched {
        Some(watched) => format!(
            "They are what the watch has estimated of {} messages ({} of its windows) since {}, if the messages of each class \
             are as they were.",
            watched.messages,
            watched.windows.len(),
            watched.since.format("%Y-%m-%d %H:%M")
        ),
        None => "They were given by hand.".to_owned(),
    });
    said.push(match checked {
        Some(checked) => checked.sentence(),
        None => format!(
            "It is not checked on labels: there are {} of use since, and {LEAST_CHECKED} are needed ({}).",
            material.effective(),
            material.left_out
        ),
    });
    said
}

/// What the watch has estimated in the latest windows of a model.
async fn watched(
    setting: Setting<'_>,
    version: &str,
    windows: u32,
) -> Result<WatchedShares, RemedyError> {
    let past = setting.store.past_windows(LOOKED_THROUGH).await?;
    let estimated: Vec<(PastWindow, LabelShift)> = past
        .into_iter()
        .rev()
        .filter(|window| window.model == version)
        .filter_map(|window| {
            let said = window.detail["estimates"]["shift"].clone();
            Some((window, serde_json::from_value(said).ok()?))
        })
        .take(windows.max(1) as usize)
        .collect();
    together(&estimated).ok_or_else(|| RemedyError::NoEstimate(version.to_owned()))
}

/// The estimates of some windows as one: shares weighed by their messages, and intervals of independent estimates.
fn together(estimated: &[(PastWindow, LabelShift)]) -> Option<WatchedShares> {
    let since = estimated.iter().map(|(window, _)| window.started).min()?;
    let classes = estimated.first()?.1.shares.len();
    if estimated
        .iter()
        .any(|(_, shift)| shift.shares.len() != classes || shift.intervals.len() != classes)
    {
        return None;
    }
    let messages = |window: &PastWindow| window.messages.max(1) as f64;
    let all: f64 = estimated.iter().map(|(window, _)| messages(window)).sum();
    let of_class = |class: usize| {
        let (mut share, mut below, mut above) = (0.0, 0.0, 0.0);
        for (window, shift) in estimated {
            let part = messages(window) / all;
            let (low, high) = shift.intervals[class];
            share += part * shift.shares[class];
            below += (part * (shift.shares[class] - low)).powi(2);
            above += (part * (high - shift.shares[class])).powi(2);
        }
        let interval = (
            (share - f64::sqrt(below)).max(0.0),
            (share + f64::sqrt(above)).min(1.0),
        );
        (share, interval)
    };
    let (shares, intervals) = (0..classes).map(of_class).unzip();
    let conditions = estimated.iter().map(|(_, shift)| shift.condition);
    let condition = conditions.fold(1.0, f64::max);
    Some(WatchedShares {
        windows: estimated
            .iter()
            .map(|(window, _)| window.number)
            .rev()
            .collect(),
        since,
        messages: all as u64,
        shares,
        intervals,
        condition: condition.is_finite().then_some(condition),
        converged: estimated.iter().all(|(_, shift)| shift.converged),
    })
}

/// Refuses an estimate that is not sure, or that holds the shares that the model reckons with.
fn believed(watched: &WatchedShares, before: &[f64], labels: &[String]) -> Result<(), RemedyError> {
    let settings = Settings::default();
    let shift = LabelShift {
        shares: watched.shares.clone(),
        intervals: watched.intervals.clone(),
        iterations: 0,
        condition: watched.condition.unwrap_or(f64::INFINITY),
        converged: watched.converged,
    };
    let size = ShiftSize {
        points: shift.points_from(before),
        significant: shift.is_significant(before),
        condition: shift.condition,
        converged: shift.converged,
    };
    let why = if !size.converged {
        "its estimate did not come to rest".to_owned()
    } else if size.condition > settings.condition {
        format!(
            "the model tells the classes apart too badly for it (condition {:.0}, at most {})",
            size.condition, settings.condition
        )
    } else if !size.is_believed(&settings) {
        format!(
            "{} is {:.1} points from what the model reckons with, and {} points beyond chance are needed",
            in_words(labels, &watched.shares),
            size.points,
            settings.shift
        )
    } else {
        return Ok(());
    };
    Err(RemedyError::NotBelieved(why))
}

#[cfg(test)]
mod tests;
