//! Strings and numbers: the grammar of RFC 8259, sections 6 and 7.

use super::JsonError;

/// Which escaped surrogates (`\ud83d`) a string may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Surrogates {
    /// Each beside its other half: the others are no text.
    InPairs,
    /// Any: a provider may have cut an answer in the middle of a letter.
    Any,
}

const WORD_BYTES: usize = 8;
/// Words that are looked at one by one before a string counts as long.
const SHORT_WORDS: usize = 8;

/// The place after the string that begins at `start` with its opening quote.
pub(super) fn string_end(body: &[u8], start: usize, surrogates: Surrogates) -> Result<usize, JsonError> {
    let mut at = start + 1;
    loop {
        at += plain_bytes(body.get(at..).unwrap_or_default());
        match body.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape_end(body, at, surrogates)?,
            Some(_) | None => return Err(JsonError::Malformed { at }),
        }
    }
}

/// How many bytes stand before the first that ends a string or needs a closer look: a quote, a backslash, a control.
/// Most strings are short, and are looked at eight bytes at a time; a long one is left to vector instructions.
fn plain_bytes(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
    for (number, word) in words.iter().enumerate() {
        if let Some(at) = special_in(*word) {
            return number * WORD_BYTES + at;
        }
        if number + 1 == SHORT_WORDS {
            let long = bytes.get(SHORT_WORDS * WORD_BYTES..).unwrap_or_default();
            return SHORT_WORDS * WORD_BYTES + plain_bytes_of_a_long(long);
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    words.len() * WORD_BYTES + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// Where the first of these stands in eight bytes. In each byte of the marks the highest bit says so; what is borrowed in a
/// subtraction can only mark bytes behind a marked one.
fn special_in(word: [u8; WORD_BYTES]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = 0x80 * ONES;
    let word = u64::from_le_bytes(word);
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let is_control = word.wrapping_sub(0x20 * ONES) & !word;
    let quote = is_zero(word ^ (u64::from(b'"') * ONES));
    let backslash = is_zero(word ^ (u64::from(b'\\') * ONES));
    let marks = (is_control | quote | backslash) & HIGHEST;
    (marks != 0).then_some(marks.trailing_zeros() as usize / 8)
}

fn plain_bytes_of_a_long(bytes: &[u8]) -> usize {
    let end = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
    let inside = bytes.get(..end).unwrap_or_default();
    let least = inside.iter().fold(u8::MAX, |least, byte| least.min(*byte));
    if least >= 0x20 {
        return end;
    }
    inside.iter().position(|byte| *byte < 0x20).unwrap_or(end)
}

/// The place after the escape that begins at `start` with its backslash.
fn escape_end(body: &[u8], start: usize, surrogates: Surrogates) -> Result<usize, JsonError> {
    let malformed = Err(JsonError::Malformed { at: start });
    match body.get(start + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(start + 2),
        Some(b'u') => match hex4(body, start + 2) {
            Some(_) if surrogates == Surrogates::Any => Ok(start + 6),
            Some(0xd800..=0xdbff) => {
                let low = (body.get(start + 6..start + 8) == Some(b"\\u"))
                    .then(|| hex4(body, start + 8))
                    .flatten();
                if matches!(low, Some(0xdc00..=0xdfff)) {
                    Ok(start + 12)
                } else {
                    malformed
                }
            }
            Some(0xdc00..=0xdfff) | None => malformed,
            Some(_) => Ok(start + 6),
        },
        _ => malformed,
    }
}

fn hex4(body: &[u8], at: usize) -> Option<u32> {
    let digits = body.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, digit| {
        Some(value * 16 + char::from(*digit).to_digit(16)?)
    })
}

/// Longer numbers are nobody's.
const NUMBER_BYTES_MAX: usize = 1 << 10;
/// Digits that, without an exponent, cannot make a number too large for a double.
const SURELY_FINITE_BYTES: usize = 300;

/// The place after the number that begins at `start`. One that no double can hold (`1e400`) is refused: some readers
/// take it for infinity, some fail.
pub(super) fn finite_number_end(body: &[u8], start: usize) -> Result<usize, JsonError> {
    let end = number_end(body, start)?;
    let text = body.get(start..end).unwrap_or_default();
    let is_plain = text.len() <= SURELY_FINITE_BYTES && memchr::memchr2(b'e', b'E', text).is_none();
    let is_finite = || {
        let text = std::str::from_utf8(text).unwrap_or_default();
        text.len() <= NUMBER_BYTES_MAX && text.parse().is_ok_and(f64::is_finite)
    };
    if is_plain || is_finite() {
        Ok(end)
    } else {
        Err(JsonError::Malformed { at: start })
    }
}

/// The place after the number that begins at `start`.
pub(super) fn number_end(body: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut at = start;
    if body.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match body.get(at) {
        Some(b'0') => at + 1,
        _ => digits_end(body, at)?,
    };
    if body.get(at) == Some(&b'.') {
        at = digits_end(body, at + 1)?;
    }
    if matches!(body.get(at), Some(b'e' | b'E')) {
        let signed = matches!(body.get(at + 1), Some(b'+' | b'-'));
        at = digits_end(body, at + 1 + usize::from(signed))?;
    }
    Ok(at)
}

/// The place after at least one digit.
fn digits_end(body: &[u8], start: usize) -> Result<usize, JsonError> {
    let digits = body
        .get(start..)
        .unwrap_or_default()
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 {
        Err(JsonError::Malformed { at: start })
    } else {
        Ok(start + digits)
    }
}
