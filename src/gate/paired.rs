//! Two classifiers on the same examples: which of them was right how often, and how far the difference can be trusted.

use crate::drift::proportion::score_interval;
use crate::special::{bisect, ln_gamma, normal_cdf};

/// What two models made of one example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Both,
    CandidateOnly,
    ChampionOnly,
    Neither,
}

impl Cell {
    fn of(champion_right: bool, candidate_right: bool) -> Self {
        match (champion_right, candidate_right) {
            (true, true) => Self::Both,
            (false, true) => Self::CandidateOnly,
            (true, false) => Self::ChampionOnly,
            (false, false) => Self::Neither,
        }
    }
}

/// The fourfold table of two models' right and wrong answers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Paired {
    counts: [u64; 4],
    weights: [f64; 4],
    squares: [f64; 4],
}

impl Paired {
    /// Takes in an example; weights are relative to each other, and above 0.
    pub fn add(&mut self, champion_right: bool, candidate_right: bool, weight: f64) {
        let cell = Cell::of(champion_right, candidate_right) as usize;
        self.counts[cell] += 1;
        self.weights[cell] += weight;
        self.squares[cell] += weight * weight;
    }

    /// Number of examples.
    #[must_use]
    pub fn examples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Examples that only the candidate got right.
    #[must_use]
    pub fn candidate_only(&self) -> u64 {
        self.counts[Cell::CandidateOnly as usize]
    }

    /// Examples that only the champion got right.
    #[must_use]
    pub fn champion_only(&self) -> u64 {
        self.counts[Cell::ChampionOnly as usize]
    }

    /// So many examples of equal weight would say as much (Kish 1965, "Survey Sampling", 11.7); 0 without examples.
    #[must_use]
    pub fn effective(&self) -> f64 {
        let squares: f64 = self.squares.iter().sum();
        if squares > 0.0 {
            self.total().powi(2) / squares
        } else {
            0.0
        }
    }

    /// So many examples of equal weight would leave the difference as uncertain: its variance with weights, linearised (Särndal,
    /// Swensson and Wretman 1992, "Model Assisted Survey Sampling", chapter 5), against that of one example. No more than there are.
    fn effective_of_difference(&self) -> f64 {
        let difference = self.difference();
        let of_one = self.share(Cell::CandidateOnly) + self.share(Cell::ChampionOnly)
            - difference * difference;
        if !self.is_weighted() || of_one <= 0.0 {
            return self.effective();
        }
        let [both, candidate, champion, neither] = self.squares;
        let squares = candidate * (1.0 - difference).powi(2)
            + champion * (1.0 + difference).powi(2)
            + (both + neither) * difference.powi(2);
        let effective = of_one * self.total().powi(2) / squares;
        effective.min(self.examples() as f64)
    }

    fn total(&self) -> f64 {
        self.weights.iter().sum()
    }

    /// Share of a cell, each example counted by its weight; 0 without examples.
    fn share(&self, cell: Cell) -> f64 {
        if self.total() > 0.0 {
            self.weights[cell as usize] / self.total()
        } else {
            0.0
        }
    }

    /// Share of the examples that the champion got right.
    #[must_use]
    pub fn champion(&self) -> f64 {
        self.share(Cell::Both) + self.share(Cell::ChampionOnly)
    }

    /// Share of the examples that the candidate got right.
    #[must_use]
    pub fn candidate(&self) -> f64 {
        self.share(Cell::Both) + self.share(Cell::CandidateOnly)
    }

    /// The candidate's share less the champion's.
    #[must_use]
    pub fn difference(&self) -> f64 {
        self.share(Cell::CandidateOnly) - self.share(Cell::ChampionOnly)
    }

    /// The interval of the difference, `z` standard deviations wide to each side: Newcombe 1998, "Improved confidence intervals
    /// for the difference between binomial proportions based on paired data", method 10. It keeps a width where the models
    /// never differ. Of weighted examples it takes the number that gives the difference its variance (Korn and Graubard 1998,
    /// "Confidence intervals for proportions with small expected number of positive counts estimated from survey data").
    /// Without examples it is everything from -1 to 1.
    #[must_use]
    pub fn interval(&self, z: f64) -> (f64, f64) {
        let n = self.effective_of_difference();
        if n <= 0.0 {
            return (-1.0, 1.0);
        }
        let (candidate, champion) = (self.candidate(), self.champion());
        let (candidate_low, candidate_high) = score_interval(candidate, n, z);
        let (champion_low, champion_high) = score_interval(champion, n, z);
        let correlation = self.correlation(n);
        let combine = |one: f64, other: f64| {
            (one * one - 2.0 * correlation * one * other + other * other)
                .max(0.0)
                .sqrt()
        };
        let down = combine(candidate - candidate_low, champion_high - champion);
        let up = combine(candidate_high - candidate, champion - champion_low);
        let difference = self.difference();
        ((difference - down).max(-1.0), (difference + up).min(1.0))
    }

    /// Newcombe's correlation coefficient of the two models' answers, corrected for continuity.
    fn correlation(&self, n: f64) -> f64 {
        let (candidate, champion) = (self.candidate(), self.champion());
        let spread = candidate * (1.0 - candidate) * champion * (1.0 - champion);
        if spread <= 0.0 {
            return 0.0;
        }
        let product = self.share(Cell::Both) * self.share(Cell::Neither)
            - self.share(Cell::CandidateOnly) * self.share(Cell::ChampionOnly);
        let corrected = if product > 0.0 {
            (product - 0.5 / n).max(0.0)
        } else {
            product
        };
        corrected / spread.sqrt()
    }

    /// The p-value of "they are right equally often", either way.
    ///
    /// For examples of equal weight McNemar's exact test by mid-p (Fagerland, Lydersen and Laake 2013, "The McNemar test for
    /// binary matched-pairs data: mid-p and asymptotic are better than exact conditional"). Where weights differ the question
    /// is about the weighted difference: McNemar's statistic with weights, by the normal distribution.
    #[must_use]
    pub fn p(&self) -> f64 {
        if self.is_weighted() {
            let (statistic, variance) = self.weighted();
            return two_sided(statistic, variance);
        }
        mid_p(self.candidate_only(), self.champion_only())
    }

    /// Whether some examples count more than others.
    #[must_use]
    pub fn is_weighted(&self) -> bool {
        self.effective() < self.examples() as f64 * (1.0 - 1e-9)
    }

    /// The weighted difference of discordant examples, and its variance if each favours either model by chance.
    fn weighted(&self) -> (f64, f64) {
        let of = |values: &[f64; 4]| {
            let (candidate, champion) = (Cell::CandidateOnly as usize, Cell::ChampionOnly as usize);
            (values[candidate], values[champion])
        };
        let ((candidate, champion), (squares, more)) = (of(&self.weights), of(&self.squares));
        (candidate - champion, squares + more)
    }

    /// The p-value of "the candidate loses `margin` at most": the level at which the interval's upper end is just below
    /// -`margin`. 1 where the difference itself is no such loss.
    #[must_use]
    pub fn loss_p(&self, margin: f64) -> f64 {
        if self.difference() >= -margin {
            return 1.0;
        }
        let z = bisect(0.0, 8.0, |z| self.interval(z).1 < -margin);
        normal_cdf(-z)
    }
}

/// McNemar's exact test by mid-p, of discordant pairs that favour the one and the other; 1 where there are none.
#[must_use]
pub fn mid_p(one: u64, other: u64) -> f64 {
    if one + other == 0 {
        return 1.0;
    }
    let (n, fewer) = (one + other, one.min(other));
    let total = n as f64;
    let ln_mass = |k: u64| {
        let k = k as f64;
        ln_gamma(total + 1.0)
            - ln_gamma(k + 1.0)
            - ln_gamma(total - k + 1.0)
            - total * std::f64::consts::LN_2
    };
    let tail: f64 = (0..=fewer).map(|k| ln_mass(k).exp()).sum();
    let observed = ln_mass(fewer).exp();
    let p = if one == other {
        1.0 - 0.5 * observed
    } else {
        2.0 * tail - observed
    };
    p.clamp(0.0, 1.0)
}

/// The mean over classes of the difference in recall, with what can be said of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MacroRecall {
    /// The champion's.
    pub champion: f64,
    /// The candidate's.
    pub candidate: f64,
    /// Ends of the difference's interval.
    pub interval: (f64, f64),
    /// Of "they are equal", either way.
    pub p: f64,
}

/// Recall averaged over the classes that occur. Each class's examples are apart from the others', so their intervals combine by
/// the squares of their arms (MOVER: Zou and Donner 2008, "Construction of confidence limits about effect measures"), and their
/// discordant pairs make a stratified McNemar test by the normal distribution. None without examples.
#[must_use]
pub fn macro_recall(classes: &[Paired], z: f64) -> Option<MacroRecall> {
    let occurring: Vec<&Paired> = classes
        .iter()
        .filter(|class| class.examples() > 0)
        .collect();
    if occurring.is_empty() {
        return None;
    }
    let count = occurring.len() as f64;
    let mean =
        |of: &dyn Fn(&Paired) -> f64| occurring.iter().map(|class| of(class)).sum::<f64>() / count;
    let arm = |of: &dyn Fn(&Paired) -> f64| {
        let squares: f64 = occurring.iter().map(|class| of(class).powi(2)).sum();
        squares.sqrt() / count
    };
    let difference = mean(&Paired::difference);
    let down = arm(&|class| class.difference() - class.interval(z).0);
    let up = arm(&|class| class.interval(z).1 - class.difference());
    let chance = arm(&|class| class.weighted().1.sqrt() / class.total());
    Some(MacroRecall {
        champion: mean(&Paired::champion),
        candidate: mean(&Paired::candidate),
        interval: ((difference - down).max(-1.0), (difference + up).min(1.0)),
        p: two_sided(difference, chance * chance),
    })
}

/// The p-value, either way, of a normal variable with mean 0 and this variance; 1 where it cannot vary.
fn two_sided(value: f64, variance: f64) -> f64 {
    if variance > 0.0 {
        (2.0 * normal_cdf(-value.abs() / variance.sqrt())).min(1.0)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests;
