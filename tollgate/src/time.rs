//! Instants and durations as people write them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

pub(crate) use gateway::now_ms;

/// An instant as RFC 3339, in UTC, to the second.
pub(crate) fn instant(at_ms: i64) -> String {
    Timestamp::from_second(at_ms.div_euclid(1000)).map_or_else(|_| at_ms.to_string(), |at| at.to_string())
}

/// The other way round; of a day (`2026-11-25`) its first instant, UTC.
pub(crate) fn instant_ms(text: &str) -> Result<i64, String> {
    let day = || {
        let day: Date = text.parse().ok()?;
        Some(day.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp())
    };
    let at: Option<Timestamp> = text.parse().ok();
    at.or_else(day)
        .map(Timestamp::as_millisecond)
        .ok_or_else(|| format!("`{text}` is no day or instant: write `2026-11-25` or `2026-11-25T12:00:00Z`"))
}

/// `30d`, `12h`, `90s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a duration: write `30d`, `12h` or `90s`"))
}

/// A duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_durations_are_written_for_people() {
        assert_eq!(instant(1_767_225_600_999), "2026-01-01T00:00:00Z");
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert!(duration("a while").is_err());
        assert_eq!(instant_ms("2026-01-01"), Ok(1_767_225_600_000));
        assert_eq!(instant_ms("2026-01-01T01:00:00+01:00"), Ok(1_767_225_600_000));
        assert!(instant_ms("yesterday").is_err());
    }
}
