//! A candidate beside the champion on this machine: both bundles are opened, answer the same labelled texts and run in turns,
//! and the [`gate`](crate::gate) judges what they said.
//!
//! [`Pair::open`] opens the bundles, [`Pair::compare`] does the rest. [`rows`] are the labelled texts, [`config`] says which of
//! them are the fixed set.

pub mod config;
mod contender;
pub mod error;
mod made;
pub mod material;
pub mod rows;
mod speed;

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::alerts::score;
use crate::gate::comparison::{Comparison, Input};
use crate::gate::config::GateConfig;
use crate::gate::equity::{Corpus, EquityError, Resampling, Widening};
use crate::gate::example::{Example, GateError, LengthClass, MOST_EXAMPLES, Set};
use crate::labels::canonical;
use crate::model::config::ModelConfig;
use crate::model::manifest::Bundle;
use crate::record::Problem;
use contender::Contender;
use error::CompareError;
use rows::{LeftOut, Reason, Rows};

/// On what two models are compared, and by which rules.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// The same for every candidate.
    pub fixed: &'a Rows,
    /// Labelled of late; the candidate must not have been trained on them.
    pub recent: &'a Rows,
    /// Sentences of which score gaps are taken, if they are to be.
    pub corpus: Option<&'a Corpus>,
    /// Timed runs of each model; an interval at 95 % takes four. None leaves speed unmeasured.
    pub runs: usize,
    pub rules: &'a GateConfig,
}

/// Who looks on.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Told of so many more texts scored, of those that [`Pair::work`] counts.
    pub scored: &'a dyn Fn(u64),
    /// Whether to give it up; asked before each batch.
    pub stop: &'a dyn Fn() -> bool,
}

/// A bundle that took part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    pub name: String,
    pub version: String,
    /// Where it ran, such as `cpu` or `cuda:0`.
    pub device: String,
}

/// What came of it. As JSON it can be read as a [`Comparison`] too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    pub champion: Side,
    pub candidate: Side,
    /// Of the fixed set.
    pub fixed_left_out: LeftOut,
    /// Of the recent messages.
    pub recent_left_out: LeftOut,
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// Both bundles, opened.
pub struct Pair {
    champion: Contender,
    candidate: Contender,
}

impl Pair {
    /// Opens both bundles, if they can be compared at all; `model` says where they run (its path is not asked), and batches hold
    /// at most `max_tokens` tokens, padding included.
    ///
    /// # Errors
    /// [`CompareError`], where a bundle is not whole or the two have not the same labels.
    pub fn open(
        champion: &Path,
        candidate: &Path,
        model: &ModelConfig,
        max_tokens: usize,
    ) -> Result<Self, CompareError> {
        let (champion, candidate) = (Bundle::open(champion)?, Bundle::open(candidate)?);
        comparable(&champion, &candidate)?;
        Ok(Self {
            champion: Contender::open("champion", champion, model, max_tokens)?,
            candidate: Contender::open("candidate", candidate, model, max_tokens)?,
        })
    }

    /// When the newest text was written that either of them was trained or validated on, where their manifests know: messages
    /// until then may be among these.
    #[must_use]
    pub fn trained(&self) -> Option<DateTime<Utc>> {
        self.champion.trained().max(self.candidate.trained())
    }

    /// Texts that [`Self::compare`] will score at most, both models together.
    #[must_use]
    pub fn work(material: &Material<'_>) -> u64 {
        let sentences = material.corpus.map_or(0, |corpus| corpus.sentences().len());
        let texts = material.fixed.rows.len() + material.recent.rows.len() + sentences;
        2 * (texts + material.runs * speed::TEXTS) as u64
    }

    /// Has both models answer, times them, and judges the candidate. Only the times depend on the machine's mood.
    ///
    /// # Errors
    /// [`CompareError`]
    pub fn compare(
        &mut self,
        material: &Material<'_>,
        watch: &Watch<'_>,
    ) -> Result<Compared, CompareError> {
        material.rules.check()?;
        let (fixed, fixed_left_out) = self.examples(material.fixed, watch)?;
        let labels = self.champion.bundle().manifest.labels.clone();
        if fixed.is_empty() {
            return Err(CompareError::NothingLeft {
                labels: labels.join(", "),
                left_out: fixed_left_out.to_string(),
            });
        }
        let (recent, recent_left_out) = self.examples(material.recent, watch)?;
        let equity = match material.corpus {
            Some(corpus) => self.equity(corpus, material.rules, watch)?,
            None => Vec::new(),
        };
        let mut speeds = Vec::new();
        if material.runs > 0 {
            let texts: Vec<&str> = material.fixed.rows.iter().map(|row| &*row.text).collect();
            speeds.push(speed::measure(
                &mut self.champion,
                &mut self.candidate,
                &texts,
                material.runs,
                watch,
            )?);
        }
        let input = Input {
            labels: &labels,
            candidate_labels: &self.candidate.bundle().manifest.labels,
            problem: self.candidate.bundle().manifest.problem,
            fixed: &fixed,
            recent: &recent,
            speeds: &speeds,
            equity: &equity,
            parity: self.candidate.made().parity,
        };
        Ok(Compared {
            comparison: Comparison::of(&input, material.rules)?,
            champion: side(&self.champion),
            candidate: side(&self.candidate),
            fixed_left_out,
            recent_left_out,
        })
    }

    /// The rows that both models can answer, with their answers.
    fn examples(
        &mut self,
        rows: &Rows,
        watch: &Watch<'_>,
    ) -> Result<(Vec<Example>, LeftOut), CompareError> {
        let labels = &self.champion.bundle().manifest.labels;
        let mut left_out = rows.left_out.clone();
        let mut known = Vec::new();
        for row in &rows.rows {
            let name = canonical(labels, &row.label);
            match name.and_then(|name| labels.iter().position(|label| label == name)) {
                Some(truth) => known.push((truth, row)),
                None => left_out.add(Reason::OtherLabel, 1),
            }
        }
        if known.len() > MOST_EXAMPLES {
            return Err(GateError::TooMany(known.len()).into());
        }
        let texts: Vec<&str> = known.iter().map(|(_, row)| &*row.text).collect();
        let champion = self.champion.answers(&texts, watch)?;
        let candidate = self.candidate.answers(&texts, watch)?;
        let mut examples = Vec::with_capacity(known.len());
        for ((truth, row), answers) in known.into_iter().zip(champion.into_iter().zip(candidate)) {
            let (Some(champion), Some(candidate)) = answers else {
                left_out.add(Reason::Unscorable, 1);
                continue;
            };
            examples.push(Example {
                truth,
                length: Some(LengthClass::of(champion.tokens)),
                champion: champion.probabilities,
                candidate: candidate.probabilities,
                source: row.source.clone(),
                subject: row.subject.clone(),
                weight: row.weight,
            });
        }
        Ok((examples, left_out))
    }

    /// Whether either model gives each text its label, the champion first; none of one that a model cannot score, or whose label
    /// neither has.
    ///
    /// # Errors
    /// [`CompareError`]
    pub fn right(
        &mut self,
        labelled: &[(&str, &str)],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Option<(bool, bool)>>, CompareError> {
        let watch = Watch {
            scored: &|_| {},
            stop,
        };
        let texts: Vec<&str> = labelled.iter().map(|(text, _)| *text).collect();
        let champion = self.champion.answers(&texts, &watch)?;
        let candidate = self.candidate.answers(&texts, &watch)?;
        let labels = &self.champion.bundle().manifest.labels;
        let right = |(truth, answers)| match (canonical(labels, truth), answers) {
            (Some(truth), (Some(champion), Some(candidate))) => {
                let says = |answer: &contender::Answer| likeliest(&answer.probabilities);
                let truth = labels.iter().position(|label| label == truth);
                Some((says(&champion) == truth, says(&candidate) == truth))
            }
            _ => None,
        };
        let truths = labelled.iter().map(|(_, label)| *label);
        Ok(truths
            .zip(champion.into_iter().zip(candidate))
            .map(right)
            .collect())
    }

    /// How much wider the candidate's score gaps are; a score is the labels' mean position between the first (-1) and the last (1).
    fn equity(
        &mut self,
        corpus: &Corpus,
        rules: &GateConfig,
        watch: &Watch<'_>,
    ) -> Result<Vec<Widening>, CompareError> {
        let texts: Vec<&str> = corpus.sentences().iter().map(String::as_str).collect();
        let scores = |contender: &mut Contender| -> Result<Vec<f64>, CompareError> {
            let answers = contender.answers(&texts, watch)?;
            let scored = |(index, answer): (usize, Option<contender::Answer>)| {
                answer.map_or(Err(EquityError::NoNumber(index)), |answer| {
                    Ok(score(&answer.probabilities))
                })
            };
            let scores: Result<_, _> = answers.into_iter().enumerate().map(scored).collect();
            Ok(scores?)
        };
        let (champion, candidate) = (scores(&mut self.champion)?, scores(&mut self.candidate)?);
        let settings = Resampling {
            resamples: rules.resamples as usize,
            alpha: rules.alpha,
            seed: rules.seed,
        };
        Ok(corpus.compare(&champion, &candidate, settings)?)
    }
}

/// Refuses what the gate would refuse, before anything is loaded and scored.
fn comparable(champion: &Bundle, candidate: &Bundle) -> Result<(), GateError> {
    let (one, other) = (&champion.manifest, &candidate.manifest);
    if one.labels != other.labels {
        return Err(GateError::Labels {
            champion: one.labels.join(", "),
            candidate: other.labels.join(", "),
        });
    }
    if [one.problem, other.problem].contains(&Problem::MultiLabel) {
        return Err(GateError::MultiLabel);
    }
    Set::new(&one.labels, one.problem, &[]).map(|_| ())
}

/// Index of the largest probability, of equal ones the first.
fn likeliest(probabilities: &[f32]) -> Option<usize> {
    let all = probabilities.iter().enumerate();
    let most = all.reduce(|most, other| if other.1 > most.1 { other } else { most });
    most.map(|(index, _)| index)
}

fn side(contender: &Contender) -> Side {
    let bundle = contender.bundle();
    Side {
        name: bundle.manifest.name.clone(),
        version: bundle.version.clone(),
        device: contender.device().to_owned(),
    }
}
