//! Hours of the day in which nobody is told anything.

use serde::{Deserialize, Serialize};

/// From one full hour of the day to another, possibly over midnight, written as "22-07"; empty for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuietHours(Option<(u8, u8)>);

impl QuietHours {
    /// Whether the hour of the day (0 to 23) is one of them.
    #[must_use]
    pub fn contain(self, hour: u8) -> bool {
        self.0.is_some_and(|(from, to)| {
            if from <= to {
                (from..to).contains(&hour)
            } else {
                hour >= from || hour < to
            }
        })
    }
}

impl TryFrom<String> for QuietHours {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let hour = |text: &str| text.trim().parse().ok().filter(|hour| *hour <= 24);
        match text
            .split_once('-')
            .map(|(from, to)| (hour(from), hour(to)))
        {
            Some((Some(from), Some(to))) if from != to && from < 24 => Ok(Self(Some((from, to)))),
            _ => Err(format!("quiet hours are written as 22-07, not as {text:?}")),
        }
    }
}

impl From<QuietHours> for String {
    fn from(hours: QuietHours) -> Self {
        hours
            .0
            .map_or_else(Self::new, |(from, to)| format!("{from:02}-{to:02}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Vec<u8> {
        let quiet = QuietHours::try_from(text.to_owned()).unwrap();
        (0..24).filter(|hour| quiet.contain(*hour)).collect()
    }

    #[test]
    fn quiet_hours_may_go_over_midnight() {
        assert_eq!(hours("22-07"), [0, 1, 2, 3, 4, 5, 6, 22, 23]);
        assert_eq!(hours("1-3"), [1, 2]);
        assert_eq!(hours("22-24"), [22, 23]);
        assert!(hours("").is_empty());
    }

    #[test]
    fn what_is_no_span_of_hours_is_refused() {
        for text in ["22", "22-25", "24-7", "7-7", "a-b", "-1-3"] {
            assert!(QuietHours::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
