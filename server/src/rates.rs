//! The headers that tell a caller how it stands with its limits, in the words of its dialect.
//!
//! OpenAI's names, `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, whose reset is a duration such as `6m0s`; on
//! Anthropic's endpoints also its own, `anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}`, whose reset is an
//! instant (RFC 3339).

use dialect::Dialect;
use dialect::rates::{Rate, Rates};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

/// The names of one kind of limit.
struct Names {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

const REQUESTS: Names = Names {
    limit: HeaderName::from_static("x-ratelimit-limit-requests"),
    remaining: HeaderName::from_static("x-ratelimit-remaining-requests"),
    reset: HeaderName::from_static("x-ratelimit-reset-requests"),
};
const TOKENS: Names = Names {
    limit: HeaderName::from_static("x-ratelimit-limit-tokens"),
    remaining: HeaderName::from_static("x-ratelimit-remaining-tokens"),
    reset: HeaderName::from_static("x-ratelimit-reset-tokens"),
};
const ANTHROPIC_REQUESTS: Names = Names {
    limit: HeaderName::from_static("anthropic-ratelimit-requests-limit"),
    remaining: HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
    reset: HeaderName::from_static("anthropic-ratelimit-requests-reset"),
};
const ANTHROPIC_TOKENS: Names = Names {
    limit: HeaderName::from_static("anthropic-ratelimit-tokens-limit"),
    remaining: HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
    reset: HeaderName::from_static("anthropic-ratelimit-tokens-reset"),
};

/// Tells them. What the provider said of its own limits stands for what it has to do with the gateway, so it is replaced.
pub(crate) fn insert(rates: &Rates, dialect: Dialect, headers: &mut HeaderMap) {
    let kinds = [
        (rates.requests, REQUESTS, ANTHROPIC_REQUESTS),
        (rates.tokens, TOKENS, ANTHROPIC_TOKENS),
    ];
    for (rate, names, of_anthropic) in kinds {
        let Some(rate) = rate else { continue };
        put(rate, names, &duration(rate.reset_s), headers);
        if dialect == Dialect::AnthropicMessages {
            let reset =
                Timestamp::from_second(rate.reset_at_s).map_or_else(|_| String::new(), |at| at.to_string());
            put(rate, of_anthropic, &reset, headers);
        }
    }
}

fn put(rate: Rate, names: Names, reset: &str, headers: &mut HeaderMap) {
    headers.insert(names.limit, HeaderValue::from(rate.limit));
    headers.insert(names.remaining, HeaderValue::from(rate.remaining));
    if let Ok(reset) = HeaderValue::try_from(reset) {
        headers.insert(names.reset, reset);
    }
}

/// As OpenAI writes it: `1s`, `6m0s`, `1h2m3s`.
fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        (_, _) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_is_told_in_its_own_words() {
        let rates = Rates {
            requests: Some(Rate {
                limit: 100,
                remaining: 7,
                reset_s: 3_723,
                reset_at_s: 1_700_000_000,
            }),
            tokens: None,
        };
        let mut headers = HeaderMap::new();
        insert(&rates, Dialect::OpenaiChat, &mut headers);
        assert_eq!(headers["x-ratelimit-remaining-requests"], "7");
        assert_eq!(headers["x-ratelimit-reset-requests"], "1h2m3s");
        assert_eq!(headers.len(), 3);
        insert(&rates, Dialect::AnthropicMessages, &mut headers);
        assert_eq!(
            headers["anthropic-ratelimit-requests-reset"],
            "2023-11-14T22:13:20Z"
        );
        assert_eq!(headers.len(), 6);
    }

    #[test]
    fn a_duration_is_written_as_openai_writes_it() {
        for (seconds, written) in [(0, "0s"), (59, "59s"), (360, "6m0s"), (86_400, "24h0m0s")] {
            assert_eq!(duration(seconds), written);
        }
    }
}
