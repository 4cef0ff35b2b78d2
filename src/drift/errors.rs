//! Has the share of wrong answers gone up? Watched one labelled message after another, as labels come in late.
//!
//! For each size of rise watched for there is a fair bet on every message: it multiplies the stake by p1 / p0 if the answer was
//! wrong and by (1 - p1) / (1 - p0) if it was right, p0 being the baseline's error rate and p1 the risen one. While the error
//! rate is p0 or less, no bet gains on average, however the messages depend on each other (Waudby-Smith and Ramdas 2024,
//! "Estimating means of bounded random variables by betting"). With one unit freshly staked before every message the wealth is
//! an e-detector in the manner of Shiryaev and Roberts (Shin, Ramdas and Rinaldo 2023, "E-detectors: a nonparametric framework
//! for sequential change detection", section 2), and an alarm at a mean wealth of N over the bets comes, as long as nothing has
//! risen, no sooner than after N messages on average. Page and Hinkley's test needs its threshold simulated for the same
//! promise; here the promise is the threshold.

use serde::{Deserialize, Serialize};

use super::measured::{Agreement, Measured, MeasuredAccuracy};

/// The rises watched for: the shares of the answers right so far that turn wrong. A rise in between is seen by its neighbours.
const RISES: [f64; 4] = [0.04, 0.08, 0.16, 0.32];
/// A baseline without errors, or with nothing but errors, leaves nothing to bet on.
const RATES: (f64, f64) = (0.001, 0.98);

/// Sequential test for a rise of the error rate. It can be stored and goes on where it stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelledTest {
    error_rate: f64,
    run_length: f64,
    wealth: [f64; RISES.len()],
    /// For each rise, since when it is most likely to have been there.
    since: [Stretch; RISES.len()],
    observed: u64,
    errors: u64,
}

/// Labelled messages in a row, and how likely a rise makes them: the statistic of Page's test (1954), whose last zero is the most
/// likely moment of the change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stretch {
    /// How many times likelier than without the rise.
    likelihood: f64,
    /// When its first message was written, in milliseconds since 1970.
    pub begun: i64,
    /// Labelled messages.
    pub observed: u64,
    /// Wrong answers among them.
    pub errors: u64,
}

impl Stretch {
    /// How often the answers were right; their confidence is not kept.
    #[must_use]
    pub fn measured(&self) -> Measured {
        Measured {
            accuracy: MeasuredAccuracy::of(self.observed - self.errors, self.observed),
            calibration: None,
            agreement: Agreement::Unknown,
        }
    }

    fn observe(&mut self, error: bool, factor: f64, at: i64) {
        if self.likelihood <= 1.0 {
            *self = Self {
                likelihood: 1.0,
                begun: at,
                ..Self::default()
            };
        }
        self.likelihood *= factor;
        self.observed += 1;
        self.errors += u64::from(error);
    }
}

/// What a test says after a labelled message.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelledVerdict {
    /// The error rate has risen. The test has begun anew, with the next message as its first.
    pub risen: bool,
    /// Mean wealth of the bets; `risen` once it reaches `threshold`.
    pub wealth: f64,
    /// The promised mean number of messages between false alarms.
    pub threshold: f64,
    /// Labelled messages since the test last began.
    pub observed: u64,
    /// Wrong answers among them.
    pub errors: u64,
    /// The rise that explains them best: the error rate that it would be, and since when.
    pub rate: f64,
    /// The messages since then. Their share of errors is somewhat too high, since the beginning was chosen in view of them.
    pub since: Stretch,
}

impl LabelledTest {
    /// A test against a baseline's `error_rate` (0 to 1) that raises a false alarm no more often than once in `run_length`
    /// labelled messages on average.
    ///
    /// The promise is kept as long as the chance of an error is at most `error_rate` for each message labelled. So where that
    /// rate was itself measured on a sample, give the upper end of its interval ([`wilson`](super::proportion::wilson)), and have messages labelled that
    /// were chosen by chance: those that the model is unsure of are wrong more often without any drift.
    #[must_use]
    pub fn new(error_rate: f64, run_length: f64) -> Self {
        Self {
            error_rate: error_rate.clamp(RATES.0, RATES.1),
            run_length: run_length.max(1.0),
            wealth: [0.0; RISES.len()],
            since: [Stretch::default(); RISES.len()],
            observed: 0,
            errors: 0,
        }
    }

    /// Takes in whether the answer to the next labelled message, written `at` so many milliseconds, was wrong.
    pub fn observe(&mut self, error: bool, at: i64) -> LabelledVerdict {
        let rates = RISES.map(|rise| self.error_rate + rise * (1.0 - self.error_rate));
        let held = self.wealth.iter_mut().zip(&mut self.since);
        for ((wealth, since), rate) in held.zip(rates) {
            let factor = odds(error, self.error_rate, rate);
            *wealth = (*wealth + 1.0) * factor;
            since.observe(error, factor, at);
        }
        let likelier = |one: &(f64, Stretch), other: &(f64, Stretch)| {
            one.1.likelihood.total_cmp(&other.1.likelihood)
        };
        let best = rates.into_iter().zip(self.since).max_by(likelier);
        let (rate, since) = best.unwrap_or_default();
        self.observed += 1;
        self.errors += u64::from(error);
        let wealth = self.wealth.iter().sum::<f64>() / RISES.len() as f64;
        let verdict = LabelledVerdict {
            risen: wealth >= self.run_length,
            wealth,
            threshold: self.run_length,
            observed: self.observed,
            errors: self.errors,
            rate,
            since,
        };
        if verdict.risen {
            *self = Self::new(self.error_rate, self.run_length);
        }
        verdict
    }

    /// Whether it tests against this rate for this run length.
    fn is_of(&self, error_rate: f64, run_length: f64) -> bool {
        let other = Self::new(error_rate, run_length);
        // Stored as text, a number may come back with another last digit.
        let close = |one: f64, other: f64| (one / other - 1.0).abs() < 1e-9;
        close(self.error_rate, other.error_rate) && close(self.run_length, other.run_length)
    }
}

/// How many times likelier an answer is at the error rate `now` than at `before`.
fn odds(error: bool, before: f64, now: f64) -> f64 {
    if error {
        now / before
    } else {
        (1.0 - now) / (1.0 - before)
    }
}

/// The test over time: an alarm opens once and stays open until a test of the same kind, turned round, finds that the error rate is
/// not even a quarter of the way up to the risen one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorWatch {
    test: LabelledTest,
    open: Option<Risen>,
    /// Alarms so far.
    opened: u64,
}

/// An alarm that is open.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Risen {
    /// The error rate that was taken for the risen one.
    rate: f64,
    /// The messages since the rise began, those after the alarm included.
    pub since: Stretch,
    /// Wealth of the bets on its being over.
    relief: f64,
}

/// What a labelled message has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ErrorChange {
    None,
    /// The error rate has risen.
    Opened(Risen),
    /// It is back near the baseline's.
    Resolved(Risen),
}

/// A false end of an alarm may come this many times as often as a false alarm: it only has the next one begin earlier.
const RELIEF: f64 = 10.0;
/// The share of the rise at which the error rate is still called risen. Halfway, a rate between two of [`RISES`] is called over by
/// chance within some thousand messages; with less the end of an alarm takes longer to be seen.
const STILL_RISEN: f64 = 0.25;

impl ErrorWatch {
    /// As [`LabelledTest::new`].
    #[must_use]
    pub fn new(error_rate: f64, run_length: f64) -> Self {
        Self {
            test: LabelledTest::new(error_rate, run_length),
            open: None,
            opened: 0,
        }
    }

    /// The same, begun anew where the rate or the run length is another one.
    #[must_use]
    pub fn fitted(self, error_rate: f64, run_length: f64) -> Self {
        if self.test.is_of(error_rate, run_length) {
            return self;
        }
        Self {
            test: LabelledTest::new(error_rate, run_length),
            ..self
        }
    }

    /// Takes in whether the answer to the next labelled message, written `at` so many milliseconds, was wrong.
    pub fn observe(&mut self, error: bool, at: i64) -> ErrorChange {
        let base = self.test.error_rate;
        let Some(risen) = &mut self.open else {
            let verdict = self.test.observe(error, at);
            if !verdict.risen {
                return ErrorChange::None;
            }
            self.opened += 1;
            let risen = Risen {
                rate: verdict.rate,
                since: verdict.since,
                relief: 0.0,
            };
            self.open = Some(risen);
            return ErrorChange::Opened(risen);
        };
        risen.since.observed += 1;
        risen.since.errors += u64::from(error);
        // An error rate well below the one that was taken for the risen one is still risen.
        let hardly_risen = base + (risen.rate - base) * STILL_RISEN;
        risen.relief = (risen.relief + 1.0) * odds(error, hardly_risen, base);
        if risen.relief < self.test.run_length / RELIEF {
            return ErrorChange::None;
        }
        let over = *risen;
        self.open = None;
        ErrorChange::Resolved(over)
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Numbers the alarms of a model, from 1.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// The error rate that is no alarm.
    #[must_use]
    pub fn reference(&self) -> f64 {
        self.test.error_rate
    }
}

#[cfg(test)]
mod tests;
