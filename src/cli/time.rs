//! A moment on the command line: RFC 3339, or so long ago.

use chrono::{DateTime, TimeDelta, Utc};

/// Reads a moment.
pub(super) fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    ago(text)
        .and_then(|ago| Utc::now().checked_sub_signed(ago))
        .ok_or_else(|| {
            "it must be a time such as 2026-11-24T08:00:00Z, or so long ago: 90s, 30m, 2h, 7d, 1w"
                .to_owned()
        })
}

fn ago(text: &str) -> Option<TimeDelta> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: i64 = digits.parse().ok()?;
    let seconds = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        "w" => 7 * 24 * 60 * 60,
        _ => return None,
    };
    TimeDelta::try_seconds(number.checked_mul(seconds)?).filter(|ago| *ago >= TimeDelta::zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_so_long_ago() {
        let time = parse("2026-11-24T08:00:00+01:00").unwrap();
        assert_eq!(
            time,
            "2026-11-24T07:00:00Z".parse::<DateTime<Utc>>().unwrap()
        );
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1_800),
            ("2h", 7_200),
            ("7d", 604_800),
            ("1w", 604_800),
        ] {
            assert_eq!(ago(text), TimeDelta::try_seconds(seconds), "{text}");
        }
        for wrong in [
            "",
            "2",
            "h",
            "-2h",
            "2 h",
            "yesterday",
            "2026-11-24",
            "9223372036854775807w",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
