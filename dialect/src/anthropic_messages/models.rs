//! Lists of models in Anthropic's shape: `GET /v1/models`, ours and a provider's.

use serde::{Deserialize, Serialize};

pub use crate::openai_chat::ModelEntry;

#[derive(Serialize)]
struct List<'a> {
    data: Vec<Model<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Model<'a> {
    r#type: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: String,
}

#[derive(Deserialize)]
struct ProviderList {
    data: Vec<ProviderModel>,
}

#[derive(Deserialize)]
struct ProviderModel {
    id: String,
    created_at: Option<String>,
}

const DAY_S: i64 = 86_400;

/// The answer to `GET /v1/models`: all of them, on one page.
pub fn write_model_list(models: &[ModelEntry]) -> Vec<u8> {
    let list = List {
        data: models.iter().map(model).collect(),
        has_more: false,
        first_id: models.first().map(|entry| entry.id.as_str()),
        last_id: models.last().map(|entry| entry.id.as_str()),
    };
    serde_json::to_vec(&list).unwrap_or_default()
}

/// The answer to `GET /v1/models/{id}`.
pub fn write_model(entry: &ModelEntry) -> Vec<u8> {
    serde_json::to_vec(&model(entry)).unwrap_or_default()
}

/// What a provider's list names, under the provider's name as owner; `None` when it is no such list.
pub fn read_model_list(body: &[u8], owned_by: &str) -> Option<Vec<ModelEntry>> {
    let list: ProviderList = serde_json::from_slice(body).ok()?;
    let entries = list.data.into_iter().map(|model| ModelEntry {
        id: model.id,
        created_at_s: model.created_at.as_deref().and_then(seconds).unwrap_or(0),
        owned_by: owned_by.to_owned(),
    });
    Some(entries.collect())
}

fn model(entry: &ModelEntry) -> Model<'_> {
    Model {
        r#type: "model",
        id: &entry.id,
        display_name: &entry.id,
        created_at: rfc3339(entry.created_at_s),
    }
}

/// An instant as RFC 3339 has it, in UTC.
fn rfc3339(seconds: i64) -> String {
    let (year, month, day) = date(seconds.div_euclid(DAY_S));
    let of_day = seconds.rem_euclid(DAY_S);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The instant that a text in UTC names, to the second.
fn seconds(text: &str) -> Option<i64> {
    let part = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let days = days(part(0, 4)?, part(5, 7)?, part(8, 10)?);
    Some(days * DAY_S + part(11, 13)? * 3_600 + part(14, 16)? * 60 + part(17, 19)?)
}

/// Days of the era of 400 years, after which the calendar repeats itself.
const ERA_DAYS: i64 = 146_097;
/// Days from the first of March of the year 0, with which an era begins, to 1970.
const EPOCH_DAYS: i64 = 719_468;

/// Year, month and day so many days after 1970 (the Gregorian calendar, with years that begin in March).
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_DAYS;
    let of_era = days.rem_euclid(ERA_DAYS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + days.div_euclid(ERA_DAYS) * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    year.div_euclid(400) * ERA_DAYS + of_era - EPOCH_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_spelled_as_the_calendar_has_them() {
        for (instant, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_740_000_000, "2025-02-19T21:20:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(instant), text);
            assert_eq!(seconds(text), Some(instant));
        }
        assert_eq!(seconds("2025"), None);
        assert_eq!(seconds("2025-02-19T21:20:00.123Z"), Some(1_740_000_000));
    }

    #[test]
    fn a_list_can_be_read_again() {
        let entry = |id: &str, created_at_s| ModelEntry {
            id: id.to_owned(),
            created_at_s,
            owned_by: "anthropic".to_owned(),
        };
        let entries = [entry("claude-a", 0), entry("claude-b", 1_740_000_000)];
        let list = write_model_list(&entries);
        assert_eq!(read_model_list(&list, "anthropic").as_deref(), Some(&entries[..]));
        let text = String::from_utf8(list).unwrap();
        assert!(text.ends_with(r#""has_more":false,"first_id":"claude-a","last_id":"claude-b"}"#));
        assert_eq!(
            write_model_list(&[]),
            br#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#
        );
    }
}
