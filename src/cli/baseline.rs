//! `tidewatch baseline`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::drift::posts::PostArgs;
use super::drift::scored::Reader;
use super::exit::{BadInput, End};
use super::model::{DeviceArgs, log_sparingly, model_folder};
use crate::drift::baseline::Baseline;
use crate::drift::null::NullSettings;
use crate::model::manifest::BASELINE_FILE;
use crate::train::bundle;

const EXAMPLES: &str = "Examples:
  tidewatch baseline --output baseline.json held-out.jsonl
  tidewatch baseline --bundle models/with-baseline --label-field sentiment --text-field text reviews.csv";

/// Make the baseline that live messages are compared with
///
/// Scores texts that are like those the model was calibrated on (and that it was not trained on: of those it is too sure) and
/// writes down what is normal: counts of tokens, labels, scores, and how much windows of such texts vary by chance. Texts with
/// labels given by people also tell how often the model is right. tidewatch-finetune puts one into each bundle it writes, so
/// this is for models from elsewhere and for feeds of another kind.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct BaselineArgs {
    #[command(flatten)]
    posts: PostArgs,
    /// The model bundle's folder [default: models/default here or in the clone]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Where to write the baseline, for [drift] baseline or for `drift replay --baseline`
    #[arg(long, value_name = "FILE", required_unless_present = "bundle")]
    output: Option<PathBuf>,
    /// Write a copy of the bundle that holds the baseline to this folder, which must not exist
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Resamples from which it is learnt how much windows vary
    #[arg(long, value_name = "N", default_value = "2000")]
    resamples: usize,
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(super) fn run(args: BaselineArgs) -> anyhow::Result<End> {
    log_sparingly();
    if let Some(target) = &args.bundle {
        bundle::refuse_existing(target).map_err(BadInput::from)?;
    }
    let folder = model_folder(args.model);
    let mut reader = Reader::open(&folder, &args.device.config(&folder))?;
    let loaded = args.posts.load()?;
    let mut strange = 0;
    let mut labelled = Vec::with_capacity(loaded.posts.len());
    for (reading, post) in reader.read(loaded.posts)? {
        let truth = post.label.as_deref().map(|label| reader.label(label));
        strange += u64::from(truth == Some(None));
        labelled.push((reading, truth.flatten()));
    }
    if strange > 0 {
        eprintln!(
            "tidewatch: {strange} labels are none of the model's ({}) and were passed over",
            reader.bundle.manifest.labels.join(", ")
        );
    }
    let settings = NullSettings {
        resamples: args.resamples,
        seed: args.seed,
        ..NullSettings::default()
    };
    let baseline = Baseline::build(
        labelled,
        reader.bundle.manifest.labels.clone(),
        reader.tokenizer.unknown_token(),
        reader.shape(),
        reader.identity(),
        &settings,
    )
    .map_err(BadInput::from)?;
    let json = baseline.to_json()?;
    if let Some(path) = &args.output {
        std::fs::write(path, &json)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        eprintln!(
            "tidewatch: {} holds the baseline of {} messages",
            path.display(),
            baseline.messages
        );
    }
    if let Some(target) = &args.bundle {
        let manifest = reader.bundle.manifest.clone();
        let mut files = BTreeMap::new();
        for name in manifest.files.keys() {
            let path = reader.bundle.file(name);
            let bytes = std::fs::read(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            files.insert(name.clone(), bytes);
        }
        files.insert(BASELINE_FILE.to_owned(), json);
        let written = bundle::write(target, manifest, &files).map_err(BadInput::from)?;
        eprintln!(
            "tidewatch: {} is version {}",
            target.display(),
            written.version
        );
    }
    Ok(End::Done)
}
