//! When windows in a row are an alarm.
//!
//! One window that is very far, or two of three that are far (the first two of Western Electric's rules, "Statistical Quality
//! Control Handbook", 1956). The levels are computed from how long the rule should run, on average, before it gives a false
//! alarm, which is the number that somebody on call can state.

use serde::{Deserialize, Serialize};

/// The levels of the rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// One window below this is an alarm.
    pub single: f64,
    /// Two of three windows in a row below this are one.
    pub double: f64,
    /// A window above this is calm.
    pub calm: f64,
    /// Calm windows in a row after which an alarm is over; at least one.
    pub calm_windows: u32,
}

impl Rule {
    /// The rule that gives a false alarm once in `windows` windows on average, if p-values are independent and uniform. Those
    /// adjusted by Holm's method are larger, so of them there is at most one.
    ///
    /// Half of the budget goes to each branch: the single one alone would run for twice as many windows. A large change is
    /// then seen in one window at hardly any cost (half of the level is a fraction of a standard error), a small one that
    /// lasts gets a level that is of the order of the budget's square root. No rule of this kind runs shorter than for two
    /// windows, so smaller budgets are taken as two.
    #[must_use]
    pub fn for_budget(windows: u32) -> Self {
        let windows = f64::from(windows.max(2));
        let single = 0.5 / windows;
        let (mut low, mut high) = (single, 1.0);
        for _ in 0..200 {
            let middle = f64::midpoint(low, high);
            if run_length(single, middle) > windows {
                low = middle
            } else {
                high = middle
            }
        }
        Self {
            single,
            double: low,
            calm: 0.05,
            calm_windows: 3,
        }
    }

    /// Windows until the first alarm, on average, if p-values are independent and uniform.
    #[must_use]
    pub fn run_length(&self) -> f64 {
        run_length(self.single, self.double)
    }
}

/// The average run length of a Markov chain with three states: no far window among the last two, the last one, the one before.
///
/// With c the chance of a window that is not far and w that of one that is far but no alarm by itself, the expected numbers of
/// further windows are a = 1 + c a + w b, b = 1 + c d and d = 1 + c a (Brook and Evans 1972 for the method), solved for a.
fn run_length(single: f64, double: f64) -> f64 {
    let (near, warns) = (1.0 - double, double - single);
    (1.0 + warns * (1.0 + near)) / (double - warns * near * near)
}

/// What a window says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No alarm is open.
    Ok,
    /// Too few distinct messages to say anything.
    Unknown,
    /// An alarm is open.
    Drift,
}

impl Verdict {
    /// As it is told, counted and kept.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Drift => "drift",
        }
    }

    /// The one of this name; `Unknown` where there is none.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let named = |verdict: &Self| verdict.as_str() == name;
        [Self::Ok, Self::Drift]
            .into_iter()
            .find(named)
            .unwrap_or(Self::Unknown)
    }
}

/// What a window changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Nothing.
    None,
    /// An alarm was opened.
    Opened,
    /// The open alarm is over.
    Resolved,
}

/// The state of the rule between windows. It opens one alarm for one change: there is no other before that one is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Whether an alarm is open.
    pub open: bool,
    /// Whether each of the last two windows of known p was far, the older one first.
    pub far: (bool, bool),
    /// Calm windows in a row since the alarm was opened.
    pub calm: u32,
}

impl Watch {
    /// Takes the next window's smallest adjusted p-value; none where it is not known.
    ///
    /// Windows of unknown p are passed over: they neither open an alarm nor end one, and neither count among three windows
    /// nor break a row of calm ones. After an alarm the two-of-three branch begins anew.
    pub fn observe(&mut self, rule: &Rule, p: Option<f64>) -> (Verdict, Change) {
        let Some(p) = p else {
            return (Verdict::Unknown, Change::None);
        };
        if self.open {
            self.calm = if p > rule.calm { self.calm + 1 } else { 0 };
            if self.calm < rule.calm_windows {
                return (Verdict::Drift, Change::None);
            }
            *self = Self::default();
            return (Verdict::Ok, Change::Resolved);
        }
        let far = p < rule.double;
        if p < rule.single || (far && (self.far.0 || self.far.1)) {
            *self = Self {
                open: true,
                ..Self::default()
            };
            return (Verdict::Drift, Change::Opened);
        }
        self.far = (self.far.1, far);
        (Verdict::Ok, Change::None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

    use super::*;

    #[test]
    fn without_the_second_branch_the_run_length_is_the_inverse_of_the_level() {
        for level in [0.5, 0.01, 1e-5] {
            assert!((run_length(level, level) * level - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn the_simulated_run_length_agrees_with_the_computed_one() {
        let rule = Rule::for_budget(50);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut windows, alarms) = (0_u32, 20_000);
        for _ in 0..alarms {
            let mut watch = Watch::default();
            while !watch.open {
                watch.observe(&rule, Some(rng.random()));
                windows += 1;
            }
        }
        // Run lengths are nearly geometric, so the mean's relative standard error is 0.7 %.
        let mean = f64::from(windows) / f64::from(alarms);
        assert!((mean / 50.0 - 1.0).abs() < 0.03, "{mean}");
    }

    #[test]
    fn a_budget_of_a_thousand_windows_gives_levels_of_known_size() {
        let rule = Rule::for_budget(1000);
        assert_eq!(rule.single, 0.0005);
        assert!((0.015..0.018).contains(&rule.double), "{rule:?}");
    }

    #[test]
    fn one_change_is_one_alarm_and_three_calm_windows_end_it() {
        let rule = Rule::for_budget(1000);
        let mut watch = Watch::default();
        let ps = [
            Some(0.5),
            Some(1e-6),
            Some(1e-6),
            Some(0.3),
            Some(0.01),
            Some(0.3),
            None,
            Some(0.3),
            Some(0.3),
            Some(0.01),
            Some(0.2),
            Some(0.01),
        ];
        let seen = ps.map(|p| watch.observe(&rule, p));
        use Change::{None as Same, Opened, Resolved};
        use Verdict::{Drift, Ok, Unknown};
        let expected = [
            (Ok, Same),
            (Drift, Opened),
            (Drift, Same),
            (Drift, Same),
            (Drift, Same),
            (Drift, Same),
            (Unknown, Same),
            (Drift, Same),
            (Ok, Resolved),
            (Ok, Same),
            (Ok, Same),
            (Drift, Opened),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn far_windows_with_two_others_between_them_are_no_alarm() {
        let rule = Rule::for_budget(1000);
        let mut watch = Watch::default();
        for p in [0.01, 0.5, 0.5, 0.01, 0.5, 0.5, 0.01] {
            assert_eq!(watch.observe(&rule, Some(p)), (Verdict::Ok, Change::None));
        }
    }

    proptest! {
        #[test]
        fn any_budget_is_met_exactly(windows in 2_u32..10_000_000) {
            let rule = Rule::for_budget(windows);
            prop_assert!((rule.run_length() / f64::from(windows) - 1.0).abs() < 1e-6);
            prop_assert!(0.0 < rule.single && rule.single <= rule.double && rule.double <= 1.0);
        }

        #[test]
        fn openings_and_resolutions_take_turns(
            ps in prop::collection::vec(prop_oneof![Just(None), (0.0_f64..0.1).prop_map(Some), (0.0_f64..1.0).prop_map(Some)], 0..200),
        ) {
            let (rule, mut watch, mut open) = (Rule::for_budget(20), Watch::default(), false);
            for p in ps {
                let (verdict, change) = watch.observe(&rule, p);
                match change {
                    Change::Opened => { prop_assert!(!open); open = true; }
                    Change::Resolved => { prop_assert!(open); open = false; }
                    Change::None => {}
                }
                let expected = if p.is_none() { Verdict::Unknown } else if open { Verdict::Drift } else { Verdict::Ok };
                prop_assert_eq!(verdict, expected);
            }
        }
    }
}
