//! How fast both models score the same texts, in turns.

use std::time::Instant;

use super::Watch;
use super::contender::Contender;
use super::error::CompareError;
use super::made::Made;
use crate::gate::speed::{Quantity, Runs};
use crate::record::Encoded;

/// Texts of a run: as many as a chunk of the service has at most by default.
pub(super) const TEXTS: usize = 512;
/// Texts scored before a run begins, so that it does not pay for what slept.
const FIRST: usize = 16;

/// Throughput of repeated runs over the same texts, tokens made beforehand. In each pair of runs the other model begins, so
/// that a machine that gets slower or faster does so for both.
pub(super) fn measure(
    champion: &mut Contender,
    candidate: &mut Contender,
    texts: &[&str],
    runs: usize,
    watch: &Watch<'_>,
) -> Result<Runs, CompareError> {
    let texts = spread(texts, TEXTS);
    let encoded = [champion.encode(&texts), candidate.encode(&texts)];
    let mut found = [Vec::new(), Vec::new()];
    let machine = format!("{}, {}", processor(), champion.device());
    let precision = Made::precision(champion.made(), candidate.made());
    let both = [champion, candidate];
    for run in 0..runs {
        for turn in 0..2 {
            let index = (run + turn) % 2;
            found[index].push(once(both[index], &encoded[index], watch)?);
        }
    }
    let [champion, candidate] = found;
    Ok(Runs {
        quantity: Quantity::Throughput,
        champion,
        candidate,
        machine,
        precision,
    })
}

/// Messages in a second.
fn once(
    contender: &mut Contender,
    encoded: &[Encoded],
    watch: &Watch<'_>,
) -> Result<f64, CompareError> {
    contender.infer(&encoded[..encoded.len().min(FIRST)], watch)?;
    let begun = Instant::now();
    contender.infer(encoded, watch)?;
    let seconds = begun.elapsed().as_secs_f64();
    (watch.scored)(encoded.len() as u64);
    Ok(encoded.len() as f64 / seconds.max(f64::MIN_POSITIVE))
}

/// So many texts, evenly spread over all of them, or all of them again and again.
fn spread<'a>(texts: &[&'a str], count: usize) -> Vec<&'a str> {
    if texts.len() >= count {
        let at = |index: usize| texts[index * texts.len() / count];
        (0..count).map(at).collect()
    } else {
        texts.iter().copied().cycle().take(count).collect()
    }
}

/// The processor's name where the system tells it, and its threads.
fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = told
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(':').nth(1))
        .map_or(std::env::consts::ARCH, str::trim);
    format!("{name}, {cores} cores")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_spread_over_all_or_taken_again() {
        assert_eq!(spread(&["a", "b", "c", "d"], 2), ["a", "c"]);
        assert_eq!(spread(&["a", "b"], 5), ["a", "b", "a", "b", "a"]);
        assert_eq!(spread(&["a", "b"], 2), ["a", "b"]);
        assert!(spread(&[], 2).is_empty());
    }

    #[test]
    fn the_machine_has_a_name_and_cores() {
        assert!(processor().ends_with(" cores"));
    }
}
