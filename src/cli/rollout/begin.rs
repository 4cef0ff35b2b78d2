//! `tidewatch rollout start` and `ab`.

use clap::Args;
use serde_json::json;

use crate::cli::ConfigArgs;
use crate::cli::exit::End;
use crate::cli::model::registry::{WhyArgs, short, with_store};
use crate::registry::{Registry, RegistryError, resolve};
use crate::rollout::config::RolloutConfig;
use crate::rollout::policy::{Stage, State};
use crate::store::{Alias, NewRollout, RolloutKind, Store};

const EXAMPLES: &str = "Examples:
  tidewatch rollout start candidate --config my.toml --passed --reason 'passed the gate'
  tidewatch rollout ab 5c5e5182 --share 0.3 --config my.toml
  tidewatch rollout ab 5c5e5182 --against 4bb6acb0 --share 0.5 --config my.toml
  tidewatch rollout status --config my.toml";

/// Begin a rollout: the model scores in shadow, and is recorded beside what is served
///
/// The champion goes on serving everybody. From shadow on it goes as [rollout] says, where an instance decides on rollouts; else
/// it stays there until `tidewatch rollout stop`. One rollout is under way at a time.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct StartArgs {
    /// A version, its first digits (six at least), or an alias: candidate, shadow, previous
    #[arg(value_name = "VERSION")]
    model: String,
    /// The gate has passed it, so it need not be proven better before it serves anybody
    #[arg(long)]
    passed: bool,
    /// Part of the messages that it scores in shadow, from 0 to 1, if not as [rollout] says
    #[arg(long, value_name = "PART", value_parser = part)]
    shadow_share: Option<f64>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    why: WhyArgs,
}

/// Begin an A/B test: the model serves a fixed share of the messages, the champion the rest
///
/// An author (or subject, as [rollout] keep_together says) stays with one of the two. It lasts until `tidewatch rollout stop`;
/// nothing is decided by itself. Any two models can be tested: the one named by --against becomes the champion for it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct AbArgs {
    /// A version, its first digits (six at least), or an alias: candidate, shadow, previous
    #[arg(value_name = "VERSION")]
    model: String,
    /// Part of the messages that it serves, above 0 and below 1
    #[arg(long, value_name = "PART", value_parser = inner_part)]
    share: f64,
    /// The model that serves the rest, if not the champion: it is promoted, and `tidewatch model rollback` takes that back later
    #[arg(long, value_name = "VERSION")]
    against: Option<String>,
    /// Part of the other messages that it scores in shadow, from 0 to 1
    #[arg(long, value_name = "PART", value_parser = part, default_value = "0")]
    shadow_share: f64,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    why: WhyArgs,
}

pub(super) fn start(args: &StartArgs) -> anyhow::Result<End> {
    let begun = Begin {
        model: &args.model,
        kind: RolloutKind::Rollout,
        stage: Stage::Shadow,
        passed: args.passed,
        shadow_share: args.shadow_share,
        against: None,
    };
    let (id, arms) = begin(&args.config, &args.why, &begun)?;
    println!("{id}");
    eprintln!(
        "tidewatch: rollout {id} has begun: {} scores in shadow",
        short(&arms.model)
    );
    Ok(End::Done)
}

pub(super) fn ab(args: &AbArgs) -> anyhow::Result<End> {
    let begun = Begin {
        model: &args.model,
        kind: RolloutKind::Ab,
        stage: Stage::Canary { share: args.share },
        passed: false,
        shadow_share: Some(args.shadow_share),
        against: args.against.as_deref(),
    };
    let (id, arms) = begin(&args.config, &args.why, &begun)?;
    println!("{id}");
    eprintln!(
        "tidewatch: A/B test {id} has begun: {} serves {} % of the messages, {} the rest",
        short(&arms.model),
        100.0 * args.share,
        short(&arms.champion),
    );
    if let Some(replaced) = arms.replaced {
        eprintln!(
            "tidewatch: {} is the champion for it; `tidewatch model rollback` returns to {} when the test is over",
            short(&arms.champion),
            short(&replaced)
        );
    }
    Ok(End::Done)
}

struct Begin<'a> {
    model: &'a str,
    kind: RolloutKind,
    stage: Stage,
    passed: bool,
    shadow_share: Option<f64>,
    /// Who is to be champion, if not who is.
    against: Option<&'a str>,
}

/// The models of a rollout, by version.
struct Arms {
    model: String,
    champion: String,
    /// Who was champion, where another took its place for this.
    replaced: Option<String>,
}

/// Begins a rollout; its number and its models.
fn begin(config: &ConfigArgs, why: &WhyArgs, begin: &Begin<'_>) -> anyhow::Result<(i64, Arms)> {
    with_store(config, async |config, store| {
        // Bundles are needed for a promotion only.
        let registry = match begin.against {
            Some(_) => Some(Registry::open(
                &config.registry,
                &config.model,
                store.clone(),
            )?),
            None => None,
        };
        let arms = arms(registry.as_ref(), &store, why, begin).await?;
        match begin_beside(&config.rollout, &store, why, begin, &arms).await {
            Ok(id) => Ok((id, arms)),
            Err(error) => {
                // Nothing is left of a test that has not begun.
                if let Some(registry) = registry.filter(|_| arms.replaced.is_some()) {
                    let change = why.change();
                    registry.rollback(Some(&arms.champion), &change).await?;
                }
                Err(error)
            }
        }
    })
}

/// Who takes part. Another model than the champion takes the champion's place first where that is asked for.
async fn arms(
    registry: Option<&Registry>,
    store: &Store,
    why: &WhyArgs,
    begin: &Begin<'_>,
) -> Result<Arms, RegistryError> {
    let model = resolve(store, begin.model).await?;
    let aliases = store.aliases().await?;
    let champion = aliases.into_iter().find(|of| of.alias == Alias::Champion);
    let Some(seen) = champion.map(|of| of.version) else {
        return Err(RegistryError::Refused(
            "there is no champion yet: make one with `tidewatch model promote`".to_owned(),
        ));
    };
    let Some((registry, against)) = registry.zip(begin.against) else {
        return Ok(Arms {
            model,
            champion: seen,
            replaced: None,
        });
    };
    let champion = resolve(store, against).await?;
    if champion == model {
        return Err(RegistryError::Refused(format!(
            "both are the model {}: name two",
            short(&champion)
        )));
    }
    // What is under way is about the present champion.
    if store.active_rollout().await?.is_some() {
        return Err(not_alone());
    }
    let change = why.change();
    let changed = registry.promote(&champion, Some(&seen), &change).await?;
    Ok(Arms {
        model,
        champion,
        replaced: changed.then_some(seen),
    })
}

/// Begins a rollout beside the champion that was seen; its number.
async fn begin_beside(
    config: &RolloutConfig,
    store: &Store,
    why: &WhyArgs,
    begin: &Begin<'_>,
    arms: &Arms,
) -> Result<i64, RegistryError> {
    let change = why.change();
    let salt: u64 = rand::random();
    let new = NewRollout {
        kind: begin.kind,
        champion: &arms.champion,
        candidate: &arms.model,
        salt: &format!("{salt:016x}"),
        state: State {
            stage: begin.stage,
            entered_at: chrono::Utc::now().timestamp_millis(),
            passed: begin.passed,
        },
        shadow_share: begin.shadow_share.unwrap_or(config.shadow_share),
        keep_together: config.keep_together,
        training: None,
        by: change.by,
        reason: change.reason,
        detail: json!({}),
    };
    store.begin_rollout(&new, None).await?.ok_or_else(not_alone)
}

fn not_alone() -> RegistryError {
    RegistryError::Refused(
        "another rollout is under way, or another model has become champion meanwhile: see `tidewatch rollout status`"
            .to_owned(),
    )
}

/// A part from 0 to 1.
fn part(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err("it must be from 0 to 1".to_owned())
    }
}

/// A part that leaves something to both.
fn inner_part(text: &str) -> Result<f64, String> {
    let value = part(text)?;
    if value > 0.0 && value < 1.0 {
        Ok(value)
    } else {
        Err("it must be above 0 and below 1, so that both models serve".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_from_0_to_1_and_an_arm_leaves_something_to_the_other() {
        assert_eq!(part("0.25"), Ok(0.25));
        assert_eq!(part("1"), Ok(1.0));
        assert!(part("1.01").is_err() && part("nan").is_err() && part("x").is_err());
        assert!(inner_part("0").is_err() && inner_part("1").is_err());
        assert_eq!(inner_part("0.5"), Ok(0.5));
    }
}
