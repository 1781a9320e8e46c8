//! Instants as pages tell them.

use jiff::Timestamp;

pub(super) use gateway::now_ms;

/// To the minute, in UTC.
pub(super) fn instant(at_ms: i64) -> String {
    Timestamp::from_millisecond(at_ms).map_or_else(
        |_| "unknown".to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

/// How far away an instant is, as people say it.
pub(super) fn distance(from_ms: i64, to_ms: i64) -> String {
    let minutes = to_ms.saturating_sub(from_ms) / 60_000;
    match minutes {
        ..1 => "less than a minute".to_owned(),
        1 => "a minute".to_owned(),
        2..120 => format!("{minutes} minutes"),
        120..2_880 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1_440),
    }
}
