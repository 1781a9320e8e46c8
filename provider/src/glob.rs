//! Patterns in the catalogue: over model names, and over names of betas.

use serde::Deserialize;

/// A text in which each `*` stands for any run of characters. Case matters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Glob(String);

impl Glob {
    pub fn matches(&self, name: &str) -> bool {
        let Some((prefix, rest)) = self.0.split_once('*') else {
            return self.0 == name;
        };
        let Some(mut left) = name.strip_prefix(prefix) else {
            return false;
        };
        let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The first place will do for each: what comes after it has only more room that way.
        for literal in middle.split('*') {
            match left.split_once(literal) {
                Some((_, after)) => left = after,
                None => return false,
            }
        }
        left.ends_with(suffix)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Glob {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
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
