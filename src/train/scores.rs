//! Logits beside the right answers.

use super::evaluate::Confusion;
use super::tokens::Encoded;
use crate::model::probability::largest;

/// The logits of some examples beside their labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// One row an example, one value a class.
    pub logits: Vec<Vec<f32>>,
    /// Index of each example's class.
    pub labels: Vec<u32>,
}

impl Scores {
    /// Logits of these examples, in their order.
    pub fn new(logits: Vec<Vec<f32>>, examples: &[Encoded]) -> Self {
        let labels = examples.iter().map(|example| example.label).collect();
        Self { logits, labels }
    }

    /// The right class of each example and the one with the largest logit, the first of equal ones.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.labels
            .iter()
            .zip(&self.logits)
            .map(move |(label, row)| (*label as usize, largest(row)))
    }

    /// How often each class was taken for each class.
    pub fn confusion(&self) -> Confusion {
        Confusion::of(self.pairs(), self.logits.first().map_or(0, Vec::len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macro_recall_gives_each_class_one_voice() {
        let scores = Scores {
            logits: vec![vec![1.0, 0.0]; 4],
            labels: vec![0, 0, 0, 1],
        };
        assert_eq!(scores.confusion().accuracy(), 0.75);
        assert_eq!(scores.confusion().macro_recall(), 0.5);
    }
}
