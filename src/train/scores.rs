//! Logits beside the right answers, and the two figures watched while training.

/// The logits of some examples beside their labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// One row a example, one value a class.
    pub logits: Vec<Vec<f32>>,
    /// Index of each example's class.
    pub labels: Vec<u32>,
}

impl Scores {
    /// Index of the largest logit of a row; the first of equal ones.
    fn predicted(row: &[f32]) -> usize {
        (1..row.len()).fold(
            0,
            |best, class| if row[class] > row[best] { class } else { best },
        )
    }

    /// Share of the examples whose largest logit is that of their class.
    pub fn accuracy(&self) -> f64 {
        let right = self
            .pairs()
            .filter(|(predicted, label)| predicted == label)
            .count();
        right as f64 / self.labels.len().max(1) as f64
    }

    /// Recall of each class that occurs, averaged without weights.
    pub fn macro_recall(&self) -> f64 {
        let classes = self.logits.first().map_or(0, Vec::len);
        let mut right = vec![0usize; classes];
        let mut total = vec![0usize; classes];
        for (predicted, label) in self.pairs() {
            total[label] += 1;
            right[label] += usize::from(predicted == label);
        }
        let recalls: Vec<f64> = right
            .iter()
            .zip(&total)
            .filter(|(_, total)| **total > 0)
            .map(|(r, t)| *r as f64 / *t as f64)
            .collect();
        recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.logits
            .iter()
            .zip(&self.labels)
            .map(|(row, label)| (Self::predicted(row), *label as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macro_recall_gives_each_class_one_voice() {
        let scores = Scores {
            logits: vec![
                vec![1.0, 0.0],
                vec![1.0, 0.0],
                vec![1.0, 0.0],
                vec![1.0, 0.0],
            ],
            labels: vec![0, 0, 0, 1],
        };
        assert_eq!(scores.accuracy(), 0.75);
        assert_eq!(scores.macro_recall(), 0.5);
    }
}
