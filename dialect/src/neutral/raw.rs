//! JSON that is carried, not understood.

use serde_json::value::RawValue;

use crate::Dialect;

/// A piece of JSON as somebody wrote it, with the dialect in which it means something.
///
/// It is written back to that dialect alone, letter by letter; on the way to any other it is a
/// [`Loss`](super::Loss) or a refusal. Only ends of lines between values are left out: an event of a stream may become of
/// it, and that is one line.
#[derive(Debug, Clone)]
pub struct Raw {
    pub origin: Dialect,
    /// The name of the member it stood under; empty for an element of an array.
    pub name: String,
    pub json: Box<RawValue>,
}

impl Raw {
    pub fn new(origin: Dialect, name: impl Into<String>, json: Box<RawValue>) -> Self {
        Self {
            origin,
            name: name.into(),
            json: on_one_line(json),
        }
    }
}

/// In a text an end of a line is escaped, so that all of them stand between values.
fn on_one_line(json: Box<RawValue>) -> Box<RawValue> {
    let is_end = |letter| matches!(letter, '\n' | '\r');
    if memchr::memchr2(b'\n', b'\r', json.get().as_bytes()).is_none() {
        return json;
    }
    RawValue::from_string(json.get().replace(is_end, "")).unwrap_or(json)
}

/// Two pieces are the same when they are spelled the same.
impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.origin == other.origin && self.name == other.name && self.json.get() == other.json.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_one_line_with_all_its_letters() {
        let spread = "{\n  \"a\": [1.0,\r\n  \"b\\n\u{2028}\"]\n}";
        let json = RawValue::from_string(spread.to_owned()).unwrap();
        let raw = Raw::new(Dialect::OpenaiChat, "name", json);
        assert_eq!(raw.json.get(), "{  \"a\": [1.0,  \"b\\n\u{2028}\"]}");
    }
}
