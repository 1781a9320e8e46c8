//! Turns, and the parts of which they are made.

use super::Raw;
use super::request::CacheMark;
use super::tool::{ToolCall, ToolResult};
use crate::Dialect;

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Instructions by whoever built the application, wherever in the conversation they stand (`system`, `developer`).
    System,
    User,
    Assistant,
    /// A role that no document names; as it was spelled.
    Other(String),
}

/// Consecutive parts by one speaker. Results of tools are parts of a [`Role::User`] turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    pub role: Role,
    /// The speaker's name, where the dialect has one (`name` of a Chat Completions message).
    pub name: Option<String>,
    pub parts: Vec<Part>,
    /// Members of the message that have no slot here.
    pub raw: Vec<Raw>,
}

/// One piece of a turn or of an answer. The order of parts means something and is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(Text),
    /// The model's own refusal, in its words.
    Refusal(String),
    Reasoning(Reasoning),
    Media(Media),
    ToolCall(ToolCall),
    ToolResult(ToolResult),
    /// A part that only its own dialect understands: server tools, search results, compactions, what is yet to come.
    Raw(Raw),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text {
    pub text: String,
    pub citations: Vec<Citation>,
    pub cache: Option<CacheMark>,
    /// Gemini signs texts too.
    pub seal: Option<Seal>,
}

/// What the model thought, as far as its vendor shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reasoning {
    /// Shown text, or a summary of it; empty where the vendor shows none. One entry for each piece that the vendor keeps
    /// apart (the Responses API's summary parts); most have one.
    pub texts: Vec<String>,
    /// Whether the texts are a summary, and not the thoughts themselves.
    pub is_summary: bool,
    /// The vendor's proof of what was thought, without which the next turn is refused.
    pub seal: Option<Seal>,
    /// Anthropic's `redacted_thinking`: there is no text, and the seal is all.
    pub redacted: bool,
    /// The item's id, where the vendor gives one (`rs_…`).
    pub id: Option<String>,
}

/// An opaque text that a vendor wants back as it gave it: a thinking signature, encrypted reasoning, a thought signature.
///
/// It is worth something to that vendor alone, and is never shown to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The dialect of the vendor that made it.
    pub origin: Dialect,
    pub data: String,
}

/// An image, a document, a sound or a film.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    pub kind: MediaKind,
    pub source: MediaSource,
    /// `image/png` and so on; `None` where only the bytes would tell.
    pub media_type: Option<String>,
    /// A file's name, or a document's title.
    pub name: Option<String>,
    /// How closely to look at an image (`low`, `high`, `auto`), as OpenAI spells it.
    pub detail: Option<String>,
    pub cache: Option<CacheMark>,
    /// Members that have no slot here.
    pub raw: Vec<Raw>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    Image,
    Document,
    Audio,
    Video,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaSource {
    /// Standard base64 with padding, without white space (RFC 4648, section 4).
    Base64(String),
    /// Plain text that is shown as a document.
    Text(String),
    /// Never fetched by the gateway: passed on where the provider fetches it, else refused.
    Url(String),
    /// A file that the caller has stored with the vendor of this dialect.
    File { origin: Dialect, id: String },
}

/// Where a piece of an answer comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Citation {
    /// A page of the web. Where the text that it stands for begins and ends is counted in characters (Unicode scalar
    /// values) of the part's text, whatever the dialect counts.
    Url {
        url: String,
        title: Option<String>,
        start: Option<usize>,
        end: Option<usize>,
    },
    /// Any other, as its dialect writes it.
    Raw(Raw),
}

impl Text {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

impl Part {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text::new(text))
    }
}

impl Turn {
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self {
            role,
            name: None,
            parts,
            raw: Vec::new(),
        }
    }
}
