//! Routes: rules from a model name to targets.

use std::fmt;
use std::str::FromStr;

use crate::pattern::Pattern;

/// A rule from model names to targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub id: String,
    pub scope: Scope,
    pub pattern: Pattern,
    /// In the order in which they are to be tried.
    pub targets: Vec<RouteTarget>,
}

/// For whom a rule holds. Nearer scopes are asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One tenant.
    Tenant,
    /// Every tenant of this installation.
    Global,
    /// Everybody: it comes with the program.
    BuiltIn,
}

/// A target as a route names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTarget {
    pub provider: String,
    /// The provider's name of the model; without one, the name that the client asked for.
    pub model: Option<String>,
}

/// A target as a call uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub provider: String,
    pub model: String,
}

/// A text that names no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a target: write PROVIDER or PROVIDER/MODEL")]
pub struct RouteTargetError(String);

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Global => "global",
            Self::BuiltIn => "built-in",
        }
    }
}

impl RouteTarget {
    pub(crate) fn resolve(&self, model_name: &str) -> Target {
        let model = self.model.as_deref().unwrap_or(model_name);
        Target {
            provider: self.provider.clone(),
            model: model.to_owned(),
        }
    }
}

impl FromStr for RouteTarget {
    type Err = RouteTargetError;

    /// Only the first slash divides: `openrouter/meta/llama-3` is openrouter's `meta/llama-3`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (provider, model) = match text.split_once('/') {
            Some((provider, model)) => (provider, Some(model)),
            None => (text, None),
        };
        let is_of_a_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let is_name = !provider.is_empty() && provider.chars().all(is_of_a_name);
        if !is_name || model.is_some_and(|model| model.is_empty() || model.contains(char::is_control)) {
            return Err(RouteTargetError(text.to_owned()));
        }
        Ok(Self {
            provider: provider.to_owned(),
            model: model.map(str::to_owned),
        })
    }
}

impl fmt::Display for RouteTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.model {
            Some(model) => write!(f, "{}/{model}", self.provider),
            None => f.write_str(&self.provider),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_written_as_it_was_read() {
        for text in ["openai", "openai/gpt-4o", "openrouter/meta/llama-3"] {
            assert_eq!(text.parse::<RouteTarget>().unwrap().to_string(), text);
        }
        let nested: RouteTarget = "openrouter/meta/llama-3".parse().unwrap();
        assert_eq!(nested.model.as_deref(), Some("meta/llama-3"));
    }

    #[test]
    fn half_a_target_is_refused() {
        for text in [
            "",
            "/",
            "/gpt-4o",
            "openai/",
            "{\"provider\": \"openai\"}",
            "open ai/m",
            "openai/a\nb",
        ] {
            assert_eq!(
                text.parse::<RouteTarget>(),
                Err(RouteTargetError(text.to_owned()))
            );
        }
    }
}
