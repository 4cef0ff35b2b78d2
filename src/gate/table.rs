//! What two models scored on a set of labelled messages, and the differences: in all, by class, and by slice.

use serde::{Deserialize, Serialize};

use super::calibration;
use super::config::GateConfig;
use super::example::{Example, Set, Slice};
use super::paired::{self, Paired};
use crate::drift::holm;
use crate::model::probability::largest;
use crate::special::normal_quantile;

/// A figure of merit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of right answers.
    Accuracy,
    /// Recall averaged over the classes that occur.
    MacroRecall,
    /// Share of a class's examples that were recognised.
    Recall,
    /// Mean negative log likelihood, in nats.
    Nll,
    /// Mean squared error of the probabilities, summed over labels.
    Brier,
    /// Expected calibration error.
    Ece,
}

impl Measure {
    /// Whether a larger value is a better one.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        matches!(self, Self::Accuracy | Self::MacroRecall | Self::Recall)
    }
}

/// One line of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub measure: Measure,
    /// The class, of a recall.
    pub label: Option<String>,
    /// Examples it was taken from.
    pub examples: u64,
    /// So many of equal weight would say as much.
    pub effective: f64,
    pub champion: f64,
    pub candidate: f64,
    /// Candidate less champion.
    pub difference: f64,
    /// Lower end of the difference's interval, at the level 1 - `alpha` of the config.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// P-value of "there is no difference", either way.
    pub p: f64,
    /// Of a class or a slice: p-value of "the loss is no larger than the config allows", adjusted by Holm's method for the number
    /// of classes or slices.
    pub loss_p: Option<f64>,
}

/// Who was right where.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Discordant {
    /// Examples that only the candidate got right.
    pub candidate_only: u64,
    /// Examples that only the champion got right.
    pub champion_only: u64,
    /// Of McNemar's test by mid-p, or with weights where examples have different ones.
    pub p: f64,
    /// Whether they have.
    pub weighted: bool,
}

/// Accuracy on the part of the examples that have a property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceRow {
    pub slice: Slice,
    /// Accuracy there.
    pub row: Row,
    /// Its p-value adjusted by Holm's method for the number of slices.
    pub adjusted_p: f64,
}

/// Both models on one set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub examples: u64,
    /// So many of equal weight would say as much.
    pub effective: f64,
    /// Accuracy, macro recall, the recall of each class that occurs in the labels' order, nll, brier, ece.
    pub rows: Vec<Row>,
    pub discordant: Discordant,
    /// Those with enough examples.
    pub slices: Vec<SliceRow>,
    /// Slices with too few examples to say anything.
    pub slices_left_out: u64,
}

impl Table {
    /// Compares both models on a set; none where it is empty.
    #[must_use]
    pub fn of(set: &Set<'_>, config: &GateConfig) -> Option<Self> {
        let z = normal_quantile(1.0 - config.alpha / 2.0);
        let all = paired(set.examples);
        let classes: Vec<Paired> = (0..set.labels.len())
            .map(|class| paired(set.examples.iter().filter(|example| example.truth == class)))
            .collect();
        let macro_recall = paired::macro_recall(&classes, z)?;
        let accuracy = row(Measure::Accuracy, &all, z);
        let mut rows = vec![accuracy.clone()];
        rows.push(Row {
            measure: Measure::MacroRecall,
            champion: macro_recall.champion,
            candidate: macro_recall.candidate,
            difference: macro_recall.candidate - macro_recall.champion,
            low: macro_recall.interval.0,
            high: macro_recall.interval.1,
            p: macro_recall.p,
            ..accuracy.clone()
        });
        rows.extend(recalls(set.labels, &classes, z, config.class_loss));
        rows.extend(calibrations(set.examples, &accuracy, config)?);
        let (slices, slices_left_out) = slices(set, z, config);
        Some(Self {
            examples: all.examples(),
            effective: all.effective(),
            rows,
            discordant: Discordant {
                candidate_only: all.candidate_only(),
                champion_only: all.champion_only(),
                p: all.p(),
                weighted: all.is_weighted(),
            },
            slices,
            slices_left_out,
        })
    }

    /// The line of a measure of the whole set; none for a recall, which has a line for each class.
    #[must_use]
    pub fn row(&self, measure: Measure) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.measure == measure && row.label.is_none())
    }

    /// The lines of the classes.
    pub fn classes(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.label.is_some())
    }
}

fn paired<'a>(examples: impl IntoIterator<Item = &'a Example>) -> Paired {
    let mut paired = Paired::default();
    for example in examples {
        let right = |row: &[f32]| largest(row) == example.truth;
        paired.add(
            right(&example.champion),
            right(&example.candidate),
            example.weight,
        );
    }
    paired
}

fn row(measure: Measure, paired: &Paired, z: f64) -> Row {
    let (low, high) = paired.interval(z);
    Row {
        measure,
        label: None,
        examples: paired.examples(),
        effective: paired.effective(),
        champion: paired.champion(),
        candidate: paired.candidate(),
        difference: paired.difference(),
        low,
        high,
        p: paired.p(),
        loss_p: None,
    }
}

fn recalls(labels: &[String], classes: &[Paired], z: f64, margin: f64) -> Vec<Row> {
    let occurring = || {
        labels
            .iter()
            .zip(classes)
            .filter(|(_, class)| class.examples() > 0)
    };
    let losses: Vec<f64> = occurring().map(|(_, class)| class.loss_p(margin)).collect();
    occurring()
        .zip(holm::adjust(&losses))
        .map(|((label, class), loss_p)| Row {
            label: Some(label.clone()),
            loss_p: Some(loss_p),
            ..row(Measure::Recall, class, z)
        })
        .collect()
}

fn calibrations(examples: &[Example], like: &Row, config: &GateConfig) -> Option<Vec<Row>> {
    let found = calibration::compare(
        examples,
        config.resamples as usize,
        config.alpha,
        config.seed,
    )?;
    let (champion, candidate) = (found.champion, found.candidate);
    let values = [
        (Measure::Nll, champion.nll, candidate.nll),
        (Measure::Brier, champion.brier, candidate.brier),
        (Measure::Ece, champion.ece, candidate.ece),
    ];
    let rows = values.into_iter().zip(found.differences);
    let rows = rows.map(|((measure, champion, candidate), uncertainty)| Row {
        measure,
        champion,
        candidate,
        difference: candidate - champion,
        low: uncertainty.interval.0,
        high: uncertainty.interval.1,
        p: uncertainty.p,
        ..like.clone()
    });
    Some(rows.collect())
}

/// The slices with enough examples, and the number of those without.
fn slices(set: &Set<'_>, z: f64, config: &GateConfig) -> (Vec<SliceRow>, u64) {
    let (mut held, mut left_out) = (Vec::new(), 0);
    for (slice, examples) in set.slices() {
        let paired = paired(examples);
        if paired.effective() >= f64::from(config.slice_examples) {
            held.push((slice, paired));
        } else {
            left_out += 1;
        }
    }
    let of = |value: &dyn Fn(&Paired) -> f64| {
        let ps: Vec<f64> = held.iter().map(|(_, paired)| value(paired)).collect();
        holm::adjust(&ps)
    };
    let (adjusted, losses) = (
        of(&Paired::p),
        of(&|paired| paired.loss_p(config.slice_loss)),
    );
    let rows = held.into_iter().zip(adjusted.into_iter().zip(losses)).map(
        |((slice, paired), (adjusted_p, loss_p))| SliceRow {
            slice,
            row: Row {
                loss_p: Some(loss_p),
                ..row(Measure::Accuracy, &paired, z)
            },
            adjusted_p,
        },
    );
    (rows.collect(), left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::example::SliceKind;
    use crate::record::Problem;

    fn example(truth: usize, champion_right: bool, candidate_right: bool, source: &str) -> Example {
        let row = |right: bool| {
            let label = if right { truth } else { 1 - truth };
            [[0.9, 0.1], [0.1, 0.9]][label].to_vec()
        };
        Example {
            truth,
            champion: row(champion_right),
            candidate: row(candidate_right),
            source: Some(source.to_owned()),
            subject: None,
            length: None,
            weight: 1.0,
        }
    }

    fn table(examples: &[Example]) -> Option<Table> {
        let labels = ["negative", "positive"].map(String::from);
        let set = Set::new(&labels, Problem::SingleLabel, examples).unwrap();
        let config = GateConfig {
            slice_examples: 20,
            resamples: 200,
            ..GateConfig::default()
        };
        Table::of(&set, &config)
    }

    #[test]
    fn a_slice_with_too_few_examples_is_left_out_and_counted() {
        let mut examples = vec![example(0, true, true, "large"); 20];
        examples.extend(vec![example(1, true, false, "small"); 19]);
        let table = table(&examples).unwrap();
        assert_eq!((table.slices.len(), table.slices_left_out), (1, 1));
        assert_eq!(table.slices[0].slice.kind, SliceKind::Source);
        assert_eq!(table.slices[0].slice.value, "large");
        assert_eq!(table.discordant.champion_only, 19);
    }

    #[test]
    fn an_empty_set_has_no_table_and_a_class_that_does_not_occur_no_line() {
        assert_eq!(table(&[]), None);
        let table = table(&vec![example(1, true, false, "a"); 30]).unwrap();
        let classes: Vec<_> = table.classes().map(|row| row.label.as_deref()).collect();
        assert_eq!(classes, [Some("positive")]);
        let accuracy = table.row(Measure::Accuracy).unwrap();
        assert_eq!((accuracy.difference, accuracy.examples), (-1.0, 30));
    }

    #[test]
    fn a_message_that_stands_for_three_counts_as_three_and_leaves_fewer_effective_ones() {
        let mut examples = vec![example(0, true, false, "a"); 10];
        examples.extend(vec![example(1, false, true, "a"); 10]);
        for heavy in &mut examples[..10] {
            heavy.weight = 3.0;
        }
        let table = table(&examples).unwrap();
        let accuracy = table.row(Measure::Accuracy).unwrap();
        assert!(
            (accuracy.champion - 0.75).abs() < 1e-12 && (accuracy.effective - 16.0).abs() < 1e-9
        );
        assert!(table.discordant.weighted);
        // Each class by itself has equal weights.
        assert!(
            table
                .classes()
                .all(|row| (row.effective - 10.0).abs() < 1e-9)
        );
    }
}
