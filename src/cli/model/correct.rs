//! `tidewatch model correct`.

use anyhow::bail;
use clap::Args;

use super::derived::{Assigned, RemedyArgs, days_ago};
use crate::cli::exit::{BadInput, End};
use crate::labels::canonical;
use crate::remedy::{RemedyError, Shares, prior_correction};

const EXAMPLES: &str = "Examples:
  tidewatch model correct --from-watch --dry-run --config my.toml
  tidewatch model correct --priors negative=0.5,neutral=0.3,positive=0.2 --config my.toml

Exit codes: 0 there is a corrected model, or would be; 2 the command line or the config cannot be used; 3 it is refused, and the
sentence says why; 1 something does not answer.";

/// Correct a model for other class shares, without training
///
/// Its probabilities are weighed by the feed's class shares over those that it was calibrated on (Saerens et al. 2002). What is
/// made is a model of its own in the registry, with the same files, derived from the one that was trained; it does not serve by
/// that. Where 50 labelled messages or more tell of it, it must not make them less likely.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(in crate::cli) struct CorrectArgs {
    #[command(flatten)]
    remedy: RemedyArgs,
    /// The feed's class shares, one for each label
    #[arg(long, value_name = "LABEL=SHARE", value_delimiter = ',', value_parser = Assigned::parse,
          required_unless_present = "from_watch", conflicts_with = "from_watch")]
    priors: Vec<Assigned>,
    /// The class shares that the watch has estimated
    #[arg(long)]
    from_watch: bool,
    /// How many of the watch's latest windows are taken together
    #[arg(long, value_name = "N", default_value = "1", requires = "from_watch",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    windows: u32,
    /// The class shares that the model was calibrated on [default: those of its baseline]
    #[arg(long, value_name = "LABEL=SHARE", value_delimiter = ',', value_parser = Assigned::parse)]
    source: Vec<Assigned>,
    /// Check it on labelled messages of the last so many days; with --from-watch, since the first window
    #[arg(long, value_name = "DAYS", default_value = "7", value_parser = clap::value_parser!(u32).range(1..=3650))]
    recent: u32,
}

pub(super) fn run(args: &CorrectArgs) -> anyhow::Result<End> {
    let mut misnamed = None;
    let ended = args.remedy.run(async |setting, version| {
        let model = setting.store.registered(version).await?;
        let labels = model.map(|model| model.labels).unwrap_or_default();
        let mut ordered = |given: &[Assigned]| match in_order(given, &labels) {
            Ok(shares) => Ok(shares),
            Err(why) => {
                misnamed = Some(why);
                Err(RemedyError::NoShares(
                    given.iter().map(|share| share.value).collect(),
                ))
            }
        };
        let shares = if args.from_watch {
            Shares::Watched {
                windows: args.windows,
            }
        } else {
            Shares::Given(ordered(&args.priors)?)
        };
        let source = match &*args.source {
            [] => None,
            given => Some(ordered(given)?),
        };
        let since = days_ago(args.recent);
        prior_correction(setting, version, &shares, source.as_deref(), since).await
    });
    match misnamed {
        Some(why) => bail!(BadInput(why)),
        None => ended,
    }
}

/// The shares in the order of the labels.
fn in_order(given: &[Assigned], labels: &[String]) -> Result<Vec<f64>, String> {
    let mut shares: Vec<Option<f64>> = vec![None; labels.len()];
    for share in given {
        let place = canonical(labels, &share.name)
            .and_then(|name| labels.iter().position(|label| label == name));
        let slot = place.and_then(|place| shares.get_mut(place));
        match slot {
            Some(slot @ None) => *slot = Some(share.value),
            Some(Some(_)) => return Err(format!("{} is given twice", share.name)),
            None => {
                return Err(format!(
                    "{} is none of the model's labels: {}",
                    share.name,
                    labels.join(", ")
                ));
            }
        }
    }
    let whole: Option<Vec<f64>> = shares.into_iter().collect();
    whole.ok_or_else(|| format!("give a share for each label: {}", labels.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_put_into_the_labels_order_and_each_must_be_given_once() {
        let labels = ["no", "yes"].map(String::from);
        let given = |texts: &[&str]| {
            let given: Vec<Assigned> = texts
                .iter()
                .map(|text| Assigned::parse(text).unwrap())
                .collect();
            in_order(&given, &labels)
        };
        assert_eq!(given(&["Yes=0.7", "no=0.3"]), Ok(vec![0.3, 0.7]));
        for (texts, words) in [
            (&["yes=1"][..], "for each label"),
            (&["yes=1", "maybe=0"], "none of the model's labels"),
            (&["yes=1", "yes=0"], "twice"),
        ] {
            let said = given(texts).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }
}
