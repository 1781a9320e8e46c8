//! A row of the ledger as bytes: what INTENT and SETTLE hold.
//!
//! An INTENT holds the row that is written if nothing more is heard of the attempt, a SETTLE the row as it is, so each
//! can be read without the other. Members are only ever added at the end: what an older program has not written is
//! absent, and what a newer one has written besides is not looked at.

use store::{AttemptRow, AttemptUsage};

/// The bytes are of a form that this program does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unknown;

const FORM: u8 = 1;
/// No text in a row is longer; one that is, is cut. Names are held to less where they come in.
const TEXT_MAX: usize = 4 << 10;

/// Appends a row.
pub(super) fn write<T: AsRef<str>>(row: &AttemptRow<T>, out: &mut Vec<u8>) {
    let row = row.lent();
    out.push(FORM);
    for text in [
        row.attempt_id,
        row.call_id,
        row.tenant_id,
        row.key_id,
        row.provider,
        row.model_name,
        row.model,
        row.dialect,
        row.outcome,
        row.operation,
        row.usage_source,
    ] {
        put_text(out, text);
    }
    put_or_none(out, row.credential_id, put_text);
    put_or_none(out, row.price_version, put_text);
    out.push(u8::from(row.streamed));
    for number in [row.attempt_number, row.started_at_ms, row.duration_us, row.status] {
        put_number(out, number);
    }
    for number in [row.first_byte_us, row.cost_nano, row.reserved_tokens] {
        put_or_none(out, number, put_number);
    }
    put_or_none(out, row.usage, put_usage);
    put_or_none(out, row.usage, put_more_usage);
}

/// Reads a row; its texts are in the bytes.
pub(super) fn read(bytes: &[u8]) -> Result<AttemptRow<&str>, Unknown> {
    let mut from = From(bytes);
    if from.byte()? != FORM {
        return Err(Unknown);
    }
    // In the order in which they are written.
    let [attempt_id, call_id, tenant_id, key_id, provider, model_name] = from.texts()?;
    let [model, dialect, outcome, operation, usage_source] = from.texts()?;
    let credential_id = from.or_none(From::text)?;
    let price_version = from.or_none(From::text)?;
    let streamed = from.byte()? != 0;
    let (attempt_number, started_at_ms) = (from.number()?, from.number()?);
    let (duration_us, status) = (from.number()?, from.number()?);
    Ok(AttemptRow {
        attempt_id,
        call_id,
        attempt_number,
        tenant_id,
        key_id,
        credential_id,
        provider,
        model_name,
        model,
        dialect,
        streamed,
        started_at_ms,
        duration_us,
        first_byte_us: from.or_none(From::number)?,
        status,
        outcome,
        operation,
        cost_nano: from.or_none(From::number)?,
        price_version,
        reserved_tokens: from.or_none(From::number)?,
        usage: from.usage()?,
        usage_source,
    })
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or_default();
    put_length(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_or_none<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

/// Small ones, of either sign, take few bytes.
fn put_number(out: &mut Vec<u8>, number: i64) {
    put_length(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Seven bits a byte, the least first; the eighth says that there are more.
fn put_length(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_usage(out: &mut Vec<u8>, usage: AttemptUsage) {
    for count in [
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.audio_input_tokens,
        usage.audio_output_tokens,
    ] {
        put_number(out, count);
    }
}

/// What came to be counted later.
fn put_more_usage(out: &mut Vec<u8>, usage: AttemptUsage) {
    put_number(out, usage.cache_write_1h_tokens);
    put_number(out, usage.image_output_tokens);
}

/// What is left to be read.
struct From<'a>(&'a [u8]);

impl<'a> From<'a> {
    fn byte(&mut self) -> Result<u8, Unknown> {
        let (first, rest) = self.0.split_first().ok_or(Unknown)?;
        self.0 = rest;
        Ok(*first)
    }

    fn length(&mut self) -> Result<u64, Unknown> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unknown)
    }

    fn number(&mut self) -> Result<i64, Unknown> {
        let number = self.length()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn text(&mut self) -> Result<&'a str, Unknown> {
        let length = usize::try_from(self.length()?).map_err(|_| Unknown)?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Unknown)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Unknown)
    }

    fn texts<const COUNT: usize>(&mut self) -> Result<[&'a str; COUNT], Unknown> {
        let mut texts = [""; COUNT];
        for text in &mut texts {
            *text = self.text()?;
        }
        Ok(texts)
    }

    /// Something that may be absent, or not yet have been thought of by who wrote this.
    fn or_none<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Unknown>,
    ) -> Result<Option<T>, Unknown> {
        if self.0.is_empty() || self.byte()? == 0 {
            return Ok(None);
        }
        read(self).map(Some)
    }

    fn usage(&mut self) -> Result<Option<AttemptUsage>, Unknown> {
        let usage = self.or_none(|from| {
            Ok(AttemptUsage {
                input_tokens: from.number()?,
                cached_input_tokens: from.number()?,
                cache_write_tokens: from.number()?,
                output_tokens: from.number()?,
                reasoning_tokens: from.number()?,
                audio_input_tokens: from.number()?,
                audio_output_tokens: from.number()?,
                ..AttemptUsage::default()
            })
        })?;
        let more = self.or_none(|from| Ok([from.number()?, from.number()?]))?;
        let [cache_write_1h_tokens, image_output_tokens] = more.unwrap_or_default();
        Ok(usage.map(|usage| AttemptUsage {
            cache_write_1h_tokens,
            image_output_tokens,
            ..usage
        }))
    }
}
