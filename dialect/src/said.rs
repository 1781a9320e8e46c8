//! How much a model has said in an event that passes by, found without parsing it: for whoever has to guess what was used,
//! where a provider does not tell.

use memchr::memchr2;

use crate::needle::Needle;

/// Members that hold what a model has written, in whichever dialect.
const TEXTS: [&[u8]; 9] = [
    b"content",
    b"reasoning_content",
    b"reasoning",
    b"refusal",
    b"arguments",
    b"text",
    b"thinking",
    b"partial_json",
    b"name",
];

/// The bytes of text, as they are written, in all that stands under this name (with its quotes) in the event: a text, or
/// the members of [`TEXTS`] inside of it. What is no JSON has no more text in it than it has bytes.
pub(crate) fn said_bytes(event: &[u8], name: &Needle) -> u64 {
    let mut rest = event;
    let mut said = 0;
    while let Some(at) = name.find_in(rest) {
        rest = rest.get(at + name.text().len()..).unwrap_or_default();
        if let Some(value) = after_colon(rest) {
            let (bytes, after) = text_of(value);
            said += bytes;
            rest = after;
        }
    }
    said
}

/// The text in the value that begins here, and what follows it.
fn text_of(value: &[u8]) -> (u64, &[u8]) {
    match value.first() {
        Some(b'"') => {
            let (text, rest) = string(value);
            (text.len() as u64, rest)
        }
        Some(b'{' | b'[') => texts_in(value),
        _ => (0, value),
    }
}

/// The same of an object or an array.
fn texts_in(mut rest: &[u8]) -> (u64, &[u8]) {
    let (mut said, mut depth, mut is_text) = (0, 0_usize, false);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => break,
            b'}' | b']' => depth -= 1,
            b'"' => {
                let (text, behind) = string_from(after);
                match after_colon(behind) {
                    Some(value) => {
                        is_text = TEXTS.contains(&text);
                        rest = value;
                    }
                    None => {
                        said += if is_text { text.len() as u64 } else { 0 };
                        rest = behind;
                    }
                }
            }
            _ => {}
        }
    }
    (said, rest)
}

fn string(quoted: &[u8]) -> (&[u8], &[u8]) {
    string_from(quoted.get(1..).unwrap_or_default())
}

/// What is in a string whose first quote has been taken, and what follows it.
fn string_from(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        let end = at + found;
        if bytes.get(end) == Some(&b'"') {
            return (
                bytes.get(..end).unwrap_or_default(),
                bytes.get(end + 1..).unwrap_or_default(),
            );
        }
        at = end + 2;
    }
    (bytes, &[])
}

fn after_colon(bytes: &[u8]) -> Option<&[u8]> {
    let value = bytes.trim_ascii_start().strip_prefix(b":")?;
    Some(value.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn p51_what_a_model_says_is_found_in_each_dialects_events() {
        let table: [(&'static [u8], &str, &str); 9] = [
            (
                b"\"delta\"",
                r#"data: {"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":"four"},"finish_reason":null}]}"#,
                "four",
            ),
            (
                b"\"delta\"",
                r#"{"choices": [{"delta": {"content": [{"type": "text", "text": "a\"b\\"}]}}, {"delta": {"reasoning_content": "c"}}]}"#,
                r#"a\"b\\c"#,
            ),
            (
                b"\"delta\"",
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]}}]}"#,
                r#"f{\"x\":1}"#,
            ),
            (
                b"\"delta\"",
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"four"}}"#,
                "four",
            ),
            (
                b"\"delta\"",
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"long"}}"#,
                "",
            ),
            (
                b"\"delta\"",
                r#"{"type":"response.output_text.delta","delta":"four","logprobs":[],"obfuscation":"zzz"}"#,
                "four",
            ),
            (
                b"\"parts\"",
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"four","thoughtSignature":"s"}]}}]}"#,
                "four",
            ),
            (b"\"delta\"", r#"{"choices":[{"delta":{}}],"usage":null}"#, ""),
            (b"\"delta\"", r#"{"content":"\"delta\":{\"content\":\"x\"}"}"#, ""),
        ];
        for (name, event, expected) in table {
            assert_eq!(
                said_bytes(event.as_bytes(), &Needle::new(name)),
                expected.len() as u64,
                "{event}"
            );
        }
    }

    proptest! {
        #[test]
        fn p51_no_event_says_more_than_its_bytes(event in "(\"delta\"|[\\[\\]{}:\",\\\\a]|\"text\"|\"parts\"){0,40}") {
            prop_assert!(said_bytes(event.as_bytes(), &Needle::new(b"\"delta\"")) <= event.len() as u64);
        }
    }
}
