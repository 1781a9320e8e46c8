//! Names of tools, and ids of their calls, for targets with narrower rules than the client's.
//!
//! A text that breaks a rule is cleaned, and gets the checksum of what it was: two that differ only in what was cleaned
//! away stay different, and the same text comes out the same in every request, so that prompt caches hit and a result
//! finds its call. A tool's name comes back in the answer and has to be turned back there: [`Names`] remembers. An id
//! that we sent does not come back.

use std::borrow::Cow;

use super::Tool;

/// What a name may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub bytes_max: usize,
    /// Bytes that are allowed beside ASCII letters, digits, `_` and `-`.
    pub more: &'static [u8],
    /// Whether it has to begin with a letter or `_`.
    pub starts_with_letter: bool,
}

/// Tools of both of OpenAI's dialects: `[a-zA-Z0-9_-]{1,64}`
pub const OPENAI_TOOL: Rule = Rule {
    bytes_max: 64,
    more: b"",
    starts_with_letter: false,
};
/// Tools of Anthropic: `[a-zA-Z0-9_-]{1,128}`
pub const ANTHROPIC_TOOL: Rule = Rule {
    bytes_max: 128,
    ..OPENAI_TOOL
};
/// Functions of Gemini; newer models take twice the length.
pub const GEMINI_TOOL: Rule = Rule {
    bytes_max: 64,
    more: b".:",
    starts_with_letter: true,
};
/// Ids of calls, as all that have a rule for them take them.
pub const CALL_ID: Rule = OPENAI_TOOL;

/// How long the end is that tells cleaned texts apart: `_` and 8 hexadecimal digits.
const MARK_BYTES: usize = 9;

/// Which names a request was sent with, and what its client calls them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// What was sent, and what it stands for. A few at most: nearly all names are fit as they are.
    changed: Vec<(String, String)>,
}

/// The text as the rule has it; itself where it is right already.
pub fn fit<'a>(text: &'a str, rule: &Rule) -> Cow<'a, str> {
    if rule.takes(text) {
        return Cow::Borrowed(text);
    }
    let room = rule.bytes_max.saturating_sub(MARK_BYTES);
    let mut fitting = String::with_capacity(rule.bytes_max);
    if rule.starts_with_letter && !text.starts_with(is_first) {
        fitting.push('_');
    }
    let clean = |letter: char| if rule.allows(letter) { letter } else { '_' };
    fitting.extend(text.chars().take(room).map(clean));
    fitting.truncate(room);
    fitting.push_str(&format!("_{:08x}", crc32fast::hash(text.as_bytes())));
    Cow::Owned(fitting)
}

/// A name that no tool of the client has: for one that the gateway itself adds.
pub fn unused(name: &str, tools: &[Tool]) -> String {
    let mut unused = name.to_owned();
    while tools.iter().any(|tool| tool.name == unused) {
        unused.push('_');
    }
    unused
}

impl Rule {
    pub fn takes(&self, text: &str) -> bool {
        !text.is_empty()
            && text.len() <= self.bytes_max
            && text.chars().all(|letter| self.allows(letter))
            && (!self.starts_with_letter || text.starts_with(is_first))
    }

    fn allows(&self, letter: char) -> bool {
        letter.is_ascii_alphanumeric()
            || matches!(letter, '_' | '-')
            || u8::try_from(letter).is_ok_and(|byte| self.more.contains(&byte))
    }
}

fn is_first(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_'
}

impl Names {
    /// The tool's name as it is sent; remembers what it was.
    pub fn fit<'a>(&mut self, name: &'a str, rule: &Rule) -> Cow<'a, str> {
        let fitting = fit(name, rule);
        if let Cow::Owned(sent) = &fitting
            && !self.changed.iter().any(|(known, _)| known == sent)
        {
            self.changed.push((sent.clone(), name.to_owned()));
        }
        fitting
    }

    /// What the client calls the tool of this name, when that is something else.
    pub fn original(&self, sent: &str) -> Option<&str> {
        let (_, name) = self.changed.iter().find(|(known, _)| known == sent)?;
        Some(name)
    }

    /// Turns a name that was sent into the client's own.
    pub fn turn_back(&self, name: &mut String) {
        if let Some(original) = self.original(name) {
            original.clone_into(name);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p13_p14_names_that_break_a_rule_are_cleaned_and_turned_back() {
        let mut names = Names::default();
        let long = "n".repeat(200);
        for rule in [OPENAI_TOOL, ANTHROPIC_TOOL, GEMINI_TOOL, CALL_ID] {
            for name in [
                "get_weather",
                "functions.Bash:0",
                "a b",
                "a-b",
                "1st",
                "Größe",
                "",
                &long,
            ] {
                let sent = names.fit(name, &rule).into_owned();
                assert!(rule.takes(&sent), "{name} became {sent}");
                assert_eq!(sent, fit(name, &rule), "the same each time");
                let mut back = sent;
                names.turn_back(&mut back);
                assert_eq!(back, name);
            }
        }
        assert_eq!(fit("get_weather", &OPENAI_TOOL), "get_weather");
        assert_ne!(fit("a b", &OPENAI_TOOL), fit("a.b", &OPENAI_TOOL));
        assert_eq!(fit("mcp.search:web", &GEMINI_TOOL), "mcp.search:web");
    }
}
