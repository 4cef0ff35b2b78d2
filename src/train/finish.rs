//! From a trained classifier to a bundle: exported, proved, evaluated, calibrated, written.
//!
//! All figures are of the exported file as ONNX Runtime computes it, since that is what will run.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::backbone;
use super::baseline;
use super::bundle::{self, WriteError};
use super::calibrate;
use super::checkpoint::Card;
use super::encoder::Model;
use super::error::TrainError;
use super::evaluate::{Evaluation, evaluate};
use super::export;
use super::origin;
use super::parity::{self, LIMIT, Parity};
use super::progress::{Event, Progress};
use super::recipe::{Recipe, Role};
use super::report::{Exported, Report};
use super::run::{self, Setting, Trained};
use super::scores::Scores;
use super::session;
use super::tokens::Encoded;
use super::trainer;
use crate::drift::baseline::Identity;
use crate::fault;
use crate::model::backend::Backend;
use crate::model::manifest::{
    BASELINE_FILE, Bundle, FORMAT, MODEL_FILE, Manifest, REPORT_FILE, TOKENIZER_FILE,
};
use crate::model::tokenizer::Tokenizer;
use crate::record::Problem;

/// Texts with which the exported model is compared with the trainer.
const COMPARED: usize = 400;

/// Makes the bundle that the recipe asks for.
pub fn finish(
    recipe: &Recipe,
    trained: &Trained,
    setting: &Setting<'_>,
    progress: &mut Progress,
) -> Result<Bundle, TrainError> {
    let model = trained.model();
    let onnx = export::to_onnx(model, recipe.export);
    progress.tell(&Event::Export {
        options: recipe.export,
        bytes: onnx.len(),
    });
    let mut backend = session::open(&onnx, recipe.labels.names.len())?;
    let padding = padding(trained);
    setting.go_on()?;

    let parity = prove(recipe, trained, &mut backend, padding)?;
    progress.tell(&Event::Parity(parity));
    if !parity.holds() {
        return Err(TrainError::Gate(format!(
            "the exported model's probabilities differ from the trainer's by {:.1e} alone and {:.1e} in \
             batches, and {LIMIT:.0e} is accepted; try the other form (--form)",
            parity.alone, parity.batched
        )));
    }
    setting.go_on()?;

    let mut scored = |examples: &[Encoded]| -> Result<Scores, TrainError> {
        let texts: Vec<&[u32]> = examples.iter().map(|e| e.tokens.as_slice()).collect();
        let logits = parity::logits(&mut backend, &texts, padding)?;
        Ok(Scores::new(logits, examples))
    };
    let mut told = |part, scores: &Scores| -> Evaluation {
        let pairs: Vec<_> = scores.pairs().collect();
        let evaluation = evaluate(&recipe.labels.names, &pairs, recipe.seed);
        progress.tell(&Event::Evaluation {
            part,
            examples: evaluation.examples,
            metrics: evaluation.metrics.clone(),
        });
        evaluation
    };
    let scores = scored(&trained.data.validation)?;
    let validation = told(Role::Validation, &scores);
    setting.go_on()?;
    let test = match trained.data.test.as_slice() {
        [] => None,
        examples => Some(told(Role::Test, &scored(examples)?)),
    };
    let calibration = calibrate::fit(&scores.logits, &scores.labels);
    progress.tell(&Event::Calibration(calibration));
    let macro_recall = validation.confusion.macro_recall();
    gate(recipe, macro_recall)?;
    setting.go_on()?;

    let report = Report {
        name: recipe.output.name.clone(),
        validation,
        test,
        calibration,
        exported: Exported {
            options: recipe.export,
            bytes: onnx.len(),
            trained_macro_recall: trained.validation.confusion().macro_recall(),
            exported_macro_recall: macro_recall,
            parity,
        },
        data: origin::describe(&trained.data.files, &trained.data.parts)?,
        left_out: trained.data.left_out,
        recipe: described(recipe),
    };
    let manifest = manifest(recipe, &report, padding, setting);
    let mut files = files(recipe, trained, &report, onnx)?;
    let tokenizer = Tokenizer::from_json(&files[TOKENIZER_FILE], manifest.max_tokens, padding)
        .map_err(TrainError::Data)?;
    let hash = |name: &str| hex::encode(Sha256::digest(&files[name]));
    let parts = &trained.data.parts;
    let own = match trained.data.baseline.as_slice() {
        [] => None,
        examples => Some(scored(examples)?),
    };
    let (normal, scores) = match &own {
        None => (&parts.validation, &scores),
        Some(scores) => (&parts.baseline, scores),
    };
    let baseline = baseline::of(
        normal,
        scores,
        baseline::Setting {
            labels: &recipe.labels.names,
            tokenizer: &tokenizer,
            temperature: manifest.temperature,
            identity: Identity::new(hash(MODEL_FILE), hash(TOKENIZER_FILE)),
            seed: recipe.seed,
        },
        progress,
    )?;
    if let Some(json) = baseline {
        files.insert(BASELINE_FILE.into(), json);
    }
    fault::point("bundle-due");
    let bundle = bundle::write(&recipe.output.folder, manifest, &files)?;
    fault::point("bundle-written");
    let bytes = files.values().map(|contents| contents.len() as u64).sum();
    progress.tell(&written(&bundle, bytes));
    Ok(bundle)
}

fn written(bundle: &Bundle, bytes: u64) -> Event {
    Event::Bundle {
        folder: bundle.dir.clone(),
        version: bundle.version.clone(),
        bytes,
    }
}

/// The bundle that stands in the recipe's place already, if it is the result of this very run: of this recipe,
/// this data and this backbone.
///
/// # Errors
/// [`WriteError::Exists`] where it is another one, or none that is whole.
pub fn finished(
    recipe: &Recipe,
    setting: &Setting<'_>,
    progress: &mut Progress,
) -> Result<Bundle, TrainError> {
    let folder = &recipe.output.folder;
    let other = || TrainError::Bundle(WriteError::Exists(folder.clone()));
    let bundle = Bundle::open(folder).map_err(|_| other())?;
    bundle.verify().map_err(|_| other())?;
    let (_, data) = run::open(recipe, setting, progress)?;
    let manifest = &bundle.manifest;
    let same = manifest.recipe == described(recipe)
        && manifest.data == origin::describe(&data.files, &data.parts)?
        && manifest.parent == backbone::parent(&recipe.backbone, &setting.base)
        && manifest.code_version == env!("CARGO_PKG_VERSION");
    if !same {
        return Err(other());
    }
    let size = |name: &String| bundle.file(name).metadata().map_or(0, |file| file.len());
    progress.tell(&written(&bundle, manifest.files.keys().map(size).sum()));
    Ok(bundle)
}

/// The recipe as a bundle tells it.
fn described(recipe: &Recipe) -> serde_json::Value {
    serde_json::to_value(recipe).expect("a recipe has only string keys")
}

/// Compares the exported model with the trainer's own forward pass over the weights as they are stored,
/// on texts of all lengths there are.
fn prove(
    recipe: &Recipe,
    trained: &Trained,
    backend: &mut dyn Backend,
    padding: u32,
) -> Result<Parity, TrainError> {
    let data = &trained.data;
    let all: Vec<&Encoded> = [&data.validation, &data.test, &data.train]
        .into_iter()
        .flatten()
        .collect();
    let lengths: Vec<usize> = all.iter().map(|example| example.tokens.len()).collect();
    let chosen: Vec<Encoded> = parity::spread(&lengths, COMPARED)
        .into_iter()
        .map(|index| all[index].clone())
        .collect();
    let model = trained.model();
    let stored = export::as_stored(model.layout, model.weights, recipe.export.weights);
    let model = Model {
        weights: &stored,
        ..model
    };
    let mut workers = trainer::workers(recipe.training.shards);
    let expected = trainer::score(model, &mut workers, &chosen);
    let texts: Vec<&[u32]> = chosen.iter().map(|e| e.tokens.as_slice()).collect();
    Ok(parity::compare(backend, &texts, &expected, padding)?)
}

fn gate(recipe: &Recipe, macro_recall: f64) -> Result<(), TrainError> {
    match recipe.output.min_macro_recall {
        Some(least) if macro_recall < least => Err(TrainError::Gate(format!(
            "macro-averaged recall on validation is {macro_recall:.4}, the recipe asks for at least {least:.4}"
        ))),
        _ => Ok(()),
    }
}

/// The id of the padding token: as the configuration says, or as BERT's vocabularies name it.
fn padding(trained: &Trained) -> u32 {
    let configured = trained.encoder.raw_config.get("pad_token_id");
    configured
        .and_then(serde_json::Value::as_u64)
        .and_then(|id| u32::try_from(id).ok())
        .or_else(|| trained.encoder.tokenizer.token_to_id("[PAD]"))
        .unwrap_or(0)
}

fn manifest(recipe: &Recipe, report: &Report, padding: u32, setting: &Setting<'_>) -> Manifest {
    Manifest {
        format: FORMAT,
        name: recipe.output.name.clone(),
        labels: recipe.labels.names.clone(),
        problem: Problem::SingleLabel,
        max_tokens: recipe.training.max_tokens,
        pad_token_id: padding,
        temperature: report.calibration.temperature,
        parent: backbone::parent(&recipe.backbone, &setting.base),
        adjustment: None,
        ensemble: None,
        code_version: env!("CARGO_PKG_VERSION").into(),
        recipe: report.recipe.clone(),
        data: report.data.clone(),
        files: BTreeMap::new(),
        metrics: report.validation.metrics.clone(),
        licences: recipe.licences.clone(),
    }
}

/// All files of the bundle but the manifest.
fn files(
    recipe: &Recipe,
    trained: &Trained,
    report: &Report,
    onnx: Vec<u8>,
) -> Result<BTreeMap<String, Vec<u8>>, TrainError> {
    let card = Card {
        config: &trained.encoder.raw_config,
        labels: &recipe.labels.names,
        tokenizer: &trained.encoder.tokenizer,
    };
    let unwritable = |name: &str, error: &dyn std::fmt::Display| {
        TrainError::write(&recipe.output.folder.join(name), error)
    };
    let tokenizer = card
        .tokenizer_json()
        .map_err(|error| unwritable(TOKENIZER_FILE, &error))?;
    let mut json = serde_json::to_vec_pretty(report).expect("a report has only string keys");
    json.push(b'\n');
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::from([
        (MODEL_FILE.into(), onnx),
        (TOKENIZER_FILE.into(), tokenizer),
        (backbone::CONFIG.into(), card.config_json()),
        (REPORT_FILE.into(), json),
        ("report.html".into(), report.html().into_bytes()),
    ]);
    if recipe.output.training_weights {
        let name = backbone::BUNDLE_WEIGHTS;
        let weights = trained.weights.to_safetensors(&trained.layout);
        files.insert(
            name.into(),
            weights.map_err(|error| unwritable(name, &error))?,
        );
    }
    Ok(files)
}
