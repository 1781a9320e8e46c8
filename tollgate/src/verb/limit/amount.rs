//! Amounts as people write them. Dollars are read digit by digit: a limit on money is exact to the nano-dollar.

use policy::limit::{Cap, Unit};

const UNLIMITED: &str = "unlimited";
/// A dollar has so many nano-dollars, and its fraction so many places.
const NANO: u64 = 1_000_000_000;
const PLACES: usize = 9;

/// A whole number, or `unlimited`.
pub(super) fn count(text: &str) -> Result<Cap, String> {
    if text == UNLIMITED {
        return Ok(Cap::Unlimited);
    }
    digits(text)
        .map(Cap::Units)
        .ok_or_else(|| format!("`{text}` is not an amount: write a whole number, or `{UNLIMITED}`"))
}

/// Dollars with up to nine places after the point, or `unlimited`.
pub(super) fn usd(text: &str) -> Result<Cap, String> {
    if text == UNLIMITED {
        return Ok(Cap::Unlimited);
    }
    nano_dollars(text).map(Cap::Units).ok_or_else(|| {
        format!(
            "`{text}` is not an amount of dollars: write digits with a point and nine places at most, such as \
             `12.50`, or `{UNLIMITED}`"
        )
    })
}

/// With its unit, as a table shows it.
pub(super) fn shown_amount(unit: Unit, units: u64) -> String {
    match unit {
        Unit::NanoDollars => format!("{} USD", dollars(units)),
        Unit::Requests => format!("{units} requests"),
        Unit::InputTokens => format!("{units} input tokens"),
        Unit::OutputTokens => format!("{units} output tokens"),
        Unit::Tokens => format!("{units} tokens"),
        Unit::Concurrent => format!("{units} at once"),
    }
}

fn nano_dollars(text: &str) -> Option<u64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if fraction.len() <= PLACES => (whole, Some(fraction)),
        Some(_) => return None,
        None => (text, None),
    };
    let whole = digits(whole)?.checked_mul(NANO)?;
    let fraction = match fraction {
        Some(fraction) => digits(&format!("{fraction:0<PLACES$}")).filter(|_| !fraction.is_empty())?,
        None => 0,
    };
    whole.checked_add(fraction)
}

/// Without the sign that Rust would read.
fn digits(text: &str) -> Option<u64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// Exact, with two places at least.
fn dollars(nano: u64) -> String {
    let fraction = format!("{:09}", nano % NANO);
    let kept = fraction.trim_end_matches('0').len().max(2);
    let fraction: String = fraction.chars().take(kept).collect();
    format!("{}.{fraction}", nano / NANO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact_or_refused() {
        for (text, nano) in [
            ("0", 0),
            ("12.50", 12_500_000_000),
            ("0.000000001", 1),
            ("1000000", 1_000_000_000_000_000),
            ("0.1", 100_000_000),
        ] {
            assert_eq!(usd(text), Ok(Cap::Units(nano)), "{text}");
        }
        assert_eq!(usd("unlimited"), Ok(Cap::Unlimited));
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "0.0000000001",
            "1.5.0",
            " 1",
            "99999999999",
            "NaN",
            "∞",
        ] {
            assert!(usd(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_are_whole() {
        assert_eq!(count("0"), Ok(Cap::Units(0)));
        assert_eq!(count("unlimited"), Ok(Cap::Unlimited));
        for text in ["", "-1", "+1", "1.0", "1k", "99999999999999999999"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_with_their_unit() {
        for (nano, text) in [
            (0, "0.00 USD"),
            (12_500_000_000, "12.50 USD"),
            (1, "0.000000001 USD"),
            (1_234_000_000, "1.234 USD"),
        ] {
            assert_eq!(shown_amount(Unit::NanoDollars, nano), text);
        }
        assert_eq!(shown_amount(Unit::Requests, 7), "7 requests");
    }
}
