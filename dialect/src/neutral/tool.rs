//! Tools: what may be called, what was called, and what came of it.

use serde_json::value::RawValue;

use super::request::CacheMark;
use super::{Part, Raw, Seal};

/// A tool that the model may call and the client runs.
#[derive(Debug, Clone)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    pub kind: ToolKind,
    pub cache: Option<CacheMark>,
    /// Members that have no slot here.
    pub raw: Vec<Raw>,
}

#[derive(Debug, Clone)]
pub enum ToolKind {
    /// Arguments after a JSON schema, as the client wrote it; `None` for a tool without parameters.
    Function {
        schema: Option<Box<RawValue>>,
        /// Whether the vendor has to hold the model to the schema; `None` where the client left it open.
        strict: Option<bool>,
    },
    /// One free text, perhaps after a grammar (`custom` of OpenAI; the grammar as its `format` is written).
    FreeText { format: Option<Box<RawValue>> },
    /// A tool that the vendor runs (search, code, a computer, MCP): the whole definition, which only its dialect knows.
    Server(Raw),
}

/// Whether, and what, the model has to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    Auto,
    /// At least one call.
    Required,
    None,
    /// This tool.
    Tool(String),
    /// Only these, freely or at least one of them.
    Among {
        names: Vec<String>,
        required: bool,
    },
}

impl ToolChoice {
    /// Whether the client wants a call for certain.
    pub fn is_forced(&self) -> bool {
        matches!(
            self,
            Self::Required | Self::Tool(_) | Self::Among { required: true, .. }
        )
    }
}

/// The model asks the client to run a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// Never empty: where the vendor gave none, the reader makes one.
    pub id: String,
    /// Whether the vendor itself gave the id (Gemini often gives none, and wants none back then).
    pub id_is_ours: bool,
    pub name: String,
    pub arguments: Arguments,
    /// Gemini signs calls.
    pub seal: Option<Seal>,
    pub cache: Option<CacheMark>,
    /// Members that have no slot here.
    pub raw: Vec<Raw>,
}

/// What a tool is called with, as the model wrote it: spelling and order of members decide whether a prompt cache hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// JSON, meant to be an object. Models write broken JSON at times, so it need not be; empty stands for `{}`.
    Json(String),
    /// The input of a free-text tool.
    Text(String),
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The call's id.
    pub call_id: String,
    /// The tool's name, where the dialect tells it here (Gemini); readers of other dialects find it by the call's id.
    pub name: Option<String>,
    /// Text and media. Gemini's `response` object stands here as one text holding its JSON.
    pub parts: Vec<Part>,
    pub is_error: bool,
    /// Whether it answers a free-text tool.
    pub is_free_text: bool,
    pub cache: Option<CacheMark>,
    /// Members that have no slot here.
    pub raw: Vec<Raw>,
}

impl Tool {
    /// The schema as text, where there is one.
    pub fn schema_text(&self) -> Option<&str> {
        match &self.kind {
            ToolKind::Function { schema, .. } => schema.as_ref().map(|schema| schema.get()),
            ToolKind::FreeText { .. } | ToolKind::Server(_) => None,
        }
    }
}

impl PartialEq for ToolKind {
    fn eq(&self, other: &Self) -> bool {
        let text = |raw: &Option<Box<RawValue>>| raw.as_ref().map(|raw| raw.get().to_owned());
        match (self, other) {
            (Self::Function { schema: a, strict: b }, Self::Function { schema: c, strict: d }) => {
                text(a) == text(c) && b == d
            }
            (Self::FreeText { format: a }, Self::FreeText { format: b }) => text(a) == text(b),
            (Self::Server(a), Self::Server(b)) => a == b,
            _ => false,
        }
    }
}

impl PartialEq for Tool {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.description == other.description
            && self.kind == other.kind
            && self.cache == other.cache
            && self.raw == other.raw
    }
}
