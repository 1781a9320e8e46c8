//! What a client calls the members that a refusal names. Writers know them by one name, mostly OpenAI's, whoever said them.

use crate::Dialect;
use crate::refusal::Refusal;

/// The name that writers have, and those of Responses, Messages and Gemini. Of Chat Completions it is the same, or none.
type Row = (&'static str, [&'static str; 3]);

#[rustfmt::skip]
const NAMES: &[Row] = &[
    ("image",               ["input.content.image_url", "messages.content.source", "contents.parts.fileData"]),
    ("image_url",           ["input.content.image_url", "messages.content.source", "contents.parts.fileData"]),
    ("document",            ["input.content.file_url", "messages.content.source", "contents.parts.fileData"]),
    ("file_id",             ["input.content.file_id", "messages.content.source", "contents.parts.fileData"]),
    ("audio",               ["input.content.input_audio", "messages.content", "contents.parts.inlineData"]),
    ("input_audio",         ["input.content.input_audio", "messages.content", "contents.parts.inlineData"]),
    ("video",               ["input.content", "messages.content", "contents.parts.inlineData"]),
    ("media_type",          ["input.content.image_url", "messages.content.source", "contents.parts.inlineData.mimeType"]),
    ("messages",            ["input", "messages", "contents"]),
    ("messages.content",    ["input.content", "messages.content", "contents.parts"]),
    ("messages.content.source", ["input.content", "messages.content.source", "contents.parts.fileData"]),
    ("messages.role",       ["input.role", "messages.role", "contents.role"]),
    ("max_tokens",          ["max_output_tokens", "max_tokens", "generationConfig.maxOutputTokens"]),
    ("temperature",         ["temperature", "temperature", "generationConfig.temperature"]),
    ("top_p",               ["top_p", "top_p", "generationConfig.topP"]),
    ("top_k",               ["top_k", "top_k", "generationConfig.topK"]),
    ("seed",                ["seed", "seed", "generationConfig.seed"]),
    ("frequency_penalty",   ["frequency_penalty", "frequency_penalty", "generationConfig.frequencyPenalty"]),
    ("presence_penalty",    ["presence_penalty", "presence_penalty", "generationConfig.presencePenalty"]),
    ("stop",                ["stop", "stop_sequences", "generationConfig.stopSequences"]),
    ("n",                   ["n", "n", "generationConfig.candidateCount"]),
    ("logprobs",            ["top_logprobs", "logprobs", "generationConfig.responseLogprobs"]),
    ("response_format",     ["text.format", "output_config.format", "generationConfig.responseJsonSchema"]),
    ("response_format.schema", ["text.format.schema", "output_config.format.schema", "generationConfig.responseJsonSchema"]),
    ("reasoning_effort",    ["reasoning.effort", "output_config.effort", "generationConfig.thinkingConfig"]),
    ("reasoning.summary",   ["reasoning.summary", "thinking.display", "generationConfig.thinkingConfig.includeThoughts"]),
    ("parallel_tool_calls", ["parallel_tool_calls", "tool_choice.disable_parallel_tool_use", "parallel_tool_calls"]),
    ("tool_choice",         ["tool_choice", "tool_choice", "toolConfig.functionCallingConfig"]),
    ("service_tier",        ["service_tier", "service_tier", "serviceTier"]),
    ("user",                ["user", "metadata.user_id", "labels.user"]),
];

/// The same refusal, with the member that it is about as this client calls it, in its message too.
pub(crate) fn in_words_of(client: Dialect, refusal: Refusal) -> Refusal {
    let member = refusal.param.as_deref().unwrap_or_default();
    let Some(name) = name_of(client, member) else {
        return refusal;
    };
    let message = refusal
        .message
        .replace(&format!("`{member}`"), &format!("`{name}`"));
    Refusal {
        message,
        ..refusal.param(name)
    }
}

fn name_of(client: Dialect, member: &str) -> Option<&'static str> {
    let (_, [responses, messages, gemini]) = NAMES.iter().find(|(name, _)| *name == member)?;
    match client {
        Dialect::OpenaiChat => None,
        Dialect::OpenaiResponses => Some(responses),
        Dialect::AnthropicMessages => Some(messages),
        Dialect::GeminiGenerate => Some(gemini),
    }
}
