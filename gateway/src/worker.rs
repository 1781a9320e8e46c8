//! What serves calls on one runtime, and what it is asked.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use dialect::codec::InPath;
use dialect::embeddings::Form;
use dialect::json::Limits;
use dialect::{Counter, Dialect, Envelope, LookError};
use http::HeaderMap;
use provider::Upstreams;

use crate::call_id::CallId;
use crate::gateway::Gateway;
use crate::google::Logins;

/// What serves calls on one runtime: the shared gateway, and upstream connections of its own.
pub struct Worker {
    pub gateway: Arc<Gateway>,
    pub upstreams: Upstreams,
    /// Whose tokens the Gemini CLI is given.
    pub logins: Arc<Logins>,
}

/// One client request, as far as the way of a call needs it.
pub struct Request<'a> {
    /// The call's id, shown to the client as `x-request-id`.
    pub call_id: CallId,
    /// When the head of the request had been read.
    pub started: Instant,
    /// The gateway key as presented, if any.
    pub key: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub asked: Asked<'a>,
    /// Set as soon as it is known that a stream of events is wanted, and may be; for who does not wait for its beginning.
    pub stream_wanted: Option<&'a AtomicBool>,
}

/// What is asked, as the endpoint says.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The client's dialect.
    pub dialect: Dialect,
    pub in_path: InPath<'a>,
    pub operation: Operation,
}

/// What is to be done with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It answers.
    Generate,
    /// What it would read is counted, as this dialect counts. Nobody pays for it.
    CountTokens(Counter),
    /// It turns texts into vectors, asked for in this form.
    Embed(Form),
}

impl Operation {
    /// As OpenTelemetry's conventions call it, where they know of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Generate => "chat",
            Self::CountTokens(_) => "count_tokens",
            Self::Embed(_) => "embeddings",
        }
    }
}

impl Asked<'_> {
    /// The endpoint, without the names in it.
    pub(crate) fn route(&self) -> &'static str {
        match (self.operation, self.dialect) {
            (Operation::Generate, Dialect::OpenaiChat) => "/v1/chat/completions",
            (Operation::Generate, Dialect::OpenaiResponses) => "/v1/responses",
            (Operation::Generate, Dialect::AnthropicMessages) => "/v1/messages",
            (Operation::Generate, Dialect::GeminiGenerate) if self.in_path.stream => {
                "/v1beta/models/{model}:streamGenerateContent"
            }
            (Operation::Generate, Dialect::GeminiGenerate) => "/v1beta/models/{model}:generateContent",
            (Operation::CountTokens(Counter::AnthropicMessages), _) => "/v1/messages/count_tokens",
            (Operation::CountTokens(Counter::GeminiGenerate), _) => "/v1beta/models/{model}:countTokens",
            (Operation::Embed(Form::Openai), _) => "/v1/embeddings",
            (Operation::Embed(Form::GeminiOne | Form::VertexOne), _) => "/v1beta/models/{model}:embedContent",
            (Operation::Embed(Form::GeminiMany | Form::VertexMany), _) => {
                "/v1beta/models/{model}:batchEmbedContents"
            }
            (Operation::Embed(Form::VertexPredict), _) => "/v1beta/models/{model}:predict",
        }
    }

    /// Looks at a request.
    ///
    /// # Errors
    /// When it is no JSON object within the limits, or cannot be a request for this operation.
    pub(crate) fn look(&self, body: &[u8], limits: &Limits) -> Result<Envelope, LookError> {
        match self.operation {
            Operation::Generate => self.dialect.look(body, self.in_path, limits),
            Operation::CountTokens(counter) => counter.look(body, self.in_path, limits),
            Operation::Embed(form) => form.look(body, self.in_path, limits),
        }
    }
}
