//! To whom a request is written: the model, and what it and its provider can do.

use std::borrow::Cow;

use serde::Deserialize;

use super::request::{Effort, Request};
use super::texts::Texts;

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
    /// So many tokens are for input and cap together, and a request for more is refused.
    pub shared_window: Option<u64>,
    pub max_tokens_name: MaxTokensName,
    pub thinking: ThinkingStyle,
    /// Which words of effort are taken.
    pub efforts: Efforts,
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
    /// Whether a call of a tool can be forced while the model thinks.
    pub forced_calls_with_thinking: bool,
    /// Whether several answers can be asked for at once.
    pub several_answers: bool,
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
    /// Whether members of a request are taken that only OpenAI's dialects have in common (`prompt_cache_key`, `verbosity`).
    pub openai_members: bool,
    /// Whether the provider can be told by whom of the caller's own users it is asked (`user`, `metadata.user_id`, or a
    /// label of Vertex's).
    pub user: bool,
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

/// A set of words of effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<EffortWord>")]
pub struct Efforts(u8);

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EffortWord {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
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

impl Efforts {
    pub const ALL: Self = Self(0x7f);
    /// From the least to the most.
    const WORDS: [Effort; 7] = [
        Effort::None,
        Effort::Minimal,
        Effort::Low,
        Effort::Medium,
        Effort::High,
        Effort::Xhigh,
        Effort::Max,
    ];

    /// What to ask for where this much is wanted: the same, or else the next less that is taken, or else the least. Only
    /// who wants no thoughts at all is given none. A word that nobody knows yet is the vendor's to judge.
    pub fn fit(self, wanted: &Effort) -> Cow<'_, Effort> {
        let as_it_is = Cow::Borrowed(wanted);
        let Some(place) = Self::WORDS.iter().position(|word| word == wanted) else {
            return as_it_is;
        };
        let taken = |place: &usize| self.0 & (1 << place) != 0;
        if taken(&place) {
            return as_it_is;
        }
        let less = (1..place).rev().find(taken);
        let found = less.or_else(|| (1..Self::WORDS.len()).find(taken));
        found
            .and_then(|place| Self::WORDS.get(place))
            .map_or(as_it_is, |word| Cow::Owned(word.clone()))
    }
}

impl From<Vec<EffortWord>> for Efforts {
    fn from(words: Vec<EffortWord>) -> Self {
        Self(words.into_iter().fold(0, |set, word| set | 1 << word as u8))
    }
}

/// What a token has of text at least, as a rule: who has to leave room for an input takes it for more than it may be.
const BYTES_OF_A_SHORT_TOKEN: u64 = 3;
/// What a turn, a tool or a call has around it, and what an image is at most.
const FRAME_TOKENS: u64 = 16;
const MEDIA_TOKENS: u64 = 1_600;

impl Profile {
    /// The most tokens that an answer to this can have; where the input takes its share of the same window, what that
    /// leaves.
    pub fn cap_for(&self, request: &Request) -> u64 {
        let Some(window) = self.shared_window else {
            return self.max_tokens;
        };
        let texts = Texts::of(request);
        let input = (texts.bytes() / BYTES_OF_A_SHORT_TOKEN)
            .saturating_add(texts.frames.saturating_mul(FRAME_TOKENS))
            .saturating_add(texts.media.saturating_mul(MEDIA_TOKENS));
        self.max_tokens.min(window.saturating_sub(input)).max(1)
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            max_tokens: 32_768,
            shared_window: None,
            max_tokens_name: MaxTokensName::MaxCompletionTokens,
            thinking: ThinkingStyle::Effort,
            efforts: Efforts::ALL,
            sampling: true,
            json_schema: true,
            json_schema_with_tools: true,
            system_anywhere: true,
            prefill: false,
            parallel_tools: true,
            forced_calls_with_thinking: true,
            several_answers: true,
            stream_options: true,
            reasoning: ReasoningField::None,
            think_tags: false,
            image_urls: true,
            full_json_schema: true,
            cache_marks: CacheMarks::None,
            free_text_tools: true,
            extra_content: false,
            call_ids: CallIds::Usual,
            openai_members: true,
            user: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_that_is_not_taken_becomes_the_next_less_or_the_least() {
        use Effort::{High, Low, Max, Medium, Minimal, None, Xhigh};
        let set = |json: &str| serde_json::from_str::<Efforts>(json).unwrap();
        let three = set(r#"["low","medium","high"]"#);
        let off_or_high = set(r#"["none","high"]"#);
        let table = [
            (three, None, Low),
            (three, Minimal, Low),
            (three, Medium, Medium),
            (three, Xhigh, High),
            (three, Max, High),
            (off_or_high, None, None),
            (off_or_high, Minimal, High),
            (off_or_high, Low, High),
            (off_or_high, Max, High),
            (Efforts::ALL, Xhigh, Xhigh),
            (Efforts::ALL, None, None),
            (set("[]"), Low, Low),
            (
                three,
                Effort::Other("ultra".to_owned()),
                Effort::Other("ultra".to_owned()),
            ),
        ];
        for (efforts, wanted, expected) in table {
            assert_eq!(efforts.fit(&wanted).as_ref(), &expected, "{efforts:?} {wanted:?}");
        }
        assert!(serde_json::from_str::<Efforts>(r#"["much"]"#).is_err());
    }

    #[test]
    fn each_writer_asks_for_what_the_model_takes_and_tells_what_it_changed() {
        use crate::neutral::{Losses, Part, Request, Role, Thinking, ThinkingAmount, Turn, Written};
        use crate::{anthropic_messages, gemini_generate, openai_chat, openai_responses};
        type Write = fn(&Request, &Target<'_>, &mut Losses) -> Result<Written, crate::refusal::Refusal>;
        let profile = Profile {
            efforts: serde_json::from_str(r#"["low","high"]"#).unwrap(),
            ..Profile::default()
        };
        let writers: [(Write, &str); 4] = [
            (openai_chat::write_request, "/reasoning_effort"),
            (openai_responses::write_request, "/reasoning/effort"),
            (anthropic_messages::write_request, "/output_config/effort"),
            (
                gemini_generate::write_request,
                "/generationConfig/thinkingConfig/thinkingLevel",
            ),
        ];
        for (write, place) in writers {
            for (wanted, told, is_lost) in [
                (Effort::None, "low", true),
                (Effort::Medium, "low", true),
                (Effort::High, "high", false),
                (Effort::Max, "high", true),
            ] {
                let request = Request {
                    turns: vec![Turn::new(Role::User, vec![Part::text("q")])],
                    thinking: Some(Thinking {
                        amount: ThinkingAmount::Effort(wanted),
                        show: None,
                    }),
                    ..Request::default()
                };
                let target = Target {
                    model: "m",
                    profile: &profile,
                };
                let mut losses = Losses::new(false);
                let written = write(&request, &target, &mut losses).unwrap();
                let body: serde_json::Value = serde_json::from_slice(&written.body).unwrap();
                let word = body.pointer(place).and_then(|word| word.as_str()).unwrap();
                assert_eq!(word.to_ascii_lowercase(), told, "{place}");
                assert_eq!(!losses.lost().is_empty(), is_lost, "{place}");
            }
        }
    }
}
