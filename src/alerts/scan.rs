//! The sequential test: has the share changed since one of the last hours?
//!
//! Every hour a fresh stake is laid on the bet that the share has just moved by so much. A bet's wealth is the likelihood
//! ratio of the counts since then, tempered by how much more than binomial they vary (a quasi-likelihood, Wedderburn 1974),
//! and the sum over the hours is the statistic of Shiryaev and Roberts, an e-detector (Shin, Ramdas and Rinaldo 2023,
//! "E-detectors: a nonparametric framework for sequential change detection", section 2): with one unit staked per day it
//! reaches D, as long as nothing changes, no sooner than after D days on average.

use super::config::Direction;
use super::hours::Hour;
use super::normal::{Normal, STRAY_HOURS};

/// Sizes bet on, as multiples of the least change worth an alert; one in between is seen by its neighbours.
const SIZES: [f64; 2] = [1.0, 2.0];
/// A bet never says that a label is certain or impossible.
const NEAREST: f64 = 0.02;
/// The wealth at which an alert is raised, as a part of the days in which there may be one false alert, for bets that are kept
/// for a day at most; beyond that it grows with the span, since so many more bets are alive at once. The bound above holds with 1, if dispersion
/// is known. But hours of a day stray together, so that bets laid at different hours win or lose as one, and the change that
/// is measured must be as large as the rule says, which makes the bound three times too careful. In simulations
/// (benches/alerts.rs) a rule of defaults keeps the promise with this part for volumes of 5 to 500 messages an hour, even
/// where days stray by 0.35 logits, nearly twice the prior.
const PART: f64 = 0.35;

/// What a rule looks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sought {
    pub direction: Direction,
    pub min_change: f64,
    pub min_texts: f64,
    pub within_hours: i64,
    /// Days in which there may be one false alert.
    pub days: f64,
}

/// A change that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    /// The hour (since the epoch, local time) in which it most likely began.
    pub since: i64,
    pub direction: Direction,
}

/// What a scan says.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Scan {
    /// Wealth of the bets as a part of that at which an alert is raised.
    pub evidence: f64,
    pub found: Option<Found>,
}

/// Sums over the hours since a possible change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub texts: f64,
    pub hits: f64,
    pub expected: f64,
    /// Fisher information: the sum of n p (1 - p).
    pub information: f64,
    /// Variance of the hits because hours stray on their own.
    pub hourly: f64,
}

impl Sums {
    pub fn add(&mut self, normal: &Normal, hour: i64, texts: f64, hits: f64) -> f64 {
        let expected = normal.expected(hour);
        let information = texts * expected * (1.0 - expected);
        self.texts += texts;
        self.hits += hits;
        self.expected += texts * expected;
        self.information += information;
        self.hourly += information * information * normal.hour_variance(hour);
        expected
    }

    /// How many times more than binomial the hits vary, hours taken to be independent.
    pub fn dispersion(&self) -> f64 {
        if self.information > 0.0 {
            1.0 + self.hourly / self.information
        } else {
            1.0
        }
    }
}

/// A size and direction of change, in logits, and what its likelihood needs of the counts.
struct Bet {
    direction: Direction,
    shift: f64,
    factor: f64,
    log_partition: f64,
}

impl Bet {
    fn new(direction: Direction, share: f64, change: f64) -> Self {
        let risen = if direction == Direction::Fall {
            share - change
        } else {
            share + change
        };
        // Near the end of the scale a change by so many points cannot be; four fifths of the way can.
        let risen = risen.clamp(
            (share * 0.2).min(NEAREST),
            (1.0 - (1.0 - share) * 0.2).max(1.0 - NEAREST),
        );
        let shift = (risen / (1.0 - risen)).ln() - (share / (1.0 - share)).ln();
        Self {
            direction,
            shift,
            factor: shift.exp_m1(),
            log_partition: 0.0,
        }
    }
}

/// Looks for a change that began in one of the hours from `from` on; `hours` are in order.
pub(super) fn scan(hours: &[Hour], normal: &Normal, sought: &Sought, from: i64) -> Scan {
    let Some(last) = hours
        .last()
        .map(|hour| hour.index)
        .filter(|_| normal.is_known())
    else {
        return Scan::default();
    };
    let directions: &[Direction] = match sought.direction {
        Direction::Either => &[Direction::Rise, Direction::Fall],
        Direction::Rise => &[Direction::Rise],
        Direction::Fall => &[Direction::Fall],
    };
    let mut bets: Vec<Bet> = directions
        .iter()
        .flat_map(|direction| {
            SIZES.map(|size| Bet::new(*direction, normal.overall(), size * sought.min_change))
        })
        .collect();
    let stake = 1.0 / (24.0 * bets.len() as f64);
    let (stray, uncertainty) = (normal.stray(), normal.uncertainty(last));

    let (mut sums, mut wealth) = (Sums::default(), 0.0);
    // For the covariance of hours that stray together: the later hours' information, faded, and the sum over all pairs.
    let (mut faded, mut pairs, mut later) = (0.0, 0.0, last);
    let mut best: Option<(f64, Found)> = None;
    let first = from.max(last - sought.within_hours + 1);
    for hour in hours.iter().rev().take_while(|hour| hour.index >= first) {
        let (texts, hits) = hour.share(normal.target);
        if texts <= 0.0 {
            continue;
        }
        let before = sums.information;
        let expected = sums.add(normal, hour.index, texts, hits);
        let information = sums.information - before;
        faded *= (-((later - hour.index) as f64) / STRAY_HOURS).exp();
        pairs += information * (information + 2.0 * faded);
        faded += information;
        later = hour.index;

        let shared = stray * pairs + uncertainty * sums.information * sums.information;
        let dispersion = sums.dispersion() + shared / sums.information;
        let change = (sums.hits - sums.expected) / sums.texts;
        for bet in &mut bets {
            bet.log_partition += texts * (expected * bet.factor).ln_1p();
            let log_ratio = ((bet.shift * sums.hits - bet.log_partition) / dispersion).min(500.0);
            wealth += stake * log_ratio.exp();
            let large =
                change * bet.shift.signum() >= sought.min_change && sums.texts >= sought.min_texts;
            if large && best.is_none_or(|(ratio, _)| log_ratio > ratio) {
                let (since, direction) = (hour.index, bet.direction);
                best = Some((log_ratio, Found { since, direction }));
            }
        }
    }
    let span = (sought.within_hours as f64 / 24.0).max(1.0);
    let evidence = wealth / (PART * sought.days * span);
    Scan {
        evidence,
        found: best.filter(|_| evidence >= 1.0).map(|(_, found)| found),
    }
}

/// Whether some span of the last hours, all after `since`, is such that `over` holds: of its length in hours, its sums, and
/// how much likelier, as a logarithm, its counts are under the normal share than under one that is off by `change`.
pub(super) fn retreat(
    hours: &[Hour],
    normal: &Normal,
    direction: Direction,
    change: f64,
    since: i64,
    over: impl Fn(i64, &Sums, f64) -> bool,
) -> bool {
    let Some(last) = hours.last().map(|hour| hour.index) else {
        return false;
    };
    let mut bet = Bet::new(direction, normal.overall(), change);
    let mut sums = Sums::default();
    for hour in hours.iter().rev().take_while(|hour| hour.index > since) {
        let (texts, hits) = hour.share(normal.target);
        if texts <= 0.0 {
            continue;
        }
        let expected = sums.add(normal, hour.index, texts, hits);
        bet.log_partition += texts * (expected * bet.factor).ln_1p();
        let evidence = (bet.log_partition - bet.shift * sums.hits) / sums.dispersion();
        if over(last - hour.index + 1, &sums, evidence) {
            return true;
        }
    }
    false
}
