//! The forms of embeddings, found by their name.

use super::{EmbeddingReply, EmbeddingRequest, gemini, openai, vertex};
use crate::Dialect;
use crate::codec::InPath;
use crate::envelope::Envelope;
use crate::json::{Limits, scan};
use crate::look::{LookError, hold_to_limits, is_a_name, model_name, refuse_forbidden, refuse_unstorable};
use crate::neutral::{BadAnswer, Losses};
use crate::refusal::Refusal;

/// How embeddings are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `POST /v1/embeddings`
    Openai,
    /// `:embedContent`
    GeminiOne,
    /// `:batchEmbedContents`
    GeminiMany,
    /// The same two at Vertex AI, where no model stands in the requests and what is wanted has a member of its own. No
    /// client asks so here.
    VertexOne,
    VertexMany,
    /// `:predict` of Vertex AI
    VertexPredict,
}

/// How a provider is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    As(Form),
    /// Depending on the model, and on how many vectors are wanted.
    Vertex,
}

impl Manner {
    pub(crate) fn form(self, model: &str, request: &EmbeddingRequest) -> Form {
        match self {
            Self::As(form) => form,
            Self::Vertex => Form::of_vertex(model, request.inputs.len()),
        }
    }
}

impl Form {
    /// How providers of this dialect are asked for them, if they have any.
    pub fn of(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => Some(Self::Openai),
            Dialect::GeminiGenerate => Some(Self::GeminiMany),
            Dialect::AnthropicMessages => None,
        }
    }

    /// Whether the two are of one vendor, so that requests and answers pass as they came.
    pub fn is_of(self, dialect: Dialect) -> bool {
        match self {
            Self::Openai => matches!(dialect, Dialect::OpenaiChat | Dialect::OpenaiResponses),
            Self::GeminiOne | Self::GeminiMany => dialect == Dialect::GeminiGenerate,
            Self::VertexOne | Self::VertexMany | Self::VertexPredict => false,
        }
    }

    /// Looks at a request.
    ///
    /// # Errors
    /// When it is no JSON object within the limits, lacks what is to be embedded, or has a member that is not allowed.
    pub fn look(self, body: &[u8], in_path: InPath<'_>, limits: &Limits) -> Result<Envelope, LookError> {
        let object = scan(body, limits)?;
        if self == Self::Openai {
            let (model, model_at) = model_name(body, &object)?;
            refuse_unstorable(body, &object, &["user"])?;
            object.get("input").ok_or(LookError::Missing("input"))?;
            return Ok(Envelope::new(body, model, Some(model_at)));
        }
        refuse_forbidden(&object)?;
        if !is_a_name(in_path.model) {
            return Err(LookError::Invalid("model"));
        }
        if self == Self::GeminiMany {
            hold_to_limits(body, &object, "requests")?;
        } else {
            object.get("content").ok_or(LookError::Missing("content"))?;
        }
        Ok(Envelope::new(body, in_path.model.to_owned(), None))
    }

    /// Reads a client's request.
    ///
    /// # Errors
    /// When it is none.
    pub fn read_request(
        self,
        body: &[u8],
        in_path: InPath<'_>,
        losses: &mut Losses,
    ) -> Result<EmbeddingRequest, Refusal> {
        match self {
            Self::Openai => openai::read_request(body, losses),
            Self::GeminiOne | Self::VertexOne => gemini::read_request(body, in_path.model, false),
            Self::GeminiMany | Self::VertexMany | Self::VertexPredict => {
                gemini::read_request(body, in_path.model, true)
            }
        }
    }

    /// Writes a request for a provider.
    ///
    /// # Errors
    /// When something of it cannot be said in this form.
    pub fn write_request(
        self,
        request: &EmbeddingRequest,
        model: &str,
        losses: &mut Losses,
    ) -> Result<Vec<u8>, Refusal> {
        match self {
            Self::Openai => openai::write_request(request, model, losses),
            Self::GeminiOne => gemini::write_single(request, 0),
            Self::GeminiMany => gemini::write_request(request, model, losses),
            Self::VertexOne => vertex::write_one(request, losses),
            Self::VertexMany => vertex::write_many(request, model, losses),
            Self::VertexPredict => vertex::write_predict(request, losses),
        }
    }

    /// Reads a provider's answer.
    ///
    /// # Errors
    /// When it is none.
    pub fn read_reply(self, body: &[u8]) -> Result<EmbeddingReply, BadAnswer> {
        match self {
            Self::Openai => openai::read_reply(body),
            Self::GeminiOne | Self::GeminiMany | Self::VertexOne | Self::VertexMany | Self::VertexPredict => {
                gemini::read_reply(body)
            }
        }
    }

    /// Writes an answer to this request, in whose form it came.
    pub fn write_reply(self, reply: &EmbeddingReply, request: &EmbeddingRequest) -> Vec<u8> {
        match self {
            Self::Openai => openai::write_reply(reply, request.encoding, &request.model),
            Self::GeminiOne | Self::VertexOne => gemini::write_reply(reply, false),
            Self::GeminiMany | Self::VertexMany | Self::VertexPredict => gemini::write_reply(reply, true),
        }
    }
}
