//! One window of the live feed in words, from the counters that are kept of it.

use crate::drift::baseline::Baseline;
use crate::drift::counts::Counts;
use crate::drift::explain::moved;
use crate::drift::packed::unpack;
use crate::model::manifest::Bundle;
use crate::model::tokenizer::Tokenizer;
use crate::store::{PastCounts, PastWindow};

/// Tokens that are named.
const NAMED: usize = 12;

/// All that is known of a window; `bundle` names its tokens where it is the one that scored it.
pub(super) fn words(found: &PastCounts, bundle: Option<&Bundle>) -> Vec<String> {
    let window = &found.window;
    let mut lines = vec![format!(
        "window {} of model {}: {} to {}, {} messages, {}",
        window.number,
        window.model,
        window.started.to_rfc3339(),
        window.ended.to_rfc3339(),
        window.messages,
        window.verdict
    )];
    for (name, said) in window.detail["statistics"]
        .as_object()
        .into_iter()
        .flatten()
    {
        lines.push(format!(
            "  {name:>15}  {:>9} (usually {})  p = {}, adjusted {}",
            number(&said["value"]),
            number(&said["usual"]),
            number(&said["p"]),
            number(&said["adjusted"])
        ));
    }
    lines.extend(sources(window));
    lines.extend(labels(window));
    let baseline = found.baseline.as_deref().map(Baseline::parse);
    let Some(Ok(baseline)) = baseline else {
        return lines;
    };
    match unpack(&found.counts, baseline.shape) {
        Ok(counts) => lines.extend(compare(&counts, &baseline, found, bundle)),
        Err(error) => lines.push(format!("its counters cannot be compared: {error}")),
    }
    lines
}

/// The sources of a window, each with its verdict.
pub(super) fn sources(window: &PastWindow) -> Option<String> {
    let sources = window.detail["by_source"].as_object()?;
    let said: Vec<String> = sources
        .iter()
        .map(|(source, said)| {
            let name = if source.is_empty() {
                "without a source"
            } else {
                source
            };
            let verdict = said["verdict"].as_str().unwrap_or("unknown");
            let foremost = said["foremost"].as_str().filter(|_| verdict == "drift");
            let because = foremost.map_or_else(String::new, |statistic| format!(" ({statistic})"));
            format!("{name} {verdict}{because}")
        })
        .collect();
    (!said.is_empty()).then(|| format!("sources of window {}: {}", window.number, said.join(", ")))
}

/// What labels say of a window, beside the estimate.
pub(super) fn labels(window: &PastWindow) -> Option<String> {
    let (low, high) = (window.accuracy_low?, window.accuracy_high?);
    let accuracy = window.correct as f64 / window.labelled.max(1) as f64;
    let estimated = window.detail["estimates"]["accuracy"]["value"].as_f64();
    let compared = match (window.agreement.as_deref(), estimated) {
        (Some("agrees"), Some(value)) => {
            format!("the estimate of {:.1} % agrees", 100.0 * value)
        }
        (Some("too_high"), Some(value)) => {
            format!("the estimate of {:.1} % is too high", 100.0 * value)
        }
        (Some("too_low"), Some(value)) => {
            format!("the estimate of {:.1} % is too low", 100.0 * value)
        }
        _ => "nothing was estimated".to_owned(),
    };
    Some(format!(
        "labels of window {}: right in {:.1} % of {} ({:.1} to {:.1}); {compared}",
        window.number,
        100.0 * accuracy,
        window.labelled,
        100.0 * low,
        100.0 * high
    ))
}

fn compare(
    counts: &Counts,
    baseline: &Baseline,
    found: &PastCounts,
    bundle: Option<&Bundle>,
) -> Vec<String> {
    let mut lines = vec![format!(
        "mean confidence {:.3} ({:.3} in the baseline), {:.1} tokens a message ({:.1})",
        counts.mean_confidence(),
        baseline.counts.mean_confidence(),
        per_message(counts),
        per_message(&baseline.counts)
    )];
    let tokenizer = bundle
        .filter(|bundle| bundle.version == found.window.model)
        .and_then(|bundle| Tokenizer::open(bundle).ok());
    let (mut tokens, _) = moved(counts, &baseline.counts);
    tokens.sort_by(|a, b| f64::total_cmp(&b.contribution.abs(), &a.contribution.abs()));
    for token in tokens.iter().take(NAMED) {
        let name = tokenizer
            .as_ref()
            .and_then(|tokenizer| tokenizer.token(token.token));
        lines.push(format!(
            "  {:>14}  {:>6} times, {:>8.1} expected",
            name.unwrap_or_else(|| format!("token {}", token.token)),
            token.count,
            token.expected
        ));
    }
    lines
}

fn per_message(counts: &Counts) -> f64 {
    counts.pieces() as f64 / counts.messages.max(1) as f64
}

fn number(value: &serde_json::Value) -> String {
    value
        .as_f64()
        .map_or_else(|| "-".to_owned(), |value| format!("{value:.3e}"))
}
