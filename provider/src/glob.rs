//! Patterns in the catalogue: over model names, and over names of betas.

use serde::Deserialize;

/// A text in which each `*` stands for any run of characters. Case matters.
///
/// It is taken apart when it is read: the catalogue has dozens of them, which a call may go through.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub struct Glob {
    text: Box<str>,
    /// What comes before the first star; all of it where there is none.
    prefix: Box<str>,
    stars: Option<AfterStar>,
}

/// What comes after the first star.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AfterStar {
    /// What stands between two stars each.
    middle: Box<[Box<str>]>,
    /// What comes after the last one.
    suffix: Box<str>,
}

impl Glob {
    pub fn matches(&self, name: &str) -> bool {
        let Some(mut left) = name.strip_prefix(&*self.prefix) else {
            return false;
        };
        let Some(stars) = &self.stars else {
            return left.is_empty();
        };
        // The first place will do for each: what comes after it has only more room that way.
        for literal in &stars.middle {
            match left.split_once(&**literal) {
                Some((_, after)) => left = after,
                None => return false,
            }
        }
        left.ends_with(&*stars.suffix)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<&str> for Glob {
    fn from(text: &str) -> Self {
        let (prefix, rest) = match text.split_once('*') {
            Some((prefix, rest)) => (prefix, Some(rest)),
            None => (text, None),
        };
        Self {
            text: text.into(),
            prefix: prefix.into(),
            stars: rest.map(AfterStar::from),
        }
    }
}

impl From<&str> for AfterStar {
    fn from(rest: &str) -> Self {
        let mut literals = rest.split('*').map(Box::from);
        let suffix = literals.next_back().unwrap_or_default();
        Self {
            middle: literals.collect(),
            suffix,
        }
    }
}

impl From<String> for Glob {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_all_else_for_itself() {
        let table = [
            ("o3", "o3", true),
            ("o3", "o3-mini", false),
            ("o3*", "o3", true),
            ("o3*", "o3-mini", true),
            ("*-image", "gemini-2.5-flash-image", true),
            ("*-image", "gemini-2.5-flash-image-1", false),
            ("gpt-4o-*-preview", "gpt-4o-search-preview", true),
            ("gpt-4o-*-preview", "gpt-4o-preview", false),
            ("*-search-*", "gpt-4o-mini-search-preview", true),
            ("a*b*b", "ab", false),
            ("a*b*b", "abb", true),
            ("a*ab", "ab", false),
            ("**", "", true),
            ("*", "anything/at all", true),
            ("", "", true),
            ("", "a", false),
            ("Claude*", "claude-opus-5", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(Glob::from(pattern).matches(name), expected, "{pattern} {name}");
        }
    }
}
