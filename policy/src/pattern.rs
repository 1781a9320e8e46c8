//! Patterns over model names.

use std::cmp::Ordering;

use globset::{GlobBuilder, GlobMatcher};

/// Which model names a rule is about: one name, all that begin alike, or a glob. Case matters.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// The name itself.
    Exact,
    /// `gpt-*`: one star, at the end. Holds the length of what stands before it.
    Prefix { literal_len: usize },
    /// Anything else with `*`, `?`, `[…]` or `{…}`. A star also crosses `/`, which model names contain.
    Glob {
        matcher: Box<GlobMatcher>,
        literal_len: usize,
    },
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern cannot be empty")]
    Empty,
    #[error("`{0}` is not a pattern: check its brackets and braces")]
    BadGlob(String),
}

const SPECIAL: [char; 6] = ['*', '?', '[', ']', '{', '}'];

impl Pattern {
    /// Reads a pattern as people write it: `gpt-4o`, `gpt-*`, `*-mini`, `claude-[34]-*`.
    ///
    /// # Errors
    /// When the text is empty or its brackets do not close.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let kind = match text.strip_suffix('*') {
            Some(prefix) if !prefix.contains(SPECIAL) => Kind::Prefix {
                literal_len: prefix.len(),
            },
            _ if text.contains(SPECIAL) => Kind::glob(text)?,
            _ => Kind::Exact,
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one name that this is about, if it is about one.
    pub fn exact(&self) -> Option<&str> {
        matches!(self.kind, Kind::Exact).then_some(&self.text)
    }

    pub fn matches(&self, model_name: &str) -> bool {
        match &self.kind {
            Kind::Exact => self.text == model_name,
            Kind::Prefix { .. } => self
                .text
                .strip_suffix('*')
                .is_some_and(|prefix| model_name.starts_with(prefix)),
            Kind::Glob { matcher, .. } => matcher.is_match(model_name),
        }
    }

    /// Orders the more specific pattern first: an exact name, then the one with more literal text, then a prefix
    /// before a glob, then by text, so that the order never depends on where the rules came from.
    pub fn compare_specificity(&self, other: &Self) -> Ordering {
        self.rank()
            .cmp(&other.rank())
            .then_with(|| self.text.cmp(&other.text))
    }

    /// Smaller is more specific.
    fn rank(&self) -> (u8, std::cmp::Reverse<usize>, u8) {
        match &self.kind {
            Kind::Exact => (0, std::cmp::Reverse(self.text.len()), 0),
            Kind::Prefix { literal_len } => (1, std::cmp::Reverse(*literal_len), 0),
            Kind::Glob { literal_len, .. } => (1, std::cmp::Reverse(*literal_len), 1),
        }
    }
}

impl Kind {
    fn glob(text: &str) -> Result<Self, PatternError> {
        let glob = GlobBuilder::new(text)
            .literal_separator(false)
            .backslash_escape(false)
            .build()
            .map_err(|_| PatternError::BadGlob(text.to_owned()))?;
        let literal_len = literal_len(text);
        Ok(Self::Glob {
            matcher: Box::new(glob.compile_matcher()),
            literal_len,
        })
    }
}

/// How much of a glob is plain text; what stands in brackets or braces counts as a place, not as text.
fn literal_len(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut len = 0_usize;
    for letter in text.chars() {
        match letter {
            '[' | '{' => depth = depth.saturating_add(1),
            ']' | '}' => depth = depth.saturating_sub(1),
            '*' | '?' => {}
            _ if depth == 0 => len = len.saturating_add(letter.len_utf8()),
            _ => {}
        }
    }
    len
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_matches_what_it_says() {
        let table = [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o", "GPT-4o", false),
            ("gpt-*", "gpt-", true),
            ("gpt-*", "gpt-4o/preview", true),
            ("gpt-*", "chatgpt-4o", false),
            ("*", "anything/at.all", true),
            ("*-mini", "gpt-4o-mini", true),
            ("*-mini", "gpt-4o", false),
            ("meta/*-instruct", "meta/llama-3/70b-instruct", true),
            ("claude-[34]-*", "claude-3-opus", true),
            ("claude-[34]-*", "claude-5-opus", false),
            ("o{1,3}", "o3", true),
            ("o?", "o1", true),
            ("o?", "o10", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(
                Pattern::parse(pattern).unwrap().matches(name),
                expected,
                "{pattern} on {name}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
        for text in ["gpt-[4", "o{1,3"] {
            assert_eq!(Pattern::parse(text), Err(PatternError::BadGlob(text.to_owned())));
        }
    }

    #[test]
    fn the_more_specific_comes_first() {
        let mut patterns =
            ["*", "gpt-?o", "gpt-*", "*-mini", "gpt-4o", "gpt-4*"].map(|text| Pattern::parse(text).unwrap());
        patterns.sort_by(Pattern::compare_specificity);
        let order: Vec<&str> = patterns.iter().map(Pattern::as_str).collect();
        assert_eq!(order, ["gpt-4o", "gpt-4*", "*-mini", "gpt-?o", "gpt-*", "*"]);
    }
}
