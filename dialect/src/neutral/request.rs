//! What a client asks for.

use serde_json::value::RawValue;

use super::{Raw, Role, Tool, ToolChoice, Turn};

/// One request, whatever dialect it came in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The model name that the client asked for.
    pub model: String,
    pub stream: bool,
    /// Whether the client wants usage at the end of a stream; only Chat Completions leaves that open.
    pub stream_usage: bool,
    /// Instructions stand where the client put them: those before everything else are the leading
    /// [`Role::System`](super::Role::System) turns.
    pub turns: Vec<Turn>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called at once; `None` where the client left it open.
    pub parallel_tools: Option<bool>,
    /// The most tokens that the answer may have, reasoning included.
    pub max_tokens: Option<u64>,
    pub sampling: Sampling,
    pub thinking: Option<Thinking>,
    pub output: OutputFormat,
    pub stop: Vec<String>,
    /// How many answers; `None` is one.
    pub choices: Option<u64>,
    /// Whether log-probabilities are wanted, and of how many alternatives for each token.
    pub logprobs: Option<u64>,
    pub service_tier: Option<ServiceTier>,
    /// By which the caller tells its own users apart. It goes to no other vendor as it is: a crossing puts an opaque name
    /// in its place first.
    pub user: Option<String>,
    /// Pairs that the caller wants to find again; kept by the gateway, sent to nobody in another dialect.
    pub metadata: Vec<(String, String)>,
    /// A mark for a prompt cache over the whole request (Anthropic's top-level `cache_control`).
    pub cache: Option<CacheMark>,
    /// Whether the client has its tools as `functions`, as before there were tools: its answer tells of one call, in the
    /// words of that time.
    pub has_functions: bool,
    /// Whether the model's own words at the end of the conversation are to be answered, as OpenAI's dialects mean it: in others
    /// they are the beginning of the answer, to be gone on with.
    pub answers_anew: bool,
    /// Members that have no slot here.
    pub raw: Vec<Raw>,
}

impl Request {
    /// Whether the last of the conversation is what the model said.
    pub fn ends_with_answer(&self) -> bool {
        self.turns.last().is_some_and(|turn| turn.role == Role::Assistant)
    }
}

/// How the next token is drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<u64>,
    pub seed: Option<i64>,
    pub frequency_penalty: Option<f64>,
    pub presence_penalty: Option<f64>,
}

/// How much the model shall think before it answers, and whether it shall show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thinking {
    pub amount: ThinkingAmount,
    /// Whether the client wants to see the thoughts or a summary; `None` where it left that open.
    pub show: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThinkingAmount {
    /// As much as the model likes (Anthropic's `adaptive`, Gemini's budget -1).
    Free,
    Effort(Effort),
    /// Tokens.
    Budget(u64),
}

/// The union of what vendors call effort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
    Other(String),
}

impl ThinkingAmount {
    /// Whether the client has said how much, and does not leave that to the model.
    pub(crate) fn is_chosen(&self) -> bool {
        *self != Self::Free
    }
}

impl Request {
    /// Whether a call of a tool is wanted for certain.
    pub(crate) fn forces_call(&self) -> bool {
        self.tool_choice.as_ref().is_some_and(ToolChoice::is_forced)
    }
}

impl Effort {
    /// By OpenAI's word for it.
    pub(crate) fn of_word(word: &str) -> Self {
        match word {
            "none" => Self::None,
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::Xhigh,
            "max" => Self::Max,
            other => Self::Other(other.to_owned()),
        }
    }

    /// OpenAI's word for it.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
            Self::Other(word) => word,
        }
    }

    /// What a budget of thoughts comes to, where only words are taken.
    pub(crate) fn of_budget(tokens: u64) -> Self {
        match tokens {
            0 => Self::None,
            1..4_096 => Self::Low,
            4_096..12_288 => Self::Medium,
            _ => Self::High,
        }
    }
}

/// What form the answer must have.
#[derive(Debug, Clone, Default)]
pub enum OutputFormat {
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    JsonSchema {
        /// Where the dialect wants a name.
        name: Option<String>,
        description: Option<String>,
        /// As the client wrote it.
        schema: Box<RawValue>,
        strict: Option<bool>,
    },
}

/// A place up to which a prompt cache shall reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheMark {
    /// How long it shall be kept, as Anthropic spells it (`5m`, `1h`); `None` for the vendor's default.
    pub ttl: Option<String>,
}

/// How fast, and at what price, the provider shall answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceTier {
    Auto,
    Standard,
    Flex,
    Priority,
    Other(String),
}

impl PartialEq for OutputFormat {
    fn eq(&self, other: &Self) -> bool {
        let fields = |format: &Self| match format {
            Self::JsonSchema {
                name,
                description,
                schema,
                strict,
            } => Some((
                name.clone(),
                description.clone(),
                schema.get().to_owned(),
                *strict,
            )),
            Self::Text | Self::JsonObject => None,
        };
        std::mem::discriminant(self) == std::mem::discriminant(other) && fields(self) == fields(other)
    }
}
