//! Which model names a gateway key may use.

use crate::pattern::{Pattern, PatternError};

/// A gateway key's allow-list. An empty list, the default, allows every model name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelAllow {
    patterns: Vec<Pattern>,
}

impl ModelAllow {
    /// Reads patterns divided by commas: `gpt-*, claude-*`. A text without any allows everything.
    ///
    /// # Errors
    /// When one of the patterns is none: a list that cannot be read must not come to mean "everything".
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let patterns = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(Pattern::parse);
        Ok(Self {
            patterns: patterns.collect::<Result<_, _>>()?,
        })
    }

    pub fn allows(&self, model_name: &str) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(model_name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_allows_what_it_names_and_an_empty_one_everything() {
        let list = ModelAllow::parse("gpt-*, claude-3-opus,").unwrap();
        assert!(list.allows("gpt-4o") && list.allows("claude-3-opus"));
        assert!(!list.allows("claude-3-haiku") && !list.allows("openai/gpt-4o"));
        assert!(ModelAllow::parse(" , ").unwrap().allows("anything"));
        assert!(ModelAllow::default().allows("anything"));
    }

    #[test]
    fn a_broken_list_is_refused_whole() {
        assert!(ModelAllow::parse("gpt-*,claude-[").is_err());
    }
}
