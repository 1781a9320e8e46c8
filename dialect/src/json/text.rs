//! Strings and numbers: the grammar of RFC 8259, sections 6 and 7.

use super::JsonError;

/// The place after the string that begins at `start` with its opening quote.
pub(super) fn string_end(body: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut at = start + 1;
    loop {
        match body.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape_end(body, at)?,
            Some(0x20..) => at += 1,
            Some(_) | None => return Err(JsonError::Malformed { at }),
        }
    }
}

/// The place after the escape that begins at `start` with its backslash. A surrogate must have its other half.
fn escape_end(body: &[u8], start: usize) -> Result<usize, JsonError> {
    let malformed = Err(JsonError::Malformed { at: start });
    match body.get(start + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(start + 2),
        Some(b'u') => match hex4(body, start + 2) {
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
