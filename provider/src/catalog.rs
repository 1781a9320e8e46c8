//! The providers that the program knows, read from `catalog.toml`.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use dialect::Dialect;
use dialect::neutral::Profile;
use serde::Deserialize;

use crate::base_url::{BaseUrl, BaseUrlError, Trust};
use crate::glob::Glob;
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
    /// The one that it is spoken to where the client's is none of its own.
    pub dialect: Dialect,
    #[serde(default)]
    also: Vec<Dialect>,
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
    #[serde(default)]
    pub on_cancel: OnCancel,
    #[serde(default = "yes")]
    pub lists_models: bool,
    /// The version that is named where the base URL names none. Only Azure has such.
    pub(crate) api_version: Option<String>,
    #[serde(default)]
    pub embeds: Embeds,
    /// What a client may switch on with `anthropic-beta`.
    #[serde(default)]
    pub betas: Vec<Glob>,
    like: Option<String>,
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

/// What is done with a stream whose client has left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnCancel {
    /// It is closed, and what was made of it by then is charged for.
    #[default]
    Abort,
    /// It is read to its end, since all of it is made and charged for anyhow.
    Drain,
    /// It is closed, and nothing is charged for it.
    Free,
}

impl FromStr for OnCancel {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "abort" => Ok(Self::Abort),
            "drain" => Ok(Self::Drain),
            "free" => Ok(Self::Free),
            _ => Err(()),
        }
    }
}

/// How a provider turns texts into vectors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Embeds {
    /// As its dialect does, where that does.
    #[default]
    Usual,
    /// As Vertex AI does, whose models are asked in several ways.
    Vertex,
    /// Not at all.
    None,
}

/// How a provider is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    #[default]
    Http,
    /// The built-in [`crate::echo`].
    Echo,
    /// The program of that name, run as whoever the credential is of.
    GeminiCli,
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
    /// `api-key: …`
    ApiKey,
    /// `Authorization: Bearer …`, with a token that the credential, the key file of a service account, is asked for.
    GoogleServiceAccount,
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
    #[error("provider `{name}` is like `{like}`, which does not stand above it")]
    NobodyLike { name: String, like: String },
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
        for index in 0..providers.len() {
            let (above, rest) = providers.split_at_mut(index);
            if let [provider, ..] = rest {
                provider.build_profiles(usual.get(&provider.dialect), above)?;
            }
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

    pub fn speaks(&self, dialect: Dialect) -> bool {
        self.dialect == dialect || self.also.contains(&dialect)
    }

    /// The dialect in which a client's call reaches it: the client's own where it speaks that, so that nothing has to be
    /// translated.
    pub fn dialect_for(&self, client: Dialect) -> Dialect {
        if self.speaks(client) { client } else { self.dialect }
    }

    fn build_profiles(&mut self, usual: Option<&Changes>, above: &[Self]) -> Result<(), CatalogError> {
        let like = self.liked(above)?;
        let start = Profile {
            stream_options: self.stream_usage == StreamUsage::Ask,
            ..Profile::default()
        };
        let profile = [usual, like.map(|like| &like.changes), Some(&self.changes)]
            .into_iter()
            .flatten()
            .fold(start, |profile, changes| changes.applied_to(&profile));
        let inherited = like.map_or(&[][..], |like| &like.model_changes);
        self.model_changes.extend_from_slice(inherited);
        if let Some(pattern) = profile::unreachable(&self.model_changes) {
            return Err(CatalogError::Unreachable {
                name: self.name.clone(),
                pattern: pattern.to_owned(),
            });
        }
        self.profiles = Profiles::new(profile, &self.model_changes);
        Ok(())
    }

    /// The provider whose models it has.
    fn liked<'a>(&self, above: &'a [Self]) -> Result<Option<&'a Self>, CatalogError> {
        let Some(name) = &self.like else {
            return Ok(None);
        };
        let found = above.iter().find(|provider| provider.name == *name);
        found.map(Some).ok_or_else(|| CatalogError::NobodyLike {
            name: self.name.clone(),
            like: name.clone(),
        })
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
                        perplexity nvidia moonshot zai alibaba huggingface deepinfra sambanova bedrock gemini_openai \
                        gemini-cli ollama vllm lmstudio llamacpp custom echo";
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
            // Gemini's keys are Gemini's own: taken in once, they do for both.
            let is_shared = provider.name == "gemini_openai";
            // A login is no key.
            let is_login = provider.kind == ProviderKind::GeminiCli;
            assert!(
                !provider.env.is_empty() || is_shared || is_login,
                "{}",
                provider.name
            );
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
    fn a_provider_is_spoken_to_in_the_clients_dialect_where_it_knows_that() {
        let catalog = Catalog::built_in().unwrap();
        let table = [
            ("openai", Dialect::OpenaiResponses, Dialect::OpenaiResponses),
            ("openai", Dialect::OpenaiChat, Dialect::OpenaiChat),
            ("openai", Dialect::AnthropicMessages, Dialect::OpenaiChat),
            ("mistral", Dialect::OpenaiResponses, Dialect::OpenaiChat),
            ("anthropic", Dialect::OpenaiResponses, Dialect::AnthropicMessages),
            ("gemini", Dialect::GeminiGenerate, Dialect::GeminiGenerate),
        ];
        for (name, client, expected) in table {
            let provider = catalog.get(name).unwrap();
            assert_eq!(provider.dialect_for(client), expected, "{name}");
            assert_eq!(provider.speaks(client), client == expected, "{name}");
        }
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
        let like_nobody = format!("{ROW}like = \"b\"\n");
        assert!(matches!(
            Catalog::parse(&like_nobody),
            Err(CatalogError::NobodyLike { .. })
        ));
        let ftp = format!("{ROW}base_url = \"ftp://example.com\"\n");
        assert!(matches!(Catalog::parse(&ftp), Err(CatalogError::BaseUrl { .. })));
    }
}
