//! One bundle of several: an ensemble, whose answer is the pool of its members'.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use super::bundle::{self, Content};
use super::{DeriveError, take_in, workshop};
use crate::model::ensemble::{Ensemble, MOST_MEMBERS, Member, Members, Pool};
use crate::model::manifest::{
    Bundle, FORMAT_DERIVED, MANIFEST_FILE, MODEL_FILE, Manifest, REPORT_FILE, TOKENIZER_FILE,
};
use crate::model::pooled::fits;
use crate::registry::{Registry, Taken};

/// Makes an ensemble of models of the registry, each with its weight, and takes it in.
///
/// Members must have the same labels, the same tokenizer and the same limit of tokens, and be no ensembles themselves; one
/// that is recalibrated or corrected takes part as such.
///
/// # Errors
/// [`DeriveError::Refused`] where they cannot be combined, and whatever keeps an import from being done.
pub async fn ensemble(
    registry: &Registry,
    members: &[(String, f64)],
    method: Pool,
    by: &str,
) -> Result<Taken, DeriveError> {
    let distinct: BTreeSet<&str> = members.iter().map(|(version, _)| &**version).collect();
    if distinct.len() < members.len() {
        return Err(DeriveError::Refused(
            "a model is named more than once: give it one weight".to_owned(),
        ));
    }
    let mut bundles = Vec::with_capacity(members.len());
    for (version, weight) in members {
        bundles.push((registry.fetch(version).await?, *weight));
    }
    let folder = workshop()?;
    write(folder.path(), &bundles, method)?;
    let origin = format!("an ensemble of {}", members.len());
    take_in(registry, &folder, &origin, by).await
}

/// Writes the bundle of an ensemble into an empty folder.
///
/// # Errors
/// [`DeriveError`], as [`ensemble`].
pub fn write(
    folder: &Path,
    bundles: &[(Bundle, f64)],
    method: Pool,
) -> Result<Bundle, DeriveError> {
    let several = (2..=MOST_MEMBERS).contains(&bundles.len());
    let Some((first, _)) = bundles.first().filter(|_| several) else {
        return Err(DeriveError::Refused(format!(
            "{} models make no ensemble: name 2 to {MOST_MEMBERS}",
            bundles.len()
        )));
    };
    let weights: Vec<f64> = bundles.iter().map(|(_, weight)| *weight).collect();
    Ensemble::new(method, first.manifest.problem, &weights)
        .map_err(|error| DeriveError::Refused(error.to_string()))?;
    let manifest = manifest(first, bundles, method);
    let mut files = BTreeMap::from([(
        TOKENIZER_FILE.to_owned(),
        Content::of(first, TOKENIZER_FILE),
    )]);
    for (index, (bundle, _)) in bundles.iter().enumerate() {
        // As they are opened: the tokenizer of the ensemble is the first one's.
        let mut shared = manifest.clone();
        shared.files.clone_from(&first.manifest.files);
        fits(&bundle.manifest, &shared).map_err(|reason| {
            let version = &bundle.version;
            DeriveError::Refused(format!("the model {version} cannot be a member: {reason}"))
        })?;
        let (its_manifest, model) = Members::files(index);
        let of_manifest = Content::Same {
            path: bundle.file(MANIFEST_FILE),
            sha256: bundle.version.clone(),
        };
        files.insert(its_manifest, of_manifest);
        files.insert(model, Content::of(bundle, MODEL_FILE));
        if bundle.manifest.files.contains_key(REPORT_FILE) {
            files.insert(Members::report(index), Content::of(bundle, REPORT_FILE));
        }
    }
    bundle::write(folder, manifest, files)
}

fn manifest(first: &Bundle, bundles: &[(Bundle, f64)], method: Pool) -> Manifest {
    let manifests = || bundles.iter().map(|(bundle, _)| &bundle.manifest);
    let names: Vec<&str> = manifests().map(|manifest| &*manifest.name).collect();
    let mut data = Vec::new();
    for file in manifests().flat_map(|manifest| &manifest.data) {
        if !data.contains(file) {
            data.push(file.clone());
        }
    }
    let mut licences = BTreeMap::new();
    for (index, manifest) in manifests().enumerate() {
        for (what, licence) in &manifest.licences {
            licences.insert(format!("member {}, {what}", index + 1), licence.clone());
        }
    }
    let members = bundles.iter().map(|(bundle, weight)| Member {
        version: bundle.version.clone(),
        weight: *weight,
    });
    Manifest {
        format: FORMAT_DERIVED,
        name: format!("ensemble of {}", names.join(" and ")),
        temperature: 1.0,
        parent: None,
        adjustment: None,
        ensemble: Some(Members {
            method,
            members: members.collect(),
        }),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        recipe: json!({}),
        data,
        files: BTreeMap::new(),
        metrics: BTreeMap::new(),
        licences,
        ..first.manifest.clone()
    }
}
