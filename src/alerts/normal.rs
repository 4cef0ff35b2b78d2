//! What share of a label is normal for a series, by the hour of the day and the day of the week, and how far days and hours
//! stray from it by themselves.
//!
//! On the logit scale the normal is a sum: the level of the series, the hour's effect and the weekday's. Each is a Gaussian
//! belief that starts at zero with a prior variance and learns by its share of the total variance (a Kalman filter with
//! independent components), so that where there is little data a series keeps to its own level. Level and weekday learn once
//! a day, since the hours of a day stray together; the hour's effect learns from what is left after the day's own deviation.
//! How far days and hours stray beyond chance (overdispersion) is a moment estimate from Pearson residuals, in the manner of
//! DerSimonian and Laird 1986, "Meta-analysis in clinical trials", held together by a prior worth a few days.

use super::scan::Sums;

/// Hours in a day.
const DAY: usize = 24;

/// Prior variance of an hour's effect: 0.15 logits are about four points of share.
const HOUR_EFFECT: f32 = 0.15 * 0.15;
/// Prior variance of a weekday's effect: about two and a half points.
const WEEKDAY_EFFECT: f32 = 0.1 * 0.1;
/// Prior variance of the level, before a series has been heard for a day.
const LEVEL: f32 = 4.0;
/// Prior variance of how far a day strays: 0.2 logits, five points of share. It is chosen in view of the airline tweets of
/// February 2015, whose ordinary days stray by 0.2 (Delta, United, US Airways) to 0.3 logits beyond what chance explains.
const DAY_STRAY: f32 = 0.2 * 0.2;
/// Prior variance of how far an hour strays from its day.
const HOUR_STRAY: f32 = 0.15 * 0.15;
/// The prior of how far days stray is worth so many days: few, so that a series that strays more is soon known for it.
const PRIOR_DAYS: f32 = 3.0;
/// And that of hours so many hours.
const PRIOR_HOURS: f32 = 48.0;
/// No series is steadier than this: two points of share.
const LEAST_STRAY: f32 = 0.08 * 0.08;
/// Beliefs widen by this factor a day, and dispersion forgets by it: in the long run a day has a weight of one part in
/// twenty, which halves in a fortnight.
const FORGET: f32 = 1.05;
/// A squared residual beyond so many times its variance counts as this many, so that one odd day does not blind the test.
const OUTLIER: f32 = 9.0;
/// A day of so many distinct texts is a full day of history.
const FULL_DAY: f32 = 20.0;
/// Full days of history before there is a normal: fewer say nothing about how days differ.
const HISTORY: f32 = 3.0;
/// Hours over which straying fades (the correlation of an Ornstein-Uhlenbeck process falls to 1/e in so many hours).
pub(super) const STRAY_HOURS: f64 = 24.0;
/// Variance of a day's mean as a part of the variance at one moment, for straying of that kind: 2 (e^-x - 1 + x) / x², x = 1.
const DAY_MEAN: f32 = 0.736;

/// What has been learnt. Stored as it is, so that nothing is lost between runs.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Normal {
    /// Which share: 0 for the mean score, else the label's index and one.
    #[prost(uint32, tag = "1")]
    pub target: u32,
    #[prost(float, tag = "2")]
    level: f32,
    #[prost(float, tag = "3")]
    level_variance: f32,
    #[prost(float, repeated, tag = "4")]
    hours: Vec<f32>,
    #[prost(float, repeated, tag = "5")]
    hour_variances: Vec<f32>,
    #[prost(float, repeated, tag = "6")]
    weekdays: Vec<f32>,
    #[prost(float, repeated, tag = "7")]
    weekday_variances: Vec<f32>,
    /// Full days learnt from.
    #[prost(float, tag = "8")]
    history: f32,
    /// Sums of the estimates of how far days and hours stray: weights, and weighted variances.
    #[prost(float, repeated, tag = "9")]
    days_stray: Vec<f32>,
    #[prost(float, repeated, tag = "10")]
    hours_stray: Vec<f32>,
    /// The day that is being learnt.
    #[prost(message, optional, tag = "11")]
    day: Option<Day>,
}

/// Sums over the hours of a day.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Day {
    /// Days since the epoch, in local time.
    #[prost(sint32, tag = "1")]
    index: i32,
    #[prost(float, tag = "2")]
    texts: f32,
    #[prost(float, tag = "3")]
    hits: f32,
    #[prost(float, tag = "4")]
    expected: f32,
    /// Fisher information about the logit: the sum of n p (1 - p).
    #[prost(float, tag = "5")]
    information: f32,
    /// Sum of the squares of the hours' information.
    #[prost(float, tag = "6")]
    squares: f32,
}

impl Normal {
    /// Nothing is known yet.
    pub fn new(target: u32) -> Self {
        Self {
            target,
            level_variance: LEVEL,
            hours: vec![0.0; DAY],
            hour_variances: vec![HOUR_EFFECT; DAY],
            weekdays: vec![0.0; 7],
            weekday_variances: vec![WEEKDAY_EFFECT; 7],
            days_stray: vec![0.0; 2],
            hours_stray: vec![0.0; 2],
            ..Self::default()
        }
    }

    /// Whether the lists have the lengths that the rest relies on.
    pub fn is_whole(&self) -> bool {
        let lengths = [
            &self.hours,
            &self.hour_variances,
            &self.weekdays,
            &self.weekday_variances,
            &self.days_stray,
            &self.hours_stray,
        ]
        .map(Vec::len);
        lengths == [DAY, DAY, 7, 7, 2, 2]
    }

    /// Whether enough is known to call anything a change.
    pub fn is_known(&self) -> bool {
        self.history >= HISTORY
    }

    /// Full days of history so far and those needed.
    pub fn history(&self) -> (f64, f64) {
        (self.history.into(), HISTORY.into())
    }

    /// The share expected in an hour, counted from the epoch in local time.
    pub fn expected(&self, hour: i64) -> f64 {
        let logit = self.level
            + self.hours[hour_of_day(hour)]
            + self.weekdays[weekday(hour.div_euclid(24))];
        f64::from(logistic(logit))
    }

    /// The share expected on the whole.
    pub fn overall(&self) -> f64 {
        f64::from(logistic(self.level))
    }

    /// Variance of the logit that hours of a span have in common because days stray.
    pub fn stray(&self) -> f64 {
        f64::from(self.day_mean_stray() / DAY_MEAN)
    }

    /// Variance of the logit that is an hour's own: straying, and what is not known of the hour's effect.
    pub fn hour_variance(&self, hour: i64) -> f64 {
        f64::from(self.hour_stray() + self.hour_variances[hour_of_day(hour)])
    }

    /// Variance of the logit because level and weekday's effect are known only so well.
    pub fn uncertainty(&self, hour: i64) -> f64 {
        f64::from(self.level_variance + self.weekday_variances[weekday(hour.div_euclid(24))])
    }

    fn day_mean_stray(&self) -> f32 {
        let [weight, sum] = [self.days_stray[0], self.days_stray[1]];
        ((sum + PRIOR_DAYS * DAY_STRAY) / (weight + PRIOR_DAYS)).max(LEAST_STRAY)
    }

    fn hour_stray(&self) -> f32 {
        let [weight, sum] = [self.hours_stray[0], self.hours_stray[1]];
        ((sum + PRIOR_HOURS * HOUR_STRAY) / (weight + PRIOR_HOURS)).max(LEAST_STRAY)
    }

    /// Learns from an hour (since the epoch, local time) in which `hits` of `texts` had the label.
    pub fn learn(&mut self, hour: i64, texts: f32, hits: f32) {
        if texts <= 0.0 {
            return;
        }
        let index = i32::try_from(hour.div_euclid(24)).unwrap_or(i32::MAX);
        match self.day {
            None if self.history == 0.0 => {
                self.level = logit((hits + 0.5) / (texts + 1.0));
                self.day = Some(Day {
                    index,
                    ..Day::default()
                });
            }
            Some(day) if day.index == index => {}
            _ => {
                self.close_day();
                self.day = Some(Day {
                    index,
                    ..Day::default()
                });
            }
        }
        let mut day = self.day.unwrap_or_default();
        let expected = texts * self.expected(hour) as f32;
        let information = expected * (1.0 - expected / texts);
        day.texts += texts;
        day.hits += hits;
        day.expected += expected;
        day.information += information;
        day.squares += information * information;
        self.day = Some(day);

        // How far this day is from normal, shrunk, and how well that is known.
        let apart = self.day_mean_stray() + self.uncertainty(hour) as f32;
        let known = apart / (apart + 1.0 / day.information);
        let deviation = known * distance(day.hits, day.texts, day.expected);

        let at = hour_of_day(hour);
        let others = self.hour_variances[at] + 1.0 / information + apart * (1.0 - known);
        let stray = self.hour_stray();
        let pearson = (hits - expected) / information - deviation;
        moment(&mut self.hours_stray, pearson, others, stray, HOUR_STRAY);
        let gain = self.hour_variances[at] / (others + stray);
        self.hours[at] += gain * (distance(hits, texts, expected) - deviation);
        self.hour_variances[at] *= 1.0 - gain;
    }

    /// Takes the share that has lasted for the new level.
    pub fn rebase(&mut self, sums: &Sums) {
        if sums.texts > 0.0 {
            self.level += distance(sums.hits as f32, sums.texts as f32, sums.expected as f32);
        }
        self.level_variance = self.level_variance.max(self.day_mean_stray());
        if let Some(day) = &mut self.day {
            *day = Day {
                index: day.index,
                ..Day::default()
            };
        }
    }

    fn close_day(&mut self) {
        let Some(day) = self.day.take().filter(|day| day.texts > 0.0) else {
            return;
        };
        let at = weekday(day.index.into());
        let chance = 1.0 / day.information
            + self.hour_stray() * day.squares / (day.information * day.information);
        let others = self.level_variance + self.weekday_variances[at] + chance;
        let stray = self.day_mean_stray();
        // The first day says where the level is, not how far days are from it.
        if self.history > 0.0 {
            let pearson = (day.hits - day.expected) / day.information;
            moment(&mut self.days_stray, pearson, others, stray, DAY_STRAY);
        }
        let apart = distance(day.hits, day.texts, day.expected);
        let (level, weekday) = (
            self.level_variance / (others + stray),
            self.weekday_variances[at] / (others + stray),
        );
        self.level = (self.level + level * apart).clamp(-7.0, 7.0);
        self.level_variance *= 1.0 - level;
        self.weekdays[at] += weekday * apart;
        self.weekday_variances[at] *= 1.0 - weekday;
        self.history = (self.history + (day.texts / FULL_DAY).min(1.0)).min(1e4);
        self.forget();
    }

    /// Makes a day's room for what comes.
    fn forget(&mut self) {
        self.level_variance = (self.level_variance * FORGET).min(LEVEL);
        for (variances, prior) in [
            (&mut self.hour_variances, HOUR_EFFECT),
            (&mut self.weekday_variances, WEEKDAY_EFFECT),
        ] {
            for variance in variances {
                *variance = (*variance * FORGET).min(prior);
            }
        }
        for sums in [&mut self.days_stray, &mut self.hours_stray] {
            for sum in sums {
                *sum /= FORGET;
            }
        }
    }
}

/// Adds a squared residual to the estimate of a variance: `others` is what the residual would have without it, `now` the
/// estimate so far. A residual that chance drowns has little weight; one is not weighed down because the estimate is low.
fn moment(sums: &mut [f32], residual: f32, others: f32, now: f32, prior: f32) {
    let sought = now.max(prior);
    let weight = (sought / (others + sought)).powi(2);
    let square = (residual * residual).min(OUTLIER * (others + now));
    sums[0] += weight;
    sums[1] += weight * (square - others);
}

/// How far `hits` of `texts` are from `expected`, in logits, with one text of prior so that it is finite.
fn distance(hits: f32, texts: f32, expected: f32) -> f32 {
    let share = expected / texts;
    logit((hits + share) / (texts + 1.0)) - logit(share)
}

fn hour_of_day(hour: i64) -> usize {
    hour.rem_euclid(24) as usize
}

/// Monday is 0; the epoch was a Thursday.
fn weekday(day: i64) -> usize {
    (day + 3).rem_euclid(7) as usize
}

fn logistic(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

fn logit(share: f32) -> f32 {
    let share = share.clamp(1e-3, 1.0 - 1e-3);
    (share / (1.0 - share)).ln()
}
