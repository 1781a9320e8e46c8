//! Where at a provider a request goes: the path and the query that follow its base URL.

use std::borrow::Cow;

use dialect::Dialect;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::base_url::BaseUrl;
use crate::catalog::{Embeds, Provider};

/// A path with its query, such as `/models/gemini-3-pro:streamGenerateContent?alt=sse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Cow<'static, str>);

/// What a provider is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// An answer of the model's.
    Generate { stream: bool },
    /// The same as a stream that is one array, which only Gemini has.
    GenerateArray,
    /// How many tokens a request has.
    CountTokens,
    /// Texts as vectors.
    Embed,
    /// One text as a vector, for which Gemini has an endpoint of its own.
    EmbedOne,
    /// Texts as vectors in Vertex AI's older way.
    Predict,
}

/// There is no such place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("the provider has no endpoint for this")]
    NoSuchOperation,
    #[error("the name of the model cannot stand in a path")]
    ModelName,
}

/// What stays as it is in a segment of a path (RFC 3986), and the `@` before versions.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'@');
/// What means something in a path, also to servers that decode it first. No model is called so.
const OF_PATHS: [char; 6] = ['/', '\\', ':', '%', '?', '#'];

impl Endpoint {
    /// The place at `provider`, spoken to in `dialect`. What the base URL says about the version of the API goes along.
    ///
    /// # Errors
    /// When the provider does no such thing, or the path holds the model and its name could make another path of it.
    pub fn of(
        provider: &Provider,
        base_url: &BaseUrl,
        dialect: Dialect,
        operation: Operation,
        model: &str,
    ) -> Result<Self, EndpointError> {
        let embeds = matches!(
            operation,
            Operation::Embed | Operation::EmbedOne | Operation::Predict
        );
        if embeds && provider.embeds == Embeds::None {
            return Err(EndpointError::NoSuchOperation);
        }
        let path = path(dialect, operation, model)?;
        if let Some(usual) = &provider.api_version {
            return azure(base_url, dialect, path, usual, model);
        }
        Ok(Self(with_version(path, base_url.api_version())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn path(dialect: Dialect, operation: Operation, model: &str) -> Result<Cow<'static, str>, EndpointError> {
    use Operation::{CountTokens, Embed, EmbedOne, Generate, GenerateArray, Predict};
    let fixed = match (dialect, operation) {
        (Dialect::OpenaiChat, Generate { .. } | GenerateArray) => "/chat/completions",
        (Dialect::OpenaiResponses, Generate { .. } | GenerateArray) => "/responses",
        (Dialect::OpenaiChat | Dialect::OpenaiResponses, Embed | EmbedOne) => "/embeddings",
        (Dialect::AnthropicMessages, Generate { .. } | GenerateArray) => "/messages",
        (Dialect::AnthropicMessages, CountTokens) => "/messages/count_tokens",
        (Dialect::GeminiGenerate, operation) => return gemini(operation, model),
        (Dialect::OpenaiChat | Dialect::OpenaiResponses, CountTokens)
        | (Dialect::OpenaiChat | Dialect::OpenaiResponses, Predict)
        | (Dialect::AnthropicMessages, Embed | EmbedOne | Predict) => {
            return Err(EndpointError::NoSuchOperation);
        }
    };
    Ok(Cow::Borrowed(fixed))
}

fn gemini(operation: Operation, model: &str) -> Result<Cow<'static, str>, EndpointError> {
    let method = match operation {
        Operation::Generate { stream: false } => "generateContent",
        Operation::Generate { stream: true } => "streamGenerateContent?alt=sse",
        Operation::GenerateArray => "streamGenerateContent",
        Operation::CountTokens => "countTokens",
        Operation::Embed => "batchEmbedContents",
        Operation::EmbedOne => "embedContent",
        Operation::Predict => "predict",
    };
    Ok(Cow::Owned(format!("/models/{}:{method}", segment(model)?)))
}

/// Azure has two surfaces. The newer one is OpenAI's own under `/openai/v1`; whoever means it says so in the base URL. In
/// the other, each deployment of a model has a path of its own, and a version is always named; it has no Responses, which
/// are therefore asked for at the newer one.
fn azure(
    base_url: &BaseUrl,
    dialect: Dialect,
    path: Cow<'static, str>,
    usual_version: &str,
    model: &str,
) -> Result<Endpoint, EndpointError> {
    let base = base_url.path();
    if base.ends_with("/openai/v1") {
        return Ok(Endpoint(with_version(path, base_url.api_version())));
    }
    let root = if base.ends_with("/openai") { "" } else { "/openai" };
    if dialect == Dialect::OpenaiResponses {
        return Ok(Endpoint(Cow::Owned(format!("{root}/v1{path}"))));
    }
    let path = format!("{root}/deployments/{}{path}", segment(model)?);
    let version = base_url.api_version().unwrap_or(usual_version);
    Ok(Endpoint(with_version(Cow::Owned(path), Some(version))))
}

fn with_version(path: Cow<'static, str>, version: Option<&str>) -> Cow<'static, str> {
    let Some(version) = version else { return path };
    let mark = if path.contains('?') { '&' } else { '?' };
    Cow::Owned(format!("{path}{mark}api-version={version}"))
}

/// A model's name as one segment of a path.
fn segment(model: &str) -> Result<String, EndpointError> {
    let is_odd = |letter: char| letter.is_control() || OF_PATHS.contains(&letter);
    // Also refuses the empty name.
    if model.chars().all(|letter| letter == '.') || model.contains(is_odd) {
        return Err(EndpointError::ModelName);
    }
    Ok(utf8_percent_encode(model, SEGMENT).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base_url::Trust;
    use crate::catalog::Catalog;

    const WHOLE: Operation = Operation::Generate { stream: false };
    const STREAM: Operation = Operation::Generate { stream: true };

    /// The URL that comes of it, or why there is none.
    fn url(
        provider: &str,
        base_url: Option<&str>,
        dialect: Dialect,
        operation: Operation,
        model: &str,
    ) -> Result<String, EndpointError> {
        let catalog = Catalog::built_in().unwrap();
        let provider = catalog.get(provider).unwrap();
        let text = base_url.or(provider.base_url.as_deref()).unwrap();
        let base_url = BaseUrl::parse(text, Trust::Operator).unwrap();
        let endpoint = Endpoint::of(provider, &base_url, dialect, operation, model)?;
        let target = base_url.target(endpoint.as_str()).unwrap();
        Ok(base_url.with_path_of(&target).to_string())
    }

    #[test]
    fn each_dialect_has_its_endpoints() {
        use Dialect::{AnthropicMessages, GeminiGenerate, OpenaiChat, OpenaiResponses};
        use Operation::{CountTokens, Embed, EmbedOne, GenerateArray as Array};
        let gemini = "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-pro";
        #[rustfmt::skip]
        let table = [
            ("openai",     OpenaiChat,        STREAM,      "gpt-5",          "https://api.openai.com/v1/chat/completions".to_owned()),
            ("openai",     OpenaiResponses,   WHOLE,       "gpt-5",          "https://api.openai.com/v1/responses".to_owned()),
            ("openai",     OpenaiChat,        Embed,       "x",              "https://api.openai.com/v1/embeddings".to_owned()),
            ("groq",       OpenaiChat,        WHOLE,       "openai/gpt-oss", "https://api.groq.com/openai/v1/chat/completions".to_owned()),
            ("deepseek",   OpenaiResponses,   WHOLE,       "deepseek-v4",    "https://api.deepseek.com/responses".to_owned()),
            ("perplexity", OpenaiChat,        WHOLE,       "sonar",          "https://api.perplexity.ai/chat/completions".to_owned()),
            ("anthropic",  AnthropicMessages, STREAM,      "claude-opus-5",  "https://api.anthropic.com/v1/messages".to_owned()),
            ("anthropic",  AnthropicMessages, CountTokens, "claude-opus-5",  "https://api.anthropic.com/v1/messages/count_tokens".to_owned()),
            ("gemini",     GeminiGenerate,    WHOLE,       "gemini-3-pro",   format!("{gemini}:generateContent")),
            ("gemini",     GeminiGenerate,    STREAM,      "gemini-3-pro",   format!("{gemini}:streamGenerateContent?alt=sse")),
            ("gemini",     GeminiGenerate,    CountTokens, "gemini-3-pro",   format!("{gemini}:countTokens")),
            ("gemini",     GeminiGenerate,    Embed,       "gemini-3-pro",   format!("{gemini}:batchEmbedContents")),
            ("gemini",     GeminiGenerate,    EmbedOne,    "gemini-3-pro",   format!("{gemini}:embedContent")),
            ("gemini",     GeminiGenerate,    Array,       "gemini-3-pro",   format!("{gemini}:streamGenerateContent")),
        ];
        for (provider, dialect, operation, model, expected) in table {
            assert_eq!(url(provider, None, dialect, operation, model), Ok(expected));
        }
        for (dialect, operation) in [
            (AnthropicMessages, Embed),
            (OpenaiChat, CountTokens),
            (OpenaiResponses, CountTokens),
        ] {
            let nowhere = url("openai", None, dialect, operation, "m");
            assert_eq!(nowhere, Err(EndpointError::NoSuchOperation));
        }
    }

    #[test]
    fn a_name_stays_one_segment_of_the_path_or_is_refused() {
        let path = |model| {
            url(
                "gemini",
                Some("https://h/v1"),
                Dialect::GeminiGenerate,
                WHOLE,
                model,
            )
        };
        let fine = [
            ("gemini-1.5-pro@001", "gemini-1.5-pro@001"),
            ("a b", "a%20b"),
            ("a&alt=json;x", "a%26alt%3Djson%3Bx"),
            ("mödel", "m%C3%B6del"),
            ("...x", "...x"),
        ];
        for (model, segment) in fine {
            let expected = format!("https://h/v1/models/{segment}:generateContent");
            assert_eq!(path(model), Ok(expected));
        }
        let odd = [
            "",
            ".",
            "..",
            "../files",
            "a/b",
            "a\\b",
            "a%2fb",
            "a?b",
            "a#b",
            "a:countTokens",
            "a\nb",
            "a\0b",
            "a\u{85}b",
        ];
        for model in odd {
            assert_eq!(path(model), Err(EndpointError::ModelName), "{model:?}");
        }
        // Where the path does not hold it, any name will do.
        assert!(url("groq", None, Dialect::OpenaiChat, WHOLE, "openai/gpt-oss:free").is_ok());
    }

    #[test]
    fn azure_has_a_path_for_each_deployment_and_a_newer_surface_without() {
        use Dialect::{OpenaiChat, OpenaiResponses};
        let resource = "https://r.openai.azure.com";
        let table = [
            (
                "",
                OpenaiChat,
                "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
            ),
            (
                "/",
                OpenaiChat,
                "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
            ),
            (
                "/openai",
                OpenaiChat,
                "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
            ),
            (
                "/openai/?api-version=2025-04-01-preview",
                OpenaiChat,
                "/openai/deployments/my%20gpt/chat/completions?api-version=2025-04-01-preview",
            ),
            ("/openai/v1", OpenaiChat, "/openai/v1/chat/completions"),
            ("/openai/v1/", OpenaiResponses, "/openai/v1/responses"),
            (
                "/openai/v1/?api-version=preview",
                OpenaiChat,
                "/openai/v1/chat/completions?api-version=preview",
            ),
            ("", OpenaiResponses, "/openai/v1/responses"),
            ("?api-version=2024-06-01", OpenaiResponses, "/openai/v1/responses"),
            ("/openai", OpenaiResponses, "/openai/v1/responses"),
        ];
        for (base, dialect, expected) in table {
            let found = url(
                "azure",
                Some(&format!("{resource}{base}")),
                dialect,
                STREAM,
                "my gpt",
            );
            assert_eq!(found, Ok(format!("{resource}{expected}")), "{base}");
        }
        let embeddings = url("azure", Some(resource), OpenaiChat, Operation::Embed, "e");
        let expected = "/openai/deployments/e/embeddings?api-version=2024-10-21";
        assert_eq!(embeddings, Ok(format!("{resource}{expected}")));
        for model in ["../x", "a/b", "a?b"] {
            let refused = url("azure", Some(resource), OpenaiChat, WHOLE, model);
            assert_eq!(refused, Err(EndpointError::ModelName));
        }
    }
}
