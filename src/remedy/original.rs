//! The model that is corrected: the one that was trained, whichever derived one was named.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{REMEDY_FILE, Remedied, RemedyError, Report, Setting};
use crate::adjustment::Adjustment;
use crate::derive::bundle::{self, Content};
use crate::derive::{DeriveError, take_in, workshop};
use crate::drift::baseline::Baseline;
use crate::model::manifest::{
    BASELINE_FILE, Bundle, DataFile, FORMAT, FORMAT_DERIVED, Manifest, TOKENIZER_FILE,
};
use crate::record::Problem;

/// The role of the messages by which a model was recalibrated, in its manifest.
const CALIBRATION: &str = "calibration";

/// The original of the model that was named.
pub(super) struct Original {
    pub(super) version: String,
    /// The version that was named: the original's own, or that of a model derived from it.
    pub(super) named: String,
    /// Its files, with the original's manifest.
    pub(super) bundle: Bundle,
    /// What the model that was named does to the original's probabilities.
    pub(super) current: Adjustment,
    /// What the feed is compared with while the original serves, and its bytes.
    pub(super) baseline: Option<(Baseline, Vec<u8>)>,
}

impl Original {
    /// Of a model of the registry, from the bundle that was named alone: a derived one has all files of its original.
    pub(super) async fn of(setting: Setting<'_>, named: &str) -> Result<Self, RemedyError> {
        let mut bundle = setting.registry.fetch(named).await?;
        if bundle.manifest.ensemble.is_some() {
            return Err(RemedyError::Ensemble(named.to_owned()));
        }
        if bundle.manifest.problem == Problem::MultiLabel {
            return Err(RemedyError::SeveralLabels(named.to_owned()));
        }
        let version = of_manifest(&bundle.manifest).unwrap_or(named).to_owned();
        let current = bundle.manifest.adjustment.take().unwrap_or_default();
        let manifest = &mut bundle.manifest;
        manifest.format = FORMAT;
        if let Some(held) = current.recalibration {
            manifest.temperature = held.from;
        }
        manifest.data.retain(|file| file.role != CALIBRATION);
        bundle.version.clone_from(&version);
        let baseline = baseline(setting, &bundle).await?;
        Ok(Self {
            version,
            named: named.to_owned(),
            bundle,
            current,
            baseline,
        })
    }

    pub(super) fn labels(&self) -> &[String] {
        &self.bundle.manifest.labels
    }

    /// The class shares that it was calibrated on, where they are known.
    pub(super) fn priors(&self) -> Option<&[f64]> {
        let (baseline, _) = self.baseline.as_ref()?;
        baseline.labelled.as_ref().map(|known| &*known.priors)
    }

    /// Writes the model with this adjustment and takes it into the registry, unless nothing is to be changed.
    pub(super) async fn derive(
        &self,
        setting: Setting<'_>,
        report: Report,
        calibrated_on: Option<Messages>,
    ) -> Result<Remedied, RemedyError> {
        if setting.dry_run {
            return Ok(Remedied {
                version: None,
                report,
            });
        }
        let mut files = bundle::files_of(&self.bundle);
        if let Some((_, bytes)) = &self.baseline {
            files.insert(BASELINE_FILE.to_owned(), Content::New(bytes.clone()));
        }
        let said = serde_json::to_vec_pretty(&report).map_err(|error| {
            DeriveError::Refused(format!("the report cannot be written: {error}"))
        })?;
        files.insert(REMEDY_FILE.to_owned(), Content::New(said));
        let manifest = self.derived(&report.adjustment, calibrated_on);
        let folder = workshop()?;
        bundle::write(folder.path(), manifest, files)?;
        let origin = format!("a {} of {}", report.kind.in_words(), self.version);
        let taken = take_in(setting.registry, &folder, &origin, setting.by).await?;
        Ok(Remedied {
            version: Some(taken.version),
            report,
        })
    }

    fn derived(&self, adjustment: &Adjustment, calibrated_on: Option<Messages>) -> Manifest {
        let original = &self.bundle.manifest;
        let mut data = original.data.clone();
        data.extend(calibrated_on.map(|messages| DataFile {
            name: "labelled messages".to_owned(),
            sha256: messages.sha256,
            role: CALIBRATION.to_owned(),
            examples: messages.count,
            span: messages.span,
        }));
        Manifest {
            format: FORMAT_DERIVED,
            temperature: adjustment
                .recalibration
                .map_or(original.temperature, |held| held.to),
            parent: Some(self.version.clone()),
            adjustment: Some(adjustment.clone()),
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            data,
            // These were measured on the original.
            metrics: std::collections::BTreeMap::new(),
            ..original.clone()
        }
    }
}

/// The version of the original of an adjusted model.
pub(super) fn of_manifest(manifest: &Manifest) -> Option<&str> {
    manifest.adjustment.as_ref()?;
    manifest.parent.as_deref()
}

/// Messages by which a model was recalibrated.
pub(super) struct Messages {
    pub(super) sha256: String,
    pub(super) count: usize,
    pub(super) span: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl Messages {
    /// Known by their places and what was taken for their truth.
    pub(super) fn of<'a>(
        rows: impl Iterator<Item = (&'a crate::record::Origin, DateTime<Utc>, usize)>,
    ) -> Self {
        let mut hash = Sha256::new();
        let mut count = 0;
        let mut span: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
        for (origin, time, truth) in rows {
            let place = format!(
                "{} {} {} {truth}\n",
                origin.topic, origin.partition, origin.offset
            );
            hash.update(place.as_bytes());
            count += 1;
            span = Some(span.map_or((time, time), |(first, last)| {
                (first.min(time), last.max(time))
            }));
        }
        Self {
            sha256: hex::encode(hash.finalize()),
            count,
            span,
        }
    }
}

/// The baseline of the original as the watch has it, else its bundle's own; none where neither can be used.
async fn baseline(
    setting: Setting<'_>,
    bundle: &Bundle,
) -> Result<Option<(Baseline, Vec<u8>)>, RemedyError> {
    let manifest = &bundle.manifest;
    let usable = |bytes: Vec<u8>| {
        let baseline = Baseline::parse(&bytes).ok()?;
        let fits = baseline.fits(&manifest.model_sha256(), manifest.sha256(TOKENIZER_FILE));
        let own =
            fits.is_ok() && baseline.identity.adjustment.is_none() && baseline.undone.is_none();
        own.then_some((baseline, bytes))
    };
    if let Some(model) = setting.store.registered(&bundle.version).await?
        && let Some(kept) = setting.store.baseline_of(model.id).await?.and_then(usable)
    {
        return Ok(Some(kept));
    }
    if !manifest.files.contains_key(BASELINE_FILE) {
        return Ok(None);
    }
    Ok(std::fs::read(bundle.file(BASELINE_FILE))
        .ok()
        .and_then(usable))
}
