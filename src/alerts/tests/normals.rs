//! What is learnt of a series.

use super::*;
use crate::alerts::normal::Normal;
use crate::alerts::synthetic::Maker;

/// A normal that has learnt the share of the first label from hourly cells.
fn learnt(maker: &Maker, days: i64) -> Normal {
    let mut normal = Normal::new(1);
    for cell in maker.cells(days * 24) {
        let texts: u64 = cell.counts.iter().map(|count| count.texts).sum();
        normal.learn(cell.start / HOUR, texts as f32, cell.counts[0].texts as f32);
    }
    normal
}

#[test]
fn the_hours_and_weekdays_of_a_series_are_learnt() {
    let maker = Maker::flat(200.0, 3);
    let normal = learnt(&maker, 60);
    // The same cycles without any straying, over one week.
    let mut steady = maker.clone();
    (steady.days_stray, steady.hours_stray, steady.volume) = (0.0, 0.0, 20_000.0);
    let mut worst = 0.0_f64;
    for cell in steady.cells(7 * 24) {
        let texts: u64 = cell.counts.iter().map(|count| count.texts).sum();
        let share = cell.counts[0].texts as f64 / texts as f64;
        worst = worst.max((normal.expected(cell.start / HOUR) - share).abs());
    }
    // The cycles span eighteen points.
    assert!(worst < 0.06, "{worst}");
}

#[test]
fn how_far_days_stray_is_learnt() {
    for days_stray in [0.1, 0.2, 0.4] {
        let estimates = (0..20).map(|seed| {
            let mut maker = Maker::flat(200.0, seed);
            maker.days_stray = days_stray;
            learnt(&maker, 60).stray() * 0.736
        });
        let mean = estimates.sum::<f64>() / 20.0;
        let ratio = mean / (days_stray * days_stray);
        assert!((0.75..1.4).contains(&ratio), "{ratio} at {days_stray}");
    }
}

#[test]
fn a_series_with_little_data_keeps_to_its_own_level() {
    let mut normal = Normal::new(1);
    for hour in 0..96 {
        // In one hour of the day a text too many.
        normal.learn(hour, 5.0, if hour % 24 == 6 { 3.0 } else { 2.0 });
    }
    let (odd, other) = (normal.expected(96 + 6), normal.expected(96 + 7));
    assert!(odd > other && odd - other < 0.03, "{odd} {other}");
}
