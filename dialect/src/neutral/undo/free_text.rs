//! Free-text tools as functions with one string, for targets that know only those, and the text out of their arguments.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The arguments of a function that stands for a free-text tool.
#[derive(Serialize, Deserialize)]
struct Input<T> {
    input: T,
}

/// Its parameters.
pub const SCHEMA: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// What the function says of itself: it is held to no format, so that is told in words. `None` for the words where there are
/// none, and whether a format is lost.
pub fn description<'t>(told: Option<&'t str>, format: Option<&RawValue>) -> (Option<Cow<'t, str>>, bool) {
    match format.filter(|format| !is_plain_text(format)) {
        Some(format) => {
            let (told, format) = (told.unwrap_or_default(), format.get());
            let words = format!("{told}\n\nThe input has to follow this format: {format}");
            (Some(Cow::Owned(words)), true)
        }
        None => (told.map(Cow::Borrowed), false),
    }
}

/// Whether a free-text tool has no grammar.
fn is_plain_text(format: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Format {
        r#type: Option<String>,
    }
    let format = serde_json::from_str::<Format>(format.get());
    format.is_ok_and(|format| format.r#type.as_deref() == Some("text"))
}

/// What the function is called with.
pub fn arguments(text: &str) -> String {
    serde_json::to_string(&Input { input: text }).unwrap_or_default()
}

/// The text with which the function was called; arguments of another form are taken as they are.
pub fn text(arguments: &str) -> String {
    match serde_json::from_str::<Input<String>>(arguments) {
        Ok(Input { input }) => input,
        Err(_) => arguments.to_owned(),
    }
}

/// Reads the text out of arguments that come in fragments, so that it can go on at once.
#[derive(Debug, Clone, Default)]
pub(super) struct TextReader {
    state: State,
    /// What cannot be decided yet: the beginning of the arguments, or of an escape.
    held: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Before,
    Inside,
    After,
}

impl TextReader {
    /// Appends the text that a further fragment holds.
    pub(super) fn push(&mut self, fragment: &str, text: &mut String) {
        self.held.push_str(fragment);
        if self.state == State::Before
            && let Some(start) = opened(&self.held)
        {
            self.held.drain(..start);
            self.state = State::Inside;
        }
        if self.state == State::Inside {
            self.decode(text);
        }
    }

    /// Appends what is left at the end: all of it, where the arguments had another form.
    pub(super) fn finish(self, out: &mut String) {
        if self.state == State::Before {
            out.push_str(&text(&self.held));
        }
    }

    fn decode(&mut self, text: &mut String) {
        let mut read = 0;
        loop {
            let rest = self.held.get(read..).unwrap_or_default();
            let plain = rest.find(['"', '\\']).unwrap_or(rest.len());
            text.push_str(rest.get(..plain).unwrap_or_default());
            read += plain;
            let rest = rest.get(plain..).unwrap_or_default();
            if rest.starts_with('"') {
                self.state = State::After;
                read = self.held.len();
                break;
            }
            let Some(length) = escape_length(rest) else {
                break;
            };
            let escape = rest.get(..length).unwrap_or_default();
            match serde_json::from_str::<String>(&format!("\"{escape}\"")) {
                Ok(letter) => text.push_str(&letter),
                // Half a surrogate pair, or no escape at all.
                Err(_) => text.push(char::REPLACEMENT_CHARACTER),
            }
            read += length;
        }
        self.held.drain(..read);
    }
}

/// Where the string begins, once `{"input":"` is there, however it is spaced.
fn opened(arguments: &str) -> Option<usize> {
    let steps = ["{", "\"input\"", ":", "\""];
    let mut rest = arguments;
    for step in steps {
        rest = rest.trim_ascii_start().strip_prefix(step)?;
    }
    Some(arguments.len() - rest.len())
}

/// How long the escape at the beginning is; `None` as long as that is open, and where there is none.
fn escape_length(text: &str) -> Option<usize> {
    let is_unicode = text.as_bytes().get(1)? == &b'u';
    if !is_unicode {
        return Some(1 + text.chars().nth(1)?.len_utf8());
    }
    let unit = |at: usize| u16::from_str_radix(text.get(at..at + 4)?, 16).ok();
    if text.len() < 6 {
        return None;
    }
    let is_high = matches!(unit(2), Some(0xd800..=0xdbff));
    match text.as_bytes().get(6..) {
        // Broken: what follows `\u` is no number, perhaps not even whole letters.
        _ if unit(2).is_none() => Some(2),
        _ if !is_high => Some(6),
        Some([] | [b'\\'] | [b'\\', b'u']) => None,
        Some([b'\\', b'u', digits @ ..]) if digits.len() < 4 => None,
        Some([b'\\', b'u', ..]) if matches!(unit(8), Some(0xdc00..=0xdfff)) => Some(12),
        _ => Some(6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(fragments: &[&str]) -> String {
        let mut reader = TextReader::default();
        let mut text = String::new();
        for fragment in fragments {
            reader.push(fragment, &mut text);
        }
        reader.finish(&mut text);
        text
    }

    proptest! {
        #[test]
        fn p66_a_text_comes_out_as_it_went_in_wherever_it_is_cut(input in "\\PC{0,30}|[\"\\\\\n\u{1F600}\u{0}]{0,9}", at in any::<prop::sample::Index>()) {
            let arguments = arguments(&input);
            prop_assert_eq!(&text(&arguments), &input);
            let escaped: String = arguments.encode_utf16().map(|unit| if unit < 128 { char::from(unit as u8).to_string() } else { format!("\\u{unit:04x}") }).collect();
            for spelled in [arguments, escaped] {
                let at = at.index(spelled.len());
                let at = (0..=at).rev().find(|at| spelled.is_char_boundary(*at)).unwrap_or(0);
                let (first, second) = spelled.split_at(at);
                prop_assert_eq!(&read(&[first, second]), &input);
            }
        }

        #[test]
        fn broken_arguments_are_no_danger(fragments in proptest::collection::vec("[{}\"\\\\ u0-9a-dinpt:\u{e9}]{0,12}", 0..6)) {
            let fragments: Vec<&str> = fragments.iter().map(String::as_str).collect();
            read(&fragments);
            read(&[&["{\"input\":\""], fragments.as_slice()].concat());
        }
    }

    #[test]
    fn other_arguments_are_taken_as_they_are() {
        assert_eq!(read(&[" { \"input\" ", ": \"a\\", "n\"}"]), "a\n");
        assert_eq!(read(&["plain"]), "plain");
        assert_eq!(read(&["{\"x\":1,\"input\":\"b\"}"]), "b");
        assert_eq!(read(&["{\"input\":3}"]), "{\"input\":3}");
        assert_eq!(read(&["{\"input\":\"\\ud83d\"}"]), "\u{fffd}");
    }
}
