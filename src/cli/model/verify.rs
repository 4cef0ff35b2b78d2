//! `tidewatch model verify`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Error;
use clap::Args;

use super::{DeviceArgs, log_sparingly, model_folder};
use crate::cli::exit::End;
use crate::model::inference::Inference;
use crate::model::manifest::Bundle;
use crate::model::scorer;
use crate::model::tokenizer::Tokenizer;

/// Check that a model bundle is whole and scores: its files' hashes, its tokenizer, its model and a first text
///
/// Says what was checked, and ends with 1 at the first fault.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    /// The bundle's folder [default: models/default here or in the clone]
    dir: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

/// What is scored to see that something is.
const PROBE: &str = "Is this thing on?";

pub(super) fn run(args: VerifyArgs) -> anyhow::Result<End> {
    log_sparingly();
    let folder = model_folder(args.dir);
    let bundle = Bundle::open(&folder).map_err(Error::msg)?;
    let manifest = &bundle.manifest;
    say(
        "manifest",
        format!("{} ({})", manifest.name, bundle.version),
    );
    bundle.verify().map_err(Error::msg)?;
    say(
        "files",
        format!("{} as the manifest has them", manifest.files.len()),
    );
    let tokenizer = Tokenizer::open(&bundle).map_err(Error::msg)?;
    let encoded = tokenizer.encode(PROBE);
    say(
        "tokenizer",
        format!("loads, and makes {} tokens of {PROBE:?}", encoded.ids.len()),
    );
    let started = Instant::now();
    let backend = scorer::backend(&bundle, &args.device.config(&folder)).map_err(Error::msg)?;
    let version = Arc::new(bundle.model_version());
    let mut inference = Inference::new(backend, Arc::clone(&version), manifest);
    let seconds = started.elapsed().as_secs_f64();
    say(
        "model",
        format!("loads in {seconds:.1} s on {}", inference.device()),
    );
    for result in inference
        .infer(&[encoded], 1, || false)
        .map_err(Error::msg)?
    {
        let prediction = result.map_err(Error::msg)?;
        let label = &version.labels[prediction.label];
        let percent = 100.0 * prediction.probabilities[prediction.label];
        say("probe", format!("is {label} with {percent:.1} %"));
    }
    Ok(End::Done)
}

fn say(what: &str, finding: String) {
    // Whether anybody reads it changes nothing of what is checked.
    let _ = writeln!(std::io::stdout(), "{what:<10} {finding}");
}
