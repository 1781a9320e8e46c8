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

const BLOCK_BYTES: usize = 32;

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

/// How many bytes stand before the first that ends a string or needs a closer look. Most of a body is such bytes, so
/// they are looked at in blocks, which the compiler turns into a few vector instructions each.
fn plain_bytes(bytes: &[u8]) -> usize {
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
    let mut passed = 0;
    for block in blocks {
        let found = block.iter().fold(false, |found, byte| found | special(byte));
        if found {
            return passed + block.iter().position(special).unwrap_or(0);
        }
        passed += BLOCK_BYTES;
    }
    passed + rest.iter().position(special).unwrap_or(rest.len())
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
