//! Windows against another calendar: chrono's, with a database of zones of its own.

use chrono::{
    DateTime, Datelike as _, Days, MappedLocalTime, Months, NaiveDate, NaiveDateTime, TimeZone as _,
};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;

/// Of all kinds: clocks that change in spring, in autumn, at midnight, by half an hour, over the date line, or never. All are
/// zones of which the two databases, a year apart, tell the same; where a country has changed its mind since, they cannot.
const ZONES: [&str; 40] = [
    "UTC",
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "Africa/Nairobi",
    "America/Anchorage",
    "America/Argentina/Buenos_Aires",
    "America/Asuncion",
    "America/Montevideo",
    "America/Caracas",
    "America/Chicago",
    "America/Denver",
    "America/Halifax",
    "America/Port-au-Prince",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/New_York",
    "America/Phoenix",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Beirut",
    "Asia/Dubai",
    "Asia/Jerusalem",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Asia/Amman",
    "Asia/Tokyo",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Istanbul",
    "Europe/London",
    "Europe/Moscow",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
];

/// The other database has been worked out to the end of 2099.
const YEARS: std::ops::Range<i32> = 1970..2100;

/// The first instant that bears a date. Where clocks skip midnight, it is the first one after what they skip.
fn first_instant(zone: Tz, date: NaiveDate) -> i64 {
    let midnight: NaiveDateTime = date.into();
    match zone.from_local_datetime(&midnight) {
        MappedLocalTime::Single(at) => at.timestamp_millis(),
        MappedLocalTime::Ambiguous(one, another) => one.min(another).timestamp_millis(),
        MappedLocalTime::None => after_the_gap(zone, midnight),
    }
}

/// By halves: the instant at which the clock of a zone first shows a time or a later one.
fn after_the_gap(zone: Tz, time: NaiveDateTime) -> i64 {
    let around_s = time.and_utc().timestamp();
    let (mut before, mut after) = (around_s - 2 * 86_400, around_s + 2 * 86_400);
    while after - before > 1 {
        let middle = i64::midpoint(before, after);
        let shown = DateTime::from_timestamp(middle, 0)
            .unwrap()
            .with_timezone(&zone)
            .naive_local();
        if shown >= time {
            after = middle;
        } else {
            before = middle;
        }
    }
    after * 1_000
}

fn dates() -> impl Iterator<Item = NaiveDate> {
    let first = NaiveDate::from_ymd_opt(YEARS.start, 1, 3).unwrap();
    first.iter_days().take_while(|date| YEARS.contains(&date.year()))
}

/// Says where the two differ about the days and the months of a zone.
fn differences(zone: &str, calendar: &Calendar) -> Vec<String> {
    let other: Tz = zone.parse().unwrap();
    let mut differences = Vec::new();
    let mut start_ms = first_instant(other, dates().next().unwrap());
    for date in dates() {
        let end_ms = first_instant(other, date.checked_add_days(Days::new(1)).unwrap());
        // A date that a zone left out has no instant.
        if start_ms < end_ms {
            let expected = Window { start_ms, end_ms };
            for at_ms in [start_ms, end_ms - 1] {
                let window = calendar.window(Period::Day, at_ms);
                if window != expected {
                    differences.push(format!("{zone} {date}: {window:?}, not {expected:?}"));
                }
            }
        }
        start_ms = end_ms;
        if date.day() == 1 {
            let next = date.checked_add_months(Months::new(1)).unwrap();
            let expected = Window {
                start_ms: first_instant(other, date),
                end_ms: first_instant(other, next),
            };
            for at_ms in [expected.start_ms, expected.end_ms - 1] {
                let window = calendar.window(Period::Month, at_ms);
                if window != expected {
                    differences.push(format!("{zone}, month of {date}: {window:?}, not {expected:?}"));
                }
            }
        }
    }
    differences
}

#[test]
fn days_and_months_are_those_of_another_calendar_in_forty_zones_from_1970_to_2100() {
    let found = ZONES.map(|zone| differences(zone, &Calendar::of(zone).unwrap()));
    let first: Vec<&String> = found
        .iter()
        .filter_map(|differences| differences.first())
        .collect();
    assert!(first.is_empty(), "{} zones differ: {first:#?}", first.len());
}

#[test]
fn a_calendar_that_is_wrong_is_found_out() {
    // These two have agreed since 1996, and did not always before.
    let differences = differences("Europe/Berlin", &Calendar::of("Europe/Paris").unwrap());
    assert!(!differences.is_empty());
    assert!(!differences_of_day_length().is_empty());
}

/// What a calendar would get wrong for which every day has 24 hours.
fn differences_of_day_length() -> Vec<Window> {
    let calendar = Calendar::of("Europe/Berlin").unwrap();
    let other: Tz = "Europe/Berlin".parse().unwrap();
    dates()
        .map(|date| calendar.window(Period::Day, first_instant(other, date)))
        .filter(|window| window.end_ms - window.start_ms != 86_400_000)
        .collect()
}

#[test]
fn a_day_has_23_hours_in_spring_and_25_in_autumn_and_february_has_29_days_in_leap_years() {
    let calendar = Calendar::of("Europe/Berlin").unwrap();
    let hours = |window: Window| (window.end_ms - window.start_ms) / 3_600_000;
    let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
    assert_eq!(
        hours(calendar.window(Period::Day, at("2026-03-29T12:00:00Z"))),
        23
    );
    assert_eq!(
        hours(calendar.window(Period::Day, at("2026-10-25T12:00:00Z"))),
        25
    );
    assert_eq!(
        hours(calendar.window(Period::Month, at("2028-02-10T12:00:00Z"))),
        29 * 24
    );
    assert_eq!(
        hours(calendar.window(Period::Month, at("2100-02-10T12:00:00Z"))),
        28 * 24
    );
    // Samoa left out the 30th of December 2011.
    let apia = Calendar::of("Pacific/Apia").unwrap();
    let last = apia.window(Period::Day, at("2011-12-30T09:59:59Z"));
    assert_eq!(last.end_ms, at("2011-12-30T10:00:00Z"));
    assert_eq!(hours(apia.next(Period::Day, last)), 24);
}

#[test]
fn an_unknown_zone_is_refused() {
    Calendar::of("Europe/Atlantis").unwrap_err();
    Calendar::of("").unwrap_err();
}

proptest! {
    #[test]
    fn every_instant_lies_in_its_window_and_windows_follow_one_another(
        at_ms in 0_i64..4_133_980_800_000,
        zone in prop::sample::select(&ZONES[..]),
        period in prop::sample::select(vec![Period::Minute, Period::RollingMinute, Period::Day, Period::Month]),
    ) {
        let calendar = Calendar::of(zone).unwrap();
        let window = calendar.window(period, at_ms);
        prop_assert!(window.contains(at_ms));
        prop_assert_eq!(calendar.window(period, window.start_ms), window);
        prop_assert_eq!(calendar.window(period, window.end_ms - 1), window);
        let next = calendar.next(period, window);
        prop_assert_eq!(next.start_ms, window.end_ms);
        prop_assert!(next.end_ms > next.start_ms);
        if let Period::Minute | Period::RollingMinute = period {
            prop_assert_eq!(window.start_ms % (window.end_ms - window.start_ms), 0);
        }
    }
}
