//! In which order and how fast posts are sent; on the command line of `replay` and of `demo` alike.

use clap::Args;

use crate::replay::Pace;

#[derive(Debug, Clone, Args)]
pub(super) struct PaceArgs {
    /// Send in the order of the event times, all files together; they are then read into memory first
    #[arg(long)]
    pub(super) by_time: bool,
    /// Keep the real gaps between event times, this many times faster (1 is real time); usually with --by-time
    #[arg(long, value_name = "TIMES", value_parser = positive, conflicts_with = "rate")]
    speed: Option<f64>,
    /// Send so many messages a second at most
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    rate: Option<f64>,
}

impl PaceArgs {
    pub(super) fn pace(&self) -> Pace {
        match (self.speed, self.rate) {
            (Some(speed), _) => Pace::Speed(speed),
            (None, Some(rate)) => Pace::Rate(rate),
            (None, None) => Pace::Unlimited,
        }
    }

    /// Whether order or speed go by event times, so that a post without one is malformed.
    pub(super) fn needs_times(&self) -> bool {
        self.by_time || self.speed.is_some()
    }
}

/// A number to divide by.
pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("it must be a number above 0".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_above_nought_are_a_rate() {
        assert_eq!(positive("0.5"), Ok(0.5));
        for text in ["0", "-1", "inf", "NaN", "fast", ""] {
            assert!(positive(text).is_err(), "{text}");
        }
    }
}
