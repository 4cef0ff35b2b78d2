//! Each source of a window by itself.
//!
//! A source is compared with what is normal for it where the baseline knows it well enough, else with the whole baseline: then
//! it may be far for no other reason than that it differs from the others, always. The p-values of all sources are adjusted by
//! Holm's method once more, so a window in which nothing has changed shows drift in any source that has a baseline of its own
//! no more often than the level says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::baseline::Baseline;
use super::copies::{Copies, distinct};
use super::counts::Counts;
use super::detector::{Finding, examine_counts, examine_with};
use super::holm;
use super::judge::describe_finding;
use super::reading::Reading;
use super::rule::Verdict;

/// Sources that are looked at, those with most messages.
const MOST: usize = 50;

/// What a window says of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceFinding {
    /// Its name; empty where messages name none.
    pub source: Arc<str>,
    pub finding: Finding,
    /// The smallest p-value of its statistics, adjusted for the number of sources, too; none where it has too few messages.
    pub adjusted: Option<f64>,
    pub verdict: Verdict,
    pub against: Against,
    /// The predicted labels of its distinct messages.
    pub classes: Vec<u64>,
}

/// What a source is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The source's own messages in the baseline.
    Own,
    /// The whole baseline, which holds few of this source or names none.
    All,
}

/// Looks at each source of a window; below `level` it shows drift.
#[must_use]
pub fn by_source(readings: &[Reading], baseline: &Baseline, level: f64) -> Vec<SourceFinding> {
    let mut sources: BTreeMap<Arc<str>, Vec<Reading>> = BTreeMap::new();
    for reading in readings {
        let source = Arc::clone(&reading.source);
        sources.entry(source).or_default().push(reading.clone());
    }
    let mut largest: Vec<(Arc<str>, Vec<Reading>)> = sources.into_iter().collect();
    largest.sort_by_key(|(_, readings)| std::cmp::Reverse(readings.len()));
    largest.truncate(MOST);
    let mut found: Vec<SourceFinding> = largest
        .into_iter()
        .map(|(source, readings)| examine(source, &readings, baseline))
        .collect();
    let known = |found: &&mut SourceFinding| found.finding.p.is_some();
    let ps: Vec<f64> = found.iter().filter_map(|found| found.finding.p).collect();
    for (found, adjusted) in found.iter_mut().filter(known).zip(holm::adjust(&ps)) {
        found.adjusted = Some(adjusted);
        found.verdict = if adjusted < level {
            Verdict::Drift
        } else {
            Verdict::Ok
        };
    }
    found
}

fn examine(source: Arc<str>, readings: &[Reading], baseline: &Baseline) -> SourceFinding {
    let kept = distinct(readings);
    let copies = Copies::among(readings);
    let predicted = |label: usize| kept.iter().filter(|reading| reading.label == label).count();
    let labels = 0..baseline.shape.labels;
    let classes = labels.map(|label| predicted(label) as u64).collect();
    let originals = baseline.originals(&kept);
    let mut window = Counts::new(baseline.shape);
    let compared = baseline.thinned(&kept, &originals);
    compared.into_iter().for_each(|reading| window.add(reading));
    let (finding, against) = match baseline.by_source.get(&*source) {
        Some(own) => (
            examine_with(&window, copies, &own.counts, &own.null, baseline.unknown),
            Against::Own,
        ),
        None => (examine_counts(&window, copies, baseline), Against::All),
    };
    SourceFinding {
        source,
        finding,
        adjusted: None,
        verdict: Verdict::Unknown,
        against,
        classes,
    }
}

/// The findings for programs, by the source's name: `messages`, `distinct`, `verdict`, `p` and `adjusted`, `foremost`, `against`
/// (own, all), the `statistics` and the `classes`.
#[must_use]
pub fn describe(found: &[SourceFinding], labels: &[String]) -> Value {
    let said = |found: &SourceFinding| {
        let mut said = json!({
            "messages": found.finding.messages,
            "distinct": found.classes.iter().sum::<u64>(),
            "compared": found.finding.n,
            "verdict": found.verdict,
            "adjusted": found.adjusted,
            "against": found.against,
        });
        let more = describe_finding(&found.finding, labels, &found.classes);
        if let Some(said) = said.as_object_mut() {
            said.extend(more);
        }
        (found.source.to_string(), said)
    };
    Value::Object(found.iter().map(said).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::super::baseline::Identity;
    use super::super::null::NullSettings;
    use super::super::synthetic::{Feed, SHAPE, UNKNOWN};
    use super::*;

    fn of(source: &str, feed: Feed, count: usize, seed: u64) -> Vec<Reading> {
        let mut readings = feed.readings(count, seed);
        for reading in &mut readings {
            reading.source = source.into();
        }
        readings
    }

    /// Reviews are longer and moodier than tweets.
    fn reviews() -> Feed {
        Feed {
            labels: [0.4, 0.2, 0.4],
            longer: 4,
            ..Feed::default()
        }
    }

    fn baseline() -> Baseline {
        let mut readings = of("tweets", Feed::default(), 900, 1);
        readings.extend(of("reviews", reviews(), 600, 2));
        readings.extend(of("rare", Feed::default(), 50, 3));
        let settings = NullSettings {
            sizes: vec![100, 200],
            resamples: 400,
            ..NullSettings::default()
        };
        let labels = ["negative", "neutral", "positive"].map(String::from);
        Baseline::build(
            readings
                .into_iter()
                .map(|reading| (reading, None))
                .collect(),
            labels.to_vec(),
            Some(UNKNOWN),
            SHAPE,
            Identity::new("aa", "bb"),
            &settings,
        )
        .unwrap()
    }

    #[test]
    fn each_source_is_compared_with_itself_where_it_is_known_and_the_one_that_moved_is_named() {
        let baseline = Baseline::parse(&baseline().to_json().unwrap()).unwrap();
        let known: Vec<&str> = baseline.by_source.keys().map(String::as_str).collect();
        assert_eq!(known, ["reviews", "tweets"]);
        let window = |moved: bool| {
            let tweets = Feed {
                labels: if moved {
                    [0.6, 0.2, 0.2]
                } else {
                    [0.2, 0.5, 0.3]
                },
                ..Feed::default()
            };
            let mut readings = of("tweets", tweets, 150, 11);
            readings.extend(of("reviews", reviews(), 150, 12));
            readings.extend(of("few", Feed::default(), 40, 13));
            by_source(&readings, &baseline, 0.0005)
        };
        let verdicts = |found: &[SourceFinding]| -> Vec<(String, Verdict, Against)> {
            let said =
                |found: &SourceFinding| (found.source.to_string(), found.verdict, found.against);
            found.iter().map(said).collect()
        };
        let few = ("few".to_owned(), Verdict::Unknown, Against::All);
        let quiet = verdicts(&window(false));
        assert_eq!(
            quiet,
            [
                ("reviews".into(), Verdict::Ok, Against::Own),
                ("tweets".into(), Verdict::Ok, Against::Own),
                few.clone()
            ]
        );
        let moved = window(true);
        assert_eq!(
            verdicts(&moved)[1],
            ("tweets".into(), Verdict::Drift, Against::Own)
        );
        assert_eq!(verdicts(&moved)[0].1, Verdict::Ok);
        let said = describe(&moved, &baseline.labels);
        assert_eq!(said["tweets"]["verdict"], "drift");
        assert!(said["tweets"]["classes"]["negative"].as_f64().unwrap() > 0.5);
        assert!(moved[1].adjusted >= moved[1].finding.p);
    }
}
