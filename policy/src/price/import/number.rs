//! Numbers of JSON, exactly: what is written is read digit by digit, never through a float.

use super::super::rates::Rate;

/// Nano-dollars for a million tokens, of dollars for one.
const PER_TOKEN: i32 = 9 + 6;
/// The same, of dollars for a million.
const PER_MILLION: i32 = 9;
/// As many digits as a double has: a longer number is what a sum of floats left, and stands for the nearest short one.
const DIGITS: usize = 15;

/// A rate that is written as dollars for a token: `2.5e-06`.
pub(super) fn per_token(text: &str) -> Option<Rate> {
    scaled(text, PER_TOKEN).map(Rate)
}

/// A rate that is written as dollars for a million tokens.
pub(super) fn per_million(text: &str) -> Option<Rate> {
    scaled(text, PER_MILLION).map(Rate)
}

/// A whole number, also when it is written as one of another kind: `2e5`, `32000.0`.
pub(super) fn whole(text: &str) -> Option<u64> {
    scaled(text, 0)
}

/// The number times ten to this power, if that is whole. `None` for what is negative, no number, or too fine.
fn scaled(text: &str, power: i32) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{decimals}");
    if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0').len();
    let number: u128 = digits.parse().ok()?;
    let power = exponent
        .checked_add(power)?
        .checked_sub(i32::try_from(decimals.len()).ok()?)?;
    if number == 0 {
        return Some(0);
    }
    let factor = 10_u128.checked_pow(power.unsigned_abs())?;
    let scaled = if power >= 0 {
        number.checked_mul(factor)?
    } else if number.is_multiple_of(factor) {
        number / factor
    } else if significant >= DIGITS {
        (number + factor / 2) / factor
    } else {
        return None;
    };
    u64::try_from(scaled).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_digit_by_digit() {
        let table = [
            ("2.5e-06", Some(2_500_000_000)),
            ("0.00003", Some(30_000_000_000)),
            ("1E-7", Some(100_000_000)),
            ("2.7999999999999998e-07", Some(280_000_000)),
            ("0.1", Some(100_000_000_000_000)),
            ("0", Some(0)),
            ("0.0e-400", Some(0)),
            ("1e-15", Some(1)),
            ("1.5e-15", None),
            ("1e99", None),
            ("1e-99999999999", None),
            ("-1e-6", None),
            ("null", None),
            ("\"1\"", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(per_token(text), expected.map(Rate), "{text}");
        }
        assert_eq!(per_million("1.25"), Some(Rate(1_250_000_000)));
        assert_eq!(whole("32000.0"), Some(32_000));
        assert_eq!(whole("2e5"), Some(200_000));
        assert_eq!(whole("0.5"), None);
    }
}
