//! To whom a request is written: the model, and what it and its provider can do.

use serde::Deserialize;

/// Where a request goes, as far as writing it depends on that.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// What the provider calls the model.
    pub model: &'a str,
    pub profile: &'a Profile,
}

/// What a model of a provider takes and how it spells it. Data of the catalogue; the default is the dialect's own
/// document, for a current model of the vendor who made the dialect.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// The most tokens that an answer can have. Anthropic's dialect must name a number.
    pub max_tokens: u64,
    pub max_tokens_name: MaxTokensName,
    pub thinking: ThinkingStyle,
    /// Whether temperature, top_p and top_k are taken at all.
    pub sampling: bool,
    /// Whether a schema for the answer is taken natively.
    pub json_schema: bool,
    /// Whether a schema for the answer is taken together with tools.
    pub json_schema_with_tools: bool,
    /// Whether instructions may stand in the middle of a conversation.
    pub system_anywhere: bool,
    /// Whether a conversation may end with the beginning of the answer.
    pub prefill: bool,
    /// Whether `parallel_tool_calls` and its like are taken.
    pub parallel_tools: bool,
    /// Whether `stream_options.include_usage` is taken.
    pub stream_options: bool,
    /// Where an OpenAI-like provider has reasoning, both ways.
    pub reasoning: ReasoningField,
    /// Whether visible thoughts stand in the text between `<think>` and `</think>`.
    pub think_tags: bool,
    /// Whether images may be named by URL.
    pub image_urls: bool,
    /// Whether JSON schemas are taken as they are (`parametersJsonSchema` of Gemini).
    pub full_json_schema: bool,
    /// How an OpenAI-like provider is told up to where its prompt cache shall reach.
    pub cache_marks: CacheMarks,
    /// Whether tools with free text for input (`custom`) are taken.
    pub free_text_tools: bool,
    /// Whether signatures of thoughts stand in `extra_content.google`, both ways (Gemini's OpenAI endpoint).
    pub extra_content: bool,
    pub call_ids: CallIds,
}

/// The member by which a part or a tool of an OpenAI-like request is marked for the prompt cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMarks {
    /// It caches by itself, or not at all.
    None,
    /// `cache_control`, as Anthropic spells it (OpenRouter, LiteLLM)
    CacheControl,
    /// `prompt_cache_breakpoint` (OpenAI from GPT-5.6 on)
    Breakpoint,
}

/// What ids of tool calls an OpenAI-like provider takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallIds {
    /// Up to 40 letters, digits, `_` and `-`.
    Usual,
    /// Nine letters or digits (Mistral).
    Nine,
}

/// How an OpenAI-like provider spells the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensName {
    MaxCompletionTokens,
    MaxTokens,
}

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ThinkingStyle {
    /// It does not think, or not on demand.
    None,
    /// By a word of effort (OpenAI; Anthropic's `adaptive` with `output_config.effort`; Gemini 3's `thinkingLevel`).
    Effort,
    /// By a number of tokens (`budget_tokens`, `thinkingBudget`), at least and at most this many.
    Budget { min: u64, max: u64, can_be_off: bool },
}

/// The member of a message, and of a chunk, in which an OpenAI-like provider has its thoughts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningField {
    None,
    /// `reasoning_content` (DeepSeek, xAI, Z.ai, Alibaba, Moonshot)
    ReasoningContent,
    /// `reasoning` (Groq)
    Reasoning,
    /// `reasoning_details`, with signatures (OpenRouter)
    ReasoningDetails,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            max_tokens: 32_768,
            max_tokens_name: MaxTokensName::MaxCompletionTokens,
            thinking: ThinkingStyle::Effort,
            sampling: true,
            json_schema: true,
            json_schema_with_tools: true,
            system_anywhere: true,
            prefill: false,
            parallel_tools: true,
            stream_options: true,
            reasoning: ReasoningField::None,
            think_tags: false,
            image_urls: true,
            full_json_schema: true,
            cache_marks: CacheMarks::None,
            free_text_tools: true,
            extra_content: false,
            call_ids: CallIds::Usual,
        }
    }
}
