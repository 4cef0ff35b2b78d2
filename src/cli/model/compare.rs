//! `tidewatch model compare`.

pub(in crate::cli) mod page;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{TimeDelta, Utc};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::registry::with_registry;
use super::{DeviceArgs, log_sparingly};
use crate::cli::ConfigArgs;
use crate::cli::drift::posts::Unescape;
use crate::cli::exit::{BadInput, End};
use crate::compare::error::CompareError;
use crate::compare::rows::Rows;
use crate::compare::{Compared, Material, Pair, Watch, material};
use crate::config::Config;
use crate::gate::comparison::Verdict;
use crate::gate::example::MOST_EXAMPLES;
use crate::gate::speed::MOST_RUNS;
use crate::posts;
use crate::registry::{may_name, resolve};
use crate::replay::ReadOptions;
use crate::store::Store;

const EXAMPLES: &str = "Examples:
  tidewatch model compare models/default runs/new --labels held-out.csv --label-field sentiment
  tidewatch model compare champion candidate --config my.toml --recent 30
  tidewatch model compare models/default runs/new --labels held-out.jsonl --json | jq .verdict";

/// Compare a candidate with the champion on labelled texts, and say whether it may take its place
///
/// Both answer the same texts and run in turns on this machine; the rules are those of [gate] in the config. Ends with 0 where the
/// candidate passes, with 3 where it fails, and with 4 where that stays open.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct CompareArgs {
    /// The model that serves: its bundle's folder, or in the registry an alias, a version or its first digits
    champion: String,
    /// The model that might, in the same way
    candidate: String,
    /// The fixed held-out set: files of labelled texts (.tsv, .csv, .jsonl) that neither was trained on [default: those of [held_out]
    /// in the config]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    labels: Vec<PathBuf>,
    #[command(flatten)]
    read: ReadOptions,
    /// Escapes that stand literally in the texts and are to be undone, as they were for training
    #[arg(long, value_enum, value_name = "KIND", value_delimiter = ',')]
    unescape: Vec<Unescape>,
    /// Compare on labelled messages of Postgres that were written in the last so many days, too
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    recent: Option<u32>,
    /// The Equity Evaluation Corpus, to see whether score gaps get wider [default: [gate] equity]
    #[arg(long, value_name = "FILE")]
    equity: Option<PathBuf>,
    /// Timed runs of each model, four at least; 0 leaves the speed unmeasured
    #[arg(long, value_name = "N", default_value = "8", value_parser = runs)]
    runs: usize,
    /// Everything that was found, as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

fn runs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(runs) if runs == 0 || (4..=MOST_RUNS).contains(&runs) => Ok(runs),
        _ => Err(format!("it must be 0, or from 4 to {MOST_RUNS}")),
    }
}

pub(super) fn run(args: &CompareArgs) -> anyhow::Result<End> {
    log_sparingly();
    let mut config = args.config.load()?;
    if let Some(equity) = &args.equity {
        config.gate.equity.clone_from(equity);
    }
    let fixed = args.fixed(&config)?;
    let corpus = material::corpus(&config.gate).map_err(BadInput::from)?;
    let [champion, candidate] = args.folders()?;
    let device = args.device.config(&candidate);
    let opened = Pair::open(&champion, &candidate, &device, config.batch.max_tokens);
    let mut pair = opened.map_err(BadInput::from)?;
    let recent = match args.recent {
        Some(days) => recent(&config, days, &pair)?,
        None => Rows::default(),
    };
    let material = Material {
        fixed: &fixed,
        recent: &recent,
        corpus: corpus.as_ref(),
        runs: args.runs,
        rules: &config.gate,
    };
    let bar = bar(Pair::work(&material));
    let watch = Watch {
        scored: &|texts| bar.inc(texts),
        stop: &|| false,
    };
    let compared = pair.compare(&material, &watch);
    bar.finish_and_clear();
    let compared = compared.map_err(|error| match error {
        CompareError::Broken { .. } => anyhow::Error::msg(error),
        error => BadInput::from(error),
    })?;
    write(&compared, args.json)?;
    Ok(match compared.comparison.verdict {
        Verdict::Pass => End::Done,
        Verdict::Fail => End::Unfit,
        Verdict::Inconclusive => End::Undecided,
    })
}

impl CompareArgs {
    /// The folders of both bundles. Models of the registry are fetched, and only for them is it opened.
    fn folders(&self) -> anyhow::Result<[PathBuf; 2]> {
        let both = [&*self.champion, &*self.candidate];
        if both.iter().all(|text| is_folder(text)) {
            return Ok(both.map(PathBuf::from));
        }
        with_registry(&self.config, async |registry, store| {
            let mut folders = both.map(PathBuf::from);
            for (text, folder) in both.iter().zip(&mut folders) {
                if !is_folder(text) {
                    *folder = registry.fetch(&resolve(&store, text).await?).await?.dir;
                }
            }
            Ok(folders)
        })
    }

    /// The fixed set: the files of the command line, else those of the config.
    fn fixed(&self, config: &Config) -> anyhow::Result<Rows> {
        if !self.labels.is_empty() {
            let escapes: Vec<_> = self.unescape.iter().map(|&kind| kind.into()).collect();
            let loaded = posts::load(&self.labels, &self.read, &escapes);
            return Ok(Rows::of_posts(loaded.map_err(BadInput::from)?));
        }
        if config.held_out.files.is_empty() {
            return Err(BadInput::from(
                "there is no held-out set to compare on; name its files with --labels, or in the config under [held_out] files",
            ));
        }
        material::fixed(&config.held_out).map_err(BadInput::from)
    }
}

/// A folder that is there is meant, whatever it is called; so is one that is not, where it cannot be a model's name.
fn is_folder(text: &str) -> bool {
    !may_name(text) || Path::new(text).is_dir()
}

fn recent(config: &Config, days: u32, pair: &Pair) -> anyhow::Result<Rows> {
    let from = Utc::now() - TimeDelta::days(i64::from(days));
    let limit = u32::try_from(MOST_EXAMPLES).unwrap_or(u32::MAX);
    let runtime = tokio::runtime::Runtime::new()?;
    let messages = runtime.block_on(async {
        let store = Store::connect(&config.postgres).await?;
        store.require_schema().await?;
        anyhow::Ok(store.labelled_since(from, limit).await?)
    })?;
    Ok(Rows::of_recent(messages, pair.trained()))
}

fn bar(texts: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{bar:30} {pos} of {len} texts scored, {eta} left";
    ProgressBar::new(texts)
        .with_style(ProgressStyle::with_template(style).expect("the template is well-formed"))
}

fn write(compared: &Compared, json: bool) -> anyhow::Result<()> {
    let stdout = std::io::stdout();
    let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut out = stdout.lock();
    if json {
        let text = serde_json::to_string(compared).context("the comparison is no JSON")?;
        writeln!(out, "{text}")?;
    } else {
        for line in page::lines(compared, colour) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_none_or_as_many_as_an_interval_takes() {
        assert_eq!((runs("0"), runs("4")), (Ok(0), Ok(4)));
        for text in ["1", "3", "51", "-4", "many"] {
            assert!(runs(text).is_err(), "{text}");
        }
    }
}
