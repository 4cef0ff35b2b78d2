//! When an example was written.

use chrono::{DateTime, TimeZone, Utc};

/// Twitter's epoch, milliseconds since 1970.
const SNOWFLAKE_EPOCH: i64 = 1_288_834_974_657;

/// RFC 3339 (`2015-02-24 11:35:52 -0800` too), or a whole number of seconds (below 1e11) or
/// milliseconds since 1970.
pub fn parse(raw: &str) -> Option<DateTime<Utc>> {
    if let Ok(number) = raw.parse::<i64>() {
        let milliseconds = if number.abs() < 100_000_000_000 {
            number.checked_mul(1000)?
        } else {
            number
        };
        return Utc.timestamp_millis_opt(milliseconds).single();
    }
    DateTime::parse_from_rfc3339(raw)
        .or_else(|_| DateTime::parse_from_str(raw, "%Y-%m-%d %H:%M:%S %z"))
        .ok()
        .map(|time| time.with_timezone(&Utc))
}

/// When a post with this Twitter snowflake id was made.
pub fn of_snowflake(id: &str) -> Option<DateTime<Utc>> {
    let id: u64 = id.parse().ok()?;
    Utc.timestamp_millis_opt((id >> 22) as i64 + SNOWFLAKE_EPOCH)
        .single()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snowflake_tells_its_time() {
        let time = of_snowflake("260097528899452929").unwrap();
        assert_eq!(time.to_rfc3339(), "2012-10-21T19:17:37.925+00:00");
        assert_eq!(of_snowflake("abc"), None);
    }
}
