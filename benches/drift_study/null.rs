//! False alarms: how often the detector calls one where nothing has changed.
//!
//! A split divides texts of one kind at random into those that make a baseline and those that windows are drawn from. Within
//! a split all windows share the baseline's chance error, so the rate is averaged over many splits, and its interval comes
//! from resampling them (beside Wilson's, which takes windows for independent).

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use serde_json::{Value, json};
use tidewatch::drift::baseline::Baseline;
use tidewatch::drift::copies::Copies;
use tidewatch::drift::counts::Counts;
use tidewatch::drift::detector::examine_counts;
use tidewatch::drift::null::NullSettings;
use tidewatch::drift::proportion::wilson;
use tidewatch::drift::rule::{Change, Rule, Watch};

use super::prepared::{Model, Prepared};
use super::readings::Scored;
use super::{BUDGET, MeasureArgs};

/// Messages in a window.
pub const SIZES: [usize; 3] = [200, 1_000, 5_000];
/// Windows of each size in all, at least. Those of 5,000 share many of their messages, so more of them would say little.
const WINDOWS: [usize; SIZES.len()] = [60_000, 60_000, 20_000];
/// In the order of shuffled windows, one split in so many has a size: a null of 5,000 takes several times as long to find.
const EVERY: [u64; SIZES.len()] = [1, 1, 10];
/// Of a quick look's windows, one in so many.
const QUICK: usize = 50;
/// Resamples of the splits.
const BOOTSTRAP: usize = 2_000;

/// In which order texts stand, in the baseline and in windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// In a random one: all messages are independent of each other.
    Shuffled,
    /// In that of their times: a window is a run of consecutive ones.
    Real,
}

/// One way to measure.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    /// Of the texts in a baseline, and of those in windows.
    pub orders: (Order, Order),
    /// Texts in a baseline.
    pub baseline: usize,
    pub splits: u64,
}

/// What was counted at one size of window.
#[derive(Debug, Clone, Default)]
struct Tally {
    /// Windows and alarms of each split.
    splits: Vec<(u64, u64)>,
    /// Windows below the level of one window, and below that of two of three.
    single: u64,
    double: u64,
}

/// The rates on tweets of the training's time. What is measured is kept after each setting, since one takes long.
pub fn tweets(
    prepared: &Prepared,
    args: &MeasureArgs,
    keep: impl Fn(&Value) -> anyhow::Result<()>,
) -> anyhow::Result<Value> {
    let texts = prepared.not_trained_on();
    let half = texts.len() / 2;
    let shuffled = Setting {
        name: "tweets, shuffled",
        orders: (Order::Shuffled, Order::Shuffled),
        baseline: half,
        splits: args.splits,
    };
    // There is one real order, of which more divisions say little.
    let real = Setting {
        splits: args.splits.min(50),
        ..shuffled
    };
    let settings = [
        shuffled,
        Setting {
            name: "tweets, shuffled, a baseline as large as the default model's",
            // The default model's baseline is of so many.
            baseline: 2_448.min(half),
            ..shuffled
        },
        Setting {
            name: "tweets, in their real order",
            orders: (Order::Real, Order::Real),
            ..real
        },
        Setting {
            name: "tweets, in their real order, but a shuffled baseline",
            orders: (Order::Shuffled, Order::Real),
            ..real
        },
    ];
    let mut measured = Vec::new();
    for setting in &settings {
        measured.push(rates(&texts, &prepared.model, setting, args)?);
        keep(&json!(measured))?;
    }
    Ok(json!(measured))
}

/// Measures the rates in one setting.
pub fn rates(
    texts: &[Scored],
    model: &Model,
    setting: &Setting,
    args: &MeasureArgs,
) -> anyhow::Result<Value> {
    let rule = Rule::for_budget(BUDGET);
    let mut tallies = vec![Tally::default(); SIZES.len()];
    let (mut block, mut largest, mut warned) = (0, 0, 0);
    for split in 0..setting.splits {
        let every = |place: usize| match setting.orders.1 {
            Order::Shuffled => EVERY[place],
            Order::Real => 1,
        };
        let measured: Vec<usize> = (0..SIZES.len())
            .filter(|&place| split % every(place) == 0)
            .collect();
        let mut rng = ChaCha8Rng::seed_from_u64(args.seed + split);
        // A size's null is the same whether larger ones are looked at or not.
        let sizes = measured.iter().map(|&place| SIZES[place]).collect();
        let (baseline, pool) = divide(texts, model, setting, sizes, &mut rng)?;
        block = block.max(baseline.null.block);
        largest = largest.max(baseline.null.sizes.last().map_or(0, |size| size.size));
        warned += u64::from(baseline.movement().is_some());
        for place in measured {
            let (size, tally) = (SIZES[place], &mut tallies[place]);
            let all = if args.quick {
                WINDOWS[place] / QUICK
            } else {
                WINDOWS[place]
            };
            let wanted = all.div_ceil(setting.splits.div_ceil(every(place)) as usize);
            let windows = draw(&pool, size, wanted, setting.orders.1, &mut rng);
            let ps: Vec<Option<f64>> = windows
                .par_iter()
                .map(|window| p_value(window, &baseline))
                .collect();
            tally.count(&ps, &rule);
        }
        if split % 100 == 99 {
            eprintln!("drift_study: {}: {} splits", setting.name, split + 1);
        }
    }
    let sizes = SIZES.into_iter().zip(&tallies);
    Ok(json!({
        "name": setting.name, "baseline": setting.baseline, "pool": texts.len() - setting.baseline,
        "splits": setting.splits, "first_seed": args.seed, "longest_block": block,
        "largest_window_in_null": largest, "baselines_warned_of": warned,
        "sizes": sizes.map(|(size, tally)| tally.to_json(size)).collect::<Vec<_>>(),
    }))
}

/// A baseline and what is left for windows, both in the setting's order.
fn divide<'a>(
    texts: &'a [Scored],
    model: &Model,
    setting: &Setting,
    sizes: Vec<usize>,
    rng: &mut ChaCha8Rng,
) -> anyhow::Result<(Baseline, Vec<&'a Scored>)> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.shuffle(rng);
    let mut rest = order.split_off(setting.baseline);
    if setting.orders.1 == Order::Real {
        rest.sort_unstable();
    }
    let first = order.into_iter().map(|place| texts[place].clone());
    let mut baseline: Vec<Scored> = first.collect();
    if setting.orders.0 == Order::Shuffled {
        // A baseline is put in the order of its times, which are made up to keep the random one.
        for (second, text) in (0..).zip(&mut baseline) {
            text.reading.time = second * 1_000;
        }
    }
    let settings = NullSettings {
        sizes,
        seed: rng.random(),
        ..NullSettings::default()
    };
    let baseline = model.baseline(&baseline.iter().collect::<Vec<_>>(), &settings)?;
    Ok((
        baseline,
        rest.into_iter().map(|place| &texts[place]).collect(),
    ))
}

/// Windows of a size: as many as wanted, or of consecutive messages as many as fit.
fn draw<'a>(
    pool: &[&'a Scored],
    size: usize,
    wanted: usize,
    order: Order,
    rng: &mut ChaCha8Rng,
) -> Vec<Vec<&'a Scored>> {
    if pool.len() < size {
        return Vec::new();
    }
    match order {
        Order::Shuffled => {
            let mut pool = pool.to_vec();
            let mut one = || pool.partial_shuffle(rng, size).0.to_vec();
            (0..wanted).map(|_| one()).collect()
        }
        Order::Real => {
            // From a place of its own, so that splits do not all cut at the same moments.
            let from = rng.random_range(0..=(pool.len() % size));
            let windows = pool[from..].chunks_exact(size);
            windows.map(<[&Scored]>::to_vec).collect()
        }
    }
}

fn p_value(window: &[&Scored], baseline: &Baseline) -> Option<f64> {
    let mut counts = Counts::new(baseline.shape);
    window.iter().for_each(|text| counts.add(&text.reading));
    examine_counts(&counts, Copies::default(), baseline).p
}

impl Tally {
    /// Lets the rule judge the windows of a split, one after the other. It begins anew after each alarm, so that none is
    /// hidden by one that is still open.
    fn count(&mut self, ps: &[Option<f64>], rule: &Rule) {
        let (mut watch, mut alarms) = (Watch::default(), 0);
        for &p in ps {
            self.single += u64::from(p.is_some_and(|p| p < rule.single));
            self.double += u64::from(p.is_some_and(|p| p < rule.double));
            if watch.observe(rule, p).1 == Change::Opened {
                watch = Watch::default();
                alarms += 1;
            }
        }
        self.splits.push((ps.len() as u64, alarms));
    }

    fn to_json(&self, size: usize) -> Value {
        let sum = |of: fn(&(u64, u64)) -> u64| self.splits.iter().map(of).sum::<u64>();
        let (windows, alarms) = (sum(|split| split.0), sum(|split| split.1));
        let with_alarms = self.splits.iter().filter(|split| split.1 > 0).count();
        let (low, high) = wilson(alarms, windows);
        let (from, to) = self.between_splits();
        let rate = |count: u64| count as f64 / windows.max(1) as f64;
        json!({
            "size": size, "windows": windows, "alarms": alarms, "rate": rate(alarms),
            "wilson": [low, high], "between_splits": [from, to], "splits": self.splits.len(), "splits_with_alarms": with_alarms,
            "below_single": rate(self.single), "below_double": rate(self.double),
        })
    }

    /// The 95 % interval of the rate from resampled splits.
    fn between_splits(&self) -> (f64, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut rates: Vec<f64> = (0..BOOTSTRAP)
            .map(|_| {
                let drawn = self.splits.iter();
                let (windows, alarms) = drawn
                    .map(|_| self.splits[rng.random_range(0..self.splits.len())])
                    .fold((0, 0), |sum, split| (sum.0 + split.0, sum.1 + split.1));
                alarms as f64 / windows.max(1) as f64
            })
            .collect();
        rates.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| rates[((rates.len() - 1) as f64 * share).round() as usize];
        (at(0.025), at(0.975))
    }
}
