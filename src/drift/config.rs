//! The `[drift]` section. Defaults stand in `config/default.toml`.

use std::path::PathBuf;

use serde::Deserialize;

use super::windows::WindowSettings;

/// How the feed is watched for drift.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftConfig {
    /// Whether it is watched at all.
    pub enabled: bool,
    /// A window closes at this many messages.
    pub window_messages: usize,
    /// And at the latest where a multiple of so many hours of event time begins; 0: only the messages count.
    pub window_hours: u32,
    /// How many seconds a message may be behind the latest of its partition and still be counted in its place.
    pub lateness_seconds: u32,
    /// A partition that has been silent for so many seconds holds up no window.
    pub idle_seconds: u32,
    /// The false-alarm budget: where nothing changes, at most one alarm in so many windows.
    pub windows_per_false_alarm: u32,
    /// The same for the test on labels: where nothing changes, at most one alarm in so many labelled messages.
    pub labels_per_false_alarm: u32,
    /// A baseline for a model whose bundle has none, or another than the bundle's. Empty takes the bundle's.
    pub baseline: PathBuf,
    /// The topic for reports of alarms. Empty sends none.
    pub reports: String,
    /// Days for which windows and reports are kept.
    pub retention_days: u32,
}

/// A window must fit into memory with all its texts' tokens.
const MOST_MESSAGES: usize = 100_000;
/// Fewer say nothing about a distribution.
const LEAST_MESSAGES: usize = 100;

impl DriftConfig {
    /// Says which values make no sense.
    ///
    /// # Errors
    /// One sentence about the first of them.
    pub fn check(&self) -> Result<(), String> {
        if !(LEAST_MESSAGES..=MOST_MESSAGES).contains(&self.window_messages) {
            return Err(format!(
                "[drift] window_messages is {}; it must be from {LEAST_MESSAGES} to {MOST_MESSAGES}",
                self.window_messages
            ));
        }
        if self.windows_per_false_alarm < 10 {
            return Err(format!(
                "[drift] windows_per_false_alarm is {}; it must be 10 or more",
                self.windows_per_false_alarm
            ));
        }
        if self.labels_per_false_alarm < 100 {
            return Err(format!(
                "[drift] labels_per_false_alarm is {}; it must be 100 or more",
                self.labels_per_false_alarm
            ));
        }
        if self.idle_seconds == 0 || self.retention_days == 0 {
            return Err("[drift] idle_seconds and retention_days must be 1 or more".to_owned());
        }
        Ok(())
    }

    /// When windows end.
    #[must_use]
    pub fn windows(&self) -> WindowSettings {
        const HOUR: i64 = 3_600_000;
        WindowSettings {
            messages: self.window_messages,
            time: (self.window_hours > 0).then(|| i64::from(self.window_hours) * HOUR),
            lateness: i64::from(self.lateness_seconds) * 1_000,
            idle: i64::from(self.idle_seconds) * 1_000,
        }
    }
}
