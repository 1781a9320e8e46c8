//! Which window an instant lies in, on the calendar of a zone.
//!
//! The zones are those of the IANA database that is built into the program, so that two replicas of one version agree.
//! A day begins at the first instant that bears its date, also where clocks are set back over midnight, so windows follow
//! upon one another without a gap, and every instant lies in one of them.

use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan as _};

use super::{Period, Window};

/// The calendar of one zone.
#[derive(Debug, Clone)]
pub struct Calendar(TimeZone);

/// A name that no zone has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time zone: write a name such as UTC or Europe/Berlin")]
pub struct UnknownZone(String);

/// A window of a rolling minute is a slot of it: what is used in one counts for the sixty seconds that touch it.
pub const ROLLING_SLOT_MS: i64 = 5_000;
/// So many slots touch any sixty seconds.
pub const ROLLING_SLOTS: i64 = 13;
const MINUTE_MS: i64 = 60_000;
/// From here to where no calendar goes.
const ENDLESS: Window = Window {
    start_ms: 0,
    end_ms: i64::MAX,
};

impl Calendar {
    /// # Errors
    /// When there is no such zone.
    pub fn of(zone: &str) -> Result<Self, UnknownZone> {
        let zones = TimeZoneDatabase::bundled();
        let found = zones.get(zone).map_err(|_| UnknownZone(zone.to_owned()))?;
        Ok(Self(found))
    }

    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The window in which an instant lies, in milliseconds since the Unix epoch.
    pub fn window(&self, period: Period, at_ms: i64) -> Window {
        match period {
            Period::Minute => even(at_ms, MINUTE_MS),
            Period::RollingMinute => even(at_ms, ROLLING_SLOT_MS),
            Period::Day => self.by_date(at_ms, |date| date, Date::tomorrow),
            Period::Month => self.by_date(at_ms, Date::first_of_month, |first| first.checked_add(1.month())),
            Period::Always => ENDLESS,
        }
    }

    /// The window that begins where this one ends.
    pub fn next(&self, period: Period, window: Window) -> Window {
        self.window(period, window.end_ms)
    }

    fn by_date(
        &self,
        at_ms: i64,
        first: impl Fn(Date) -> Date,
        following: impl Fn(Date) -> Result<Date, jiff::Error>,
    ) -> Window {
        let window = || -> Result<Window, jiff::Error> {
            let at = Timestamp::from_millisecond(at_ms)?;
            let mut date = first(self.0.to_datetime(at).date());
            let mut start_ms = self.start_ms(date)?;
            loop {
                let next = following(date)?;
                let end_ms = self.start_ms(next)?;
                // Where clocks go back over midnight, a date comes again after the next one has begun.
                if at_ms < end_ms {
                    return Ok(Window { start_ms, end_ms });
                }
                (date, start_ms) = (next, end_ms);
            }
        };
        window().unwrap_or(ENDLESS)
    }

    /// The first instant of a date. A date that a zone has skipped begins, and ends, where the next one begins.
    fn start_ms(&self, date: Date) -> Result<i64, jiff::Error> {
        let midnight = date.to_datetime(Time::midnight());
        Ok(self.0.to_timestamp(midnight)?.as_millisecond())
    }
}

fn even(at_ms: i64, length_ms: i64) -> Window {
    let start_ms = at_ms.div_euclid(length_ms).saturating_mul(length_ms);
    Window {
        start_ms,
        end_ms: start_ms.saturating_add(length_ms),
    }
}

#[cfg(test)]
mod tests;
