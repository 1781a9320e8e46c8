//! Walking through an object that a scan has found to be well-formed: nothing is checked again, and nothing is allocated.

use super::text::{Surrogates, string_end};

/// The members of a checked object, as they are written: names without their quotes, escapes not undone. Of what is no
/// object there are none.
pub(crate) fn checked_members(json: &[u8]) -> CheckedMembers<'_> {
    let inside = json.strip_prefix(b"{").unwrap_or_default();
    CheckedMembers { rest: inside }
}

pub(crate) struct CheckedMembers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for CheckedMembers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let quote = self.rest.iter().position(|byte| *byte == b'"' || *byte == b'}')?;
        let (name, rest) = string(self.rest.get(quote..)?)?;
        let colon = rest.iter().position(|byte| *byte == b':')?;
        let start = colon + 1 + space(rest.get(colon + 1..)?);
        let (value, rest) = value(rest.get(start..)?)?;
        self.rest = rest;
        Some((name, value))
    }
}

/// The items of a checked array. Of what is no array there are none.
pub(crate) fn checked_items(json: &[u8]) -> CheckedItems<'_> {
    let inside = json.strip_prefix(b"[").unwrap_or_default();
    CheckedItems { rest: inside }
}

pub(crate) struct CheckedItems<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for CheckedItems<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let is_between = |byte: &u8| *byte == b',' || byte.is_ascii_whitespace();
        let start = self.rest.iter().position(|byte| !is_between(byte))?;
        if self.rest.get(start) == Some(&b']') {
            return None;
        }
        let (item, rest) = value(self.rest.get(start..)?)?;
        self.rest = rest;
        Some(item)
    }
}

fn space(json: &[u8]) -> usize {
    json.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// What is in the string that begins here, and what follows it.
fn string(json: &[u8]) -> Option<(&[u8], &[u8])> {
    if json.first() != Some(&b'"') {
        return None;
    }
    let end = string_end(json, 0, Surrogates::Any).ok()?;
    Some((json.get(1..end - 1)?, json.get(end..)?))
}

/// The value that begins here, and what follows it.
fn value(json: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = match json.first()? {
        b'"' => string_end(json, 0, Surrogates::Any).ok()?,
        b'{' | b'[' => nested_end(json)?,
        _ => json
            .iter()
            .position(|byte| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace())
            .unwrap_or(json.len()),
    };
    json.split_at_checked(end)
}

fn nested_end(json: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match json.get(at)? {
            b'"' => {
                at = string_end(json, at, Surrogates::Any).ok()?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(json: &str) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        checked_members(json.as_bytes())
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn every_kind_of_member_is_found() {
        let json = r#"{ "a" : 1,"b":"x\",}" , "c":{"d":[1,"]"]},"e":[{}] ,"f":null,"g":-1.5e3 }"#;
        let expected = [
            ("a", "1"),
            ("b", r#""x\",}""#),
            ("c", r#"{"d":[1,"]"]}"#),
            ("e", "[{}]"),
            ("f", "null"),
            ("g", "-1.5e3"),
        ];
        assert_eq!(walked(json), expected);
    }

    #[test]
    fn every_kind_of_item_is_found() {
        let items = |json: &'static str| -> Vec<&str> {
            let text = |bytes| std::str::from_utf8(bytes).unwrap();
            checked_items(json.as_bytes()).map(text).collect()
        };
        let json = r#"[ 1 ,"a,]",{"b":[1]} , [[],2],null,-1.5e3]"#;
        assert_eq!(
            items(json),
            ["1", r#""a,]""#, r#"{"b":[1]}"#, "[[],2]", "null", "-1.5e3"]
        );
        for none in ["[]", "[ ]", "{}", "3", ""] {
            assert!(items(none).is_empty(), "{none}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_members() {
        for json in ["{}", "{ }", "[1]", "3", "null", ""] {
            assert!(walked(json).is_empty(), "{json}");
        }
    }
}
