//! When Google wants to be asked again: as its error says it to programs, or, where the program passes on no more than
//! that, in its words.

use serde::Deserialize;

#[derive(Deserialize)]
struct Answer {
    error: Told,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

/// `google.rpc.RetryInfo`, or `google.rpc.ErrorInfo` with the reset of a quota, told apart by what they hold.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    retry_delay: Option<String>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    quota_reset_delay: Option<String>,
}

/// Longer than any quota lasts.
pub(super) const SECONDS_MAX: u64 = 7 * 24 * 3600;
const WORDS: &str = "reset after ";
/// The longer names first, where one is the beginning of another.
const UNITS: [(&str, f64); 8] = [
    ("ms", 1e-3),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ns", 1e-9),
    ("d", 86_400.0),
    ("h", 3_600.0),
    ("m", 60.0),
    ("s", 1.0),
];

/// In how many seconds, as an error of Google's says: what it wants to be waited for comes first.
pub(super) fn in_answer(body: &[u8]) -> Option<u64> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let Told { message, details } = answer.error;
    let wanted = details
        .iter()
        .find_map(|detail| seconds(detail.retry_delay.as_deref()?));
    let reset = || {
        details
            .iter()
            .find_map(|detail| seconds(detail.metadata.quota_reset_delay.as_deref()?))
    };
    wanted.or_else(reset).or_else(|| in_words(&message))
}

/// The same of its words, as in `Your quota will reset after 9h12m3s.`
pub(super) fn in_words(message: &str) -> Option<u64> {
    let (_, after) = message.split_once(WORDS)?;
    seconds(after)
}

/// A duration at the beginning of a text, in whole seconds: a little too late rather than too early.
fn seconds(text: &str) -> Option<u64> {
    let mut total: f64 = 0.0;
    let mut rest = text;
    while rest.starts_with(|letter: char| letter.is_ascii_digit()) {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let (name, length) = UNITS.iter().find(|(name, _)| after.starts_with(name))?;
        total += number.parse::<f64>().ok()? * length;
        rest = after.strip_prefix(name)?;
    }
    let whole = total.ceil();
    (total > 0.0 && whole <= SECONDS_MAX as f64).then_some(whole as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn when_a_quota_is_there_again_is_read_in_words() {
        let table = [
            ("Your quota will reset after 9h12m3s.", Some(33_123)),
            ("It will reset after 0.4s", Some(1)),
            ("It will reset after 1.5s.", Some(2)),
            ("It will reset after 539.477544ms.", Some(1)),
            ("It will reset after 1m30.5s", Some(91)),
            ("It will reset after 2d", Some(172_800)),
            ("It will reset after a while", None),
            ("It will reset after 999999d", None),
            ("It will reset after s", None),
            ("It will reset after 5", None),
            ("It will reset after 1.2.3s", None),
            ("Resource has been exhausted", None),
        ];
        for (message, expected) in table {
            assert_eq!(in_words(message), expected, "{message}");
        }
    }

    #[test]
    fn what_google_says_to_programs_comes_before_its_words() {
        let kind = |name: &str| format!("type.googleapis.com/google.rpc.{name}");
        let retry = json!({"@type": kind("RetryInfo"), "retryDelay": "33.2s"});
        let reset = json!({"@type": kind("ErrorInfo"), "reason": "QUOTA_EXHAUSTED",
            "metadata": {"quotaResetDelay": "1h0m0.5s", "model": "gemini-2.5-pro"}});
        let other = json!({"@type": kind("Help"), "links": [{"url": "https://example.test"}]});
        let of = |details: &[&Value], message: &str| {
            in_answer(
                json!({"error": {"code": 429, "message": message, "details": details}})
                    .to_string()
                    .as_bytes(),
            )
        };
        assert_eq!(of(&[&reset, &other, &retry], "reset after 1s"), Some(34));
        assert_eq!(of(&[&other, &reset], "reset after 1s"), Some(3_601));
        assert_eq!(of(&[&other], "reset after 1s"), Some(1));
        assert_eq!(of(&[], "Slow down."), None);
        assert_eq!(in_answer(b"[]"), None);
        assert_eq!(in_answer(br#"{"error": {"details": [{"retryDelay": 7}]}}"#), None);
    }
}
