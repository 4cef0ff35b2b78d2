//! `tidewatch retrain run`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::progress::Display;
use crate::cli::ConfigArgs;
use crate::cli::exit::{BadInput, End};
use crate::cli::model::log_sparingly;
use crate::cli::model::registry::short;
use crate::cli::signals;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::renewal::{News, Outcome, Plan, Renewal, RenewalError, Start, Trainer, by_hand};
use crate::retrain::runner;
use crate::store::Store;

const EXAMPLES: &str = "Examples:
  tidewatch retrain run --dry-run --config my.toml
  tidewatch retrain run --config my.toml
  tidewatch retrain run --resume 7 --config my.toml
  tidewatch retrain run --first recipes/default.toml --config my.toml

Exit codes: 0 there is a candidate; 1 there is none; 2 a setting, a file or the command line cannot be used; 130 stopped by
Ctrl-C or SIGTERM, and --resume goes on from there.";

/// Train a model on labelled messages, and make it the candidate
///
/// Reads the labelled messages from Postgres and the base data that [retrain.base] names, chooses what to train, to calibrate and
/// to compare on, runs tidewatch-finetune within the limits of [retrain.runner], and imports the bundle into the registry. Each
/// run stands in Postgres (`tidewatch retrain list`), and none is run twice on the same rows.
///
/// It starts from the champion's weights where its bundle holds them, else from the backbone of [retrain.base]. The candidate does not
/// serve: compare it with the champion, then promote it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Say what would be trained and on what, and change nothing
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
    /// Start from the champion's weights, or not at all
    #[arg(long)]
    champion_weights: bool,
    /// Train by this recipe and from its backbone, as if for the first time
    #[arg(long, value_name = "RECIPE", conflicts_with = "champion_weights")]
    first: Option<PathBuf>,
    /// Go on with a run that was stopped, has failed or has lost its process
    #[arg(long, value_name = "RUN", conflicts_with_all = ["champion_weights", "first"])]
    resume: Option<i64>,
    /// Tell everything as JSON lines, also where a person watches
    #[arg(long)]
    json: bool,
    /// Who does it, for the history
    #[arg(long, value_name = "NAME", env = "USER", default_value = "unknown")]
    by: String,
}

pub(super) fn run(args: &RunArgs) -> anyhow::Result<End> {
    let config = args.config.load()?;
    log_sparingly();
    let runtime = tokio::runtime::Runtime::new()?;
    let display = Display::new(args.json);
    let stop = {
        let _inside = runtime.enter();
        signals::listen()?.end
    };
    let done = runtime.block_on(work(args, config, &display, &stop));
    display.finish();
    match done {
        Ok(Done::Trained(outcome)) => Ok(end(outcome, &display)),
        Ok(Done::Looked) => Ok(End::Done),
        Ok(Done::Interrupted) => Ok(End::Interrupted),
        Err(error) if error.is_input() => Err(BadInput::from(error)),
        Err(error) => Err(anyhow::Error::msg(error)),
    }
}

enum Done {
    Trained(Outcome),
    /// Only a look was asked for.
    Looked,
    /// Before anything was begun.
    Interrupted,
}

async fn work(
    args: &RunArgs,
    config: Config,
    display: &Display,
    stop: &CancellationToken,
) -> Result<Done, RenewalError> {
    let store = Store::connect(&config.postgres).await?;
    store.require_schema().await?;
    let renewal = Renewal {
        registry: Registry::open(&config.registry, &config.model, store.clone())?,
        store,
        config: config.retrain,
        held_out: config.held_out,
        metrics: Metrics::new(),
    };
    let tell = &mut |news: News<'_>| display.tell(&news);
    if let Some(run) = args.resume {
        let resumed = renewal
            .resume(run, Trainer::by_hand(&args.by), tell, stop)
            .await;
        return resumed.map(Done::Trained);
    }
    let start = match (&args.first, args.champion_weights) {
        (Some(recipe), _) => Start::First(recipe.clone()),
        (None, true) => Start::ChampionWeights,
        (None, false) => Start::Best,
    };
    let plan = tokio::select! {
        plan = renewal.plan(&start, by_hand(&args.by)) => plan?,
        () = stop.cancelled() => return Ok(Done::Interrupted),
    };
    let before = renewal.store.training_of(plan.fingerprint.as_str()).await?;
    describe(&plan, before.map(|run| run.id), display);
    if args.dry_run {
        return Ok(Done::Looked);
    }
    let ended = renewal
        .run(plan, Trainer::by_hand(&args.by), tell, stop)
        .await;
    ended.map(Done::Trained)
}

fn describe(plan: &Plan, before: Option<i64>, display: &Display) {
    display.line(&json!({
        "event": "plan", "champion": plan.champion, "fingerprint": plan.fingerprint, "reasons": plan.reasons(),
        "faults": plan.faults, "dataset": plan.report(), "begun_before": before,
    }));
    for reason in plan.reasons() {
        display.say(&reason);
    }
    if plan.faults > 0 {
        display.say(&format!(
            "{} lines of the base data are no rows and were left out",
            plan.faults
        ));
    }
    if let Some(run) = before {
        display.say(&format!("the same was begun before, as run {run}"));
    }
    for (reason, rows) in &plan.report().left_out {
        display.say(&format!("left out: {rows} {}", reason.in_words()));
    }
}

fn end(outcome: Outcome, display: &Display) -> End {
    match outcome {
        Outcome::Candidate {
            run,
            taken,
            folder,
            bundle,
            champion,
        } => {
            display.line(&json!({
                "event": "candidate", "run": run, "version": taken.version, "bundle": bundle,
                "held_out": folder.held_out(), "champion": champion,
            }));
            if matches!(display, Display::Bar(_)) {
                println!("{}", taken.version);
            }
            eprintln!(
                "tidewatch: {} ({}) is the candidate; next:",
                taken.name,
                short(&taken.version)
            );
            if let Some(champion) = champion {
                let labels = folder.held_out().map_or_else(String::new, |file| {
                    format!(" --labels {} --label-field label", file.display())
                });
                eprintln!(
                    "  tidewatch model compare {} {}{labels}",
                    champion.display(),
                    bundle.display()
                );
            }
            eprintln!("  tidewatch model promote candidate --reason 'training run {run}'");
            End::Done
        }
        Outcome::Stopped { run } => {
            display.line(&json!({"event": "stopped", "run": run}));
            eprintln!(
                "tidewatch: stopped; `tidewatch retrain run --resume {run}` goes on from there"
            );
            End::Interrupted
        }
        Outcome::Failed { run, end } => {
            display.line(&json!({"event": "failed", "run": run, "end": end}));
            eprintln!("tidewatch: run {run} has failed: {}", sentence(&end));
            End::Failed
        }
    }
}

/// Why there is no bundle.
fn sentence(end: &runner::End) -> String {
    let last = |words: &[String]| words.last().cloned().unwrap_or_default();
    match end {
        runner::End::Refused {
            code, last_words, ..
        } => format!("the trainer ended with code {code}: {}", last(last_words)),
        runner::End::Killed { by, last_words } => format!(
            "the trainer was ended by signal {by} each time (9 may mean that the memory ran short): {}",
            last(last_words)
        ),
        runner::End::TimedOut { .. } => {
            "it took longer than [retrain.runner] time_limit_minutes".to_owned()
        }
        runner::End::Silent { .. } => {
            "the trainer said nothing for [retrain.runner] silence_seconds".to_owned()
        }
        runner::End::NotStarted { reason } => reason.clone(),
        // These are no failures.
        runner::End::Done { .. } | runner::End::Stopped { .. } => String::new(),
    }
}
