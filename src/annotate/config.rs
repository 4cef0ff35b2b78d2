//! The `[annotate]` section.

use serde::{Deserialize, Serialize};

/// How messages are picked to be labelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnnotateConfig {
    /// Whether any are picked.
    pub enabled: bool,
    /// Makes the coins of this deployment its own. Whoever changes it picks other messages from then on.
    pub salt: String,
    /// About so many messages a day are picked by chance.
    pub random_per_day: u32,
    /// And so many of those that the model is least sure of.
    pub uncertain_per_day: u32,
    /// The probability of the random slice does not go below this, even if the day's number is passed.
    pub least_probability: f64,
    /// How much a message that the model is sure of weighs beside one that it is not sure of at all: above 0, so that every
    /// message has a chance, up to 1, by which all have the same.
    pub exploration: f64,
    /// How fast the weight falls with the margin: it goes by (1 - margin) to this power.
    pub sharpness: f64,
    /// Most uncertain messages of one author in a period; 0: as many as there are.
    pub per_author: u32,
    /// A message with fewer words is no uncertain one.
    pub min_words: u32,
    /// Nor is one with more.
    pub max_words: u32,
    /// Nor is one that says it is in another language. Empty: every language will do.
    pub languages: Vec<String>,
    /// A period ends at the latest after so many distinct texts.
    pub period_texts: u32,
    /// For so many minutes nobody else is given what somebody has been given.
    pub claim_minutes: u32,
    /// Most messages that wait for a label; beyond, the earliest are dropped.
    pub most_open: u32,
    /// Days for which the queue is kept.
    pub retention_days: u32,
}

impl Default for AnnotateConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            salt: String::new(),
            random_per_day: 50,
            uncertain_per_day: 50,
            least_probability: 1e-6,
            exploration: 0.05,
            sharpness: 2.0,
            per_author: 2,
            min_words: 3,
            max_words: 80,
            languages: Vec::new(),
            period_texts: 100_000,
            claim_minutes: 15,
            most_open: 2_000,
            retention_days: 90,
        }
    }
}

impl AnnotateConfig {
    /// Says which values make no sense.
    ///
    /// # Errors
    /// One sentence about the first of them.
    pub fn check(&self) -> Result<(), String> {
        let refuse = |what: String| Err(format!("[annotate] {what}"));
        if !(self.least_probability > 0.0 && self.least_probability <= 1.0) {
            return refuse(format!(
                "least_probability is {}; it must be above 0 and no more than 1: a message without a chance cannot be estimated",
                self.least_probability
            ));
        }
        if !(self.exploration > 0.0 && self.exploration <= 1.0) {
            return refuse(format!(
                "exploration is {}; it must be above 0 and no more than 1",
                self.exploration
            ));
        }
        if !(self.sharpness.is_finite() && self.sharpness >= 0.0) {
            return refuse(format!(
                "sharpness is {}; it must be a number of 0 or more",
                self.sharpness
            ));
        }
        if self.min_words > self.max_words {
            return refuse(format!(
                "min_words is {} and max_words {}: no text would do",
                self.min_words, self.max_words
            ));
        }
        if !(100..=1_000_000).contains(&self.period_texts) {
            return refuse(format!(
                "period_texts is {}; it must be from 100 to 1,000,000",
                self.period_texts
            ));
        }
        if self.claim_minutes == 0 || self.most_open == 0 || self.retention_days == 0 {
            return refuse(
                "claim_minutes, most_open and retention_days must be at least 1".to_owned(),
            );
        }
        if self.uncertain_per_day > 10_000 || self.random_per_day > 100_000 || self.per_author > 100
        {
            return refuse(
                "uncertain_per_day may be 10,000 at most, random_per_day 100,000, per_author 100"
                    .to_owned(),
            );
        }
        Ok(())
    }
}
