//! The providers that the program knows, read from `catalog.toml`.

use std::collections::{HashMap, HashSet};

use dialect::Dialect;
use dialect::neutral::Profile;
use serde::Deserialize;

use crate::base_url::{BaseUrl, BaseUrlError, Trust};
use crate::profile::{self, Changes, ModelChanges, Profiles};

/// All providers, by name and in the order of the file.
#[derive(Debug)]
pub struct Catalog {
    providers: Vec<Provider>,
    by_name: HashMap<String, usize>,
}

/// A vendor service: one table of the catalogue, whose head documents each member.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    pub name: String,
    pub title: String,
    pub dialect: Dialect,
    pub base_url: Option<String>,
    pub auth: AuthStyle,
    #[serde(default)]
    pub kind: ProviderKind,
    #[serde(default)]
    pub env: Vec<String>,
    #[serde(default)]
    pub model_prefixes: Vec<String>,
    #[serde(default)]
    pub local: bool,
    #[serde(default)]
    pub stream_usage: StreamUsage,
    #[serde(default = "yes")]
    pub lists_models: bool,
    #[serde(default, rename = "profile")]
    changes: Changes,
    #[serde(default, rename = "model")]
    model_changes: Vec<ModelChanges>,
    #[serde(skip)]
    profiles: Profiles,
}

/// How the usage of a stream is got out of a provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamUsage {
    /// It is asked for, with `stream_options`.
    #[default]
    Ask,
    /// It comes by itself, and `stream_options` may be refused.
    Unasked,
}

/// How a provider is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    #[default]
    Http,
    /// The built-in [`crate::echo`].
    Echo,
}

/// Where in a request the credential is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthStyle {
    /// `Authorization: Bearer …`
    Bearer,
    /// `x-api-key: …`
    XApiKey,
    /// `x-goog-api-key: …`
    XGoogApiKey,
    None,
}

/// A catalogue that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("the catalogue cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    #[error("the catalogue names provider `{0}` twice")]
    Twice(String),
    #[error("two providers of the catalogue claim the model prefix `{0}`")]
    PrefixTwice(String),
    #[error("the base URL of provider `{name}`: {why}")]
    BaseUrl { name: String, why: BaseUrlError },
    #[error("no model of provider `{name}` can come to the pattern `{pattern}`: one before it has them all")]
    Unreachable { name: String, pattern: String },
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogFile {
    #[serde(default)]
    usual: HashMap<Dialect, Changes>,
    provider: Vec<Provider>,
}

impl Catalog {
    /// The catalogue that comes with the program.
    ///
    /// # Errors
    /// Never for a program that passed its tests: one of them reads it.
    pub fn built_in() -> Result<Self, CatalogError> {
        Self::parse(include_str!("../catalog.toml"))
    }

    /// Reads a catalogue and checks what one table cannot know of another.
    ///
    /// # Errors
    /// On an unknown key, a name or a model prefix that is there twice, or a base URL that is none.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        let CatalogFile {
            usual,
            provider: mut providers,
        } = toml::from_str(text)?;
        let mut by_name = HashMap::new();
        let mut prefixes = HashSet::new();
        for (index, provider) in providers.iter().enumerate() {
            if by_name.insert(provider.name.clone(), index).is_some() {
                return Err(CatalogError::Twice(provider.name.clone()));
            }
            if let Some(prefix) = provider
                .model_prefixes
                .iter()
                .find(|prefix| !prefixes.insert((*prefix).clone()))
            {
                return Err(CatalogError::PrefixTwice(prefix.clone()));
            }
            if let Some(text) = &provider.base_url {
                BaseUrl::parse(text, Trust::Operator).map_err(|why| CatalogError::BaseUrl {
                    name: provider.name.clone(),
                    why,
                })?;
            }
        }
        for provider in &mut providers {
            provider.build_profiles(usual.get(&provider.dialect))?;
        }
        Ok(Self { providers, by_name })
    }

    pub fn get(&self, name: &str) -> Option<&Provider> {
        self.by_name
            .get(name)
            .and_then(|index| self.providers.get(*index))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.providers.iter()
    }

    /// The routes that need no setting up: a pattern such as `gpt-*`, and the provider it leads to.
    pub fn built_in_routes(&self) -> impl Iterator<Item = (String, &Provider)> {
        self.providers.iter().flat_map(|provider| {
            provider
                .model_prefixes
                .iter()
                .map(move |prefix| (format!("{prefix}*"), provider))
        })
    }
}

impl Provider {
    /// What this model of it takes, and how that is spelt.
    pub fn profile(&self, model: &str) -> &Profile {
        self.profiles.of(model)
    }

    fn build_profiles(&mut self, usual: Option<&Changes>) -> Result<(), CatalogError> {
        if let Some(pattern) = profile::unreachable(&self.model_changes) {
            return Err(CatalogError::Unreachable {
                name: self.name.clone(),
                pattern: pattern.to_owned(),
            });
        }
        let mut profile = Profile::default();
        if let Some(usual) = usual {
            profile = usual.applied_to(&profile);
        }
        profile.stream_options &= self.stream_usage == StreamUsage::Ask;
        let profile = self.changes.applied_to(&profile);
        self.profiles = Profiles::new(profile, &self.model_changes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str =
        "[[provider]]\nname = \"a\"\ntitle = \"A\"\ndialect = \"openai_chat\"\nauth = \"bearer\"\n";

    #[test]
    fn the_built_in_catalogue_names_who_is_promised() {
        let catalog = Catalog::built_in().unwrap();
        let promised = "openai anthropic gemini groq mistral deepseek xai openrouter together fireworks cerebras \
                        perplexity nvidia ollama vllm lmstudio llamacpp custom echo";
        for name in promised.split_whitespace() {
            assert!(catalog.get(name).is_some(), "{name}");
        }
        assert!(catalog.get("nobody").is_none());
    }

    #[test]
    fn providers_with_an_account_have_a_variable_for_their_key_and_https() {
        let catalog = Catalog::built_in().unwrap();
        for provider in catalog
            .iter()
            .filter(|provider| !provider.local && provider.base_url.is_some())
        {
            assert!(!provider.env.is_empty(), "{}", provider.name);
            assert!(
                provider.base_url.as_deref().unwrap().starts_with("https://"),
                "{}",
                provider.name
            );
        }
    }

    #[test]
    fn prefixes_become_routes() {
        let catalog = Catalog::built_in().unwrap();
        let routes: HashMap<String, &str> = catalog
            .built_in_routes()
            .map(|(pattern, provider)| (pattern, provider.name.as_str()))
            .collect();
        assert_eq!(routes["gpt-*"], "openai");
        assert_eq!(routes["claude-*"], "anthropic");
        assert_eq!(routes["gemini-*"], "gemini");
        assert_eq!(catalog.get(routes["echo-*"]).unwrap().kind, ProviderKind::Echo);
    }

    #[test]
    fn a_catalogue_that_makes_no_sense_is_refused() {
        let unknown_key = format!("{ROW}colour = \"red\"\n");
        let prefixed =
            |name: &str| ROW.replace("\"a\"", &format!("\"{name}\"")) + "model_prefixes = [\"x-\"]\n";
        assert!(matches!(
            Catalog::parse(&unknown_key),
            Err(CatalogError::Syntax(_))
        ));
        assert!(matches!(
            Catalog::parse(&format!("{ROW}{ROW}")),
            Err(CatalogError::Twice(_))
        ));
        assert!(matches!(
            Catalog::parse(&(prefixed("a") + &prefixed("b"))),
            Err(CatalogError::PrefixTwice(_))
        ));
        let ftp = format!("{ROW}base_url = \"ftp://example.com\"\n");
        assert!(matches!(Catalog::parse(&ftp), Err(CatalogError::BaseUrl { .. })));
    }
}
