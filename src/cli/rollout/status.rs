//! `tidewatch rollout status`.

use std::io::Write;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::cli::model::registry::{short, time, with_store};
use crate::rollout::policy::Stage;
use crate::rollout::sequential::Tally;
use crate::store::{Rollout, RolloutCounts, RolloutKind, RolloutStep, Serving};

/// Say which rollout is under way, what its models have said in its stage, and which instances follow it
///
/// Where none is under way, the last one is shown.
#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// As a JSON object
    #[arg(long)]
    json: bool,
}

/// All that is shown of a rollout.
struct Found {
    rollout: Rollout,
    /// None where it has ended.
    counts: Option<RolloutCounts>,
    labels: Vec<String>,
    steps: Vec<RolloutStep>,
    serving: Vec<Serving>,
}

pub(super) fn run(args: &StatusArgs) -> anyhow::Result<End> {
    let found = with_store(&args.config, async |_, store| {
        let Some(rollout) = store.rollouts(1).await?.pop() else {
            return Ok(None);
        };
        let counts = match rollout.ended {
            None => Some(store.rollout_counts(&rollout).await?),
            Some(_) => None,
        };
        let mut serving = store.serving_now().await?;
        serving.retain(|serving| serving.rollout == Some(rollout.id));
        Ok(Some(Found {
            labels: store
                .labels_of(&rollout.candidate)
                .await?
                .unwrap_or_default(),
            steps: store.rollout_steps(rollout.id).await?,
            counts,
            serving,
            rollout,
        }))
    })?;
    let mut out = std::io::stdout().lock();
    match (found, args.json) {
        (Some(found), true) => writeln!(out, "{}", object(&found))?,
        (Some(found), false) => writeln!(out, "{}", describe(&found))?,
        (None, true) => writeln!(out, "null")?,
        (None, false) => writeln!(
            out,
            "there were no rollouts: `tidewatch rollout start` begins one"
        )?,
    }
    Ok(End::Done)
}

fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Shadow => "shadow",
        Stage::Canary { .. } => "canary",
        Stage::Full => "full",
    }
}

fn mean(tally: &Tally) -> Option<f64> {
    (tally.count > 0).then(|| tally.mean())
}

fn object(found: &Found) -> Value {
    let rollout = &found.rollout;
    let pair = |(candidate, champion): &(Tally, Tally)| json!({"candidate": mean(candidate), "champion": mean(champion), "messages": [candidate.count, champion.count]});
    let counts = found.counts.as_ref().map(|counts| {
        let classes = found.labels.iter().zip(&counts.classes);
        let classes = classes.map(|(label, tallies)| (label.clone(), pair(tallies)));
        json!({
            "messages": counts.messages, "served": counts.served, "both": counts.both,
            "agreement": mean(&counts.agreement), "confidence": pair(&counts.confidence),
            "classes": classes.collect::<serde_json::Map<_, _>>(),
        })
    });
    let steps = found.steps.iter().map(|step| {
        json!({
            "at": step.at, "step": step.step, "stage": step.stage, "share": step.share, "reason": step.reason,
            "evidence": step.evidence,
        })
    });
    let serving = found.serving.iter().map(|serving| {
        json!({"instance": serving.instance, "model": serving.version, "share": serving.share, "heard": serving.heard})
    });
    let entered = chrono::DateTime::from_timestamp_millis(rollout.state.entered_at);
    json!({
        "rollout": rollout.id, "kind": rollout.kind.as_str(), "champion": rollout.champion, "candidate": rollout.candidate,
        "stage": stage(rollout.state.stage), "share": rollout.state.stage.share(), "shadow_share": rollout.shadow_share,
        "keep_together": rollout.keep_together, "passed": rollout.state.passed, "training": rollout.training,
        "begun": rollout.begun, "entered": entered, "ended": rollout.ended.map(|(at, _)| at),
        "outcome": rollout.ended.map(|(_, outcome)| outcome.as_str()), "by": rollout.by, "reason": rollout.reason,
        "counts": counts, "steps": steps.collect::<Vec<_>>(), "serving": serving.collect::<Vec<_>>(),
    })
}

/// A rollout in some lines.
fn describe(found: &Found) -> String {
    let rollout = &found.rollout;
    let kind = match rollout.kind {
        RolloutKind::Rollout => "rollout",
        RolloutKind::Ab => "A/B test",
    };
    let state = match rollout.ended {
        Some((at, outcome)) => format!("{} {}", outcome.as_str(), time(at)),
        None => format!(
            "{}, serves {:.0} %",
            stage(rollout.state.stage),
            100.0 * rollout.state.stage.share()
        ),
    };
    let mut lines = vec![
        format!(
            "{kind} {}  {} beside {}  {state}",
            rollout.id,
            short(&rollout.candidate),
            short(&rollout.champion)
        ),
        rollout.reason.clone(),
    ];
    if let Some(counts) = &found.counts {
        lines.push(format!(
            "{} messages scored in this stage, {} of them served; {} scored by both",
            counts.messages, counts.served, counts.both
        ));
        if let Some(agreement) = mean(&counts.agreement) {
            lines.push(format!("the same label for {:.1} %", 100.0 * agreement));
        }
        let shares = found.labels.iter().zip(&counts.classes);
        let shares = shares.map(|(label, tallies)| (format!("{label}: share"), tallies));
        let confidence = ("mean confidence".to_owned(), &counts.confidence);
        for (name, (candidate, champion)) in shares.chain([confidence]) {
            if let (Some(candidate), Some(champion)) = (mean(candidate), mean(champion)) {
                lines.push(format!(
                    "{name} {:.1} %, beside {:.1} %",
                    100.0 * candidate,
                    100.0 * champion
                ));
            }
        }
    }
    for step in &found.steps {
        lines.push(format!(
            "{}  {}  {:.0} %  {}",
            time(step.at),
            step.step,
            100.0 * step.share,
            step.reason
        ));
    }
    for serving in &found.serving {
        lines.push(format!(
            "{} serves {:.0} % by {}",
            serving.instance,
            100.0 * serving.share,
            short(&serving.version)
        ));
    }
    lines.join("\n    ")
}
