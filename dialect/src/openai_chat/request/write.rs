//! Writing a request for a provider that speaks Chat Completions, as its profile says that it does.

use super::super::words::write_tier;
use super::messages::Messages;
use super::tools::{write_choice, write_tools};
use crate::Dialect;
use crate::json::{ObjectWriter, write_array};
use crate::neutral::names::{OPENAI_TOOL, fit};
use crate::neutral::{
    CacheMarks, Effort, Losses, MaxTokensName, OutputFormat, Part, Profile, Raw, ReasoningField, Request,
    Role, Target, Thinking, ThinkingAmount, ThinkingStyle, ToolCall, Undo, Written, check, foreign,
    is_openais,
};
use crate::refusal::{Code, Refusal};

const OWN: Dialect = Dialect::OpenaiChat;
/// So many stop sequences are taken; the gateway itself looks for more.
const STOP_MAX: usize = 4;

/// Writes a request.
///
/// # Errors
/// When something in it cannot be said in this dialect, or not to this model.
pub fn write_request(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Written, Refusal> {
    foreign(request, OWN, target.profile, losses)?;
    check::tools(&request.turns)?;
    check::stop(&request.stop)?;
    check::forced_call(request, target.profile)?;
    refuse_impossible(request, target.profile)?;
    note_marks(request, target.profile, losses);
    let profile = target.profile;
    let mut undo = Undo::default();
    let mut body = Vec::new();
    let mut object = ObjectWriter::new(&mut body);
    object.member("model", target.model);
    let messages = object.begin("messages");
    messages.push(b'[');
    let mut writer = Messages {
        profile,
        undo: &mut undo,
        losses,
        out: messages,
        is_empty: true,
    };
    writer.write(request)?;
    let is_native = write_instructions(request, profile, &mut writer)?;
    messages.push(b']');
    write_tools(request, profile, &mut undo, losses, &mut object)?;
    write_choice(request, profile, &mut undo, &mut object);
    write_parallel(request, profile, losses, &mut object)?;
    write_sampling(request, profile, losses, &mut object)?;
    write_thinking(request.thinking.as_ref(), profile, losses, &mut object)?;
    write_output(&request.output, is_native, &mut object);
    write_stop(request, &mut undo, &mut object);
    if is_several(request) {
        object.optional("n", request.choices);
        undo.choices = request.choices.unwrap_or_default();
    }
    write_logprobs(request, &mut object);
    write_rest(request, profile, losses, &mut object)?;
    object.end();
    Ok(Written { body, undo })
}

fn is_several(request: &Request) -> bool {
    request.choices.is_some_and(|choices| choices > 1)
}

fn refuse_impossible(request: &Request, profile: &Profile) -> Result<(), Refusal> {
    if is_several(request) && !profile.several_answers {
        return Err(Losses::refuse("n"));
    }
    let ends_with_answer = request.turns.last().is_some_and(|turn| {
        turn.role == Role::Assistant
            && !turn
                .parts
                .iter()
                .any(|part| matches!(part, Part::ToolCall(ToolCall { .. })))
    });
    if ends_with_answer && !request.answers_anew && !profile.prefill {
        let message =
            "the conversation ends with the assistant's own words, which this provider cannot go on with";
        return Err(Refusal::new(Code::CannotTranslate, message).param("messages"));
    }
    Ok(())
}

/// Marks for a prompt cache that the provider does not know are told as lost.
fn note_marks(request: &Request, profile: &Profile, losses: &mut Losses) {
    let is_marked = |part: &Part| match part {
        Part::Text(text) => text.cache.is_some(),
        Part::Media(media) => media.cache.is_some(),
        Part::ToolCall(call) => call.cache.is_some(),
        Part::ToolResult(result) => result.cache.is_some(),
        _ => false,
    };
    let in_turns = request.turns.iter().any(|turn| turn.parts.iter().any(is_marked));
    let in_tools = request.tools.iter().any(|tool| tool.cache.is_some());
    let anywhere = in_turns || in_tools || request.cache.is_some();
    if anywhere && profile.cache_marks == CacheMarks::None {
        losses.mention("cache_control");
    }
}

/// For a model that holds itself to no schema: asks it for JSON in words. Whether the schema can be sent natively.
fn write_instructions(
    request: &Request,
    profile: &Profile,
    messages: &mut Messages<'_>,
) -> Result<bool, Refusal> {
    let OutputFormat::JsonSchema { schema, .. } = &request.output else {
        return Ok(true);
    };
    if profile.json_schema && (request.tools.is_empty() || profile.json_schema_with_tools) {
        return Ok(true);
    }
    let text = format!(
        "Answer with one JSON object and nothing else. It must follow this JSON schema:\n{}",
        schema.get()
    );
    let turn = crate::neutral::Turn::new(Role::System, vec![Part::text(text)]);
    let asked = Request {
        turns: vec![turn],
        ..Request::default()
    };
    messages.write(&asked)?;
    Ok(false)
}

fn write_parallel(
    request: &Request,
    profile: &Profile,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    match request.parallel_tools {
        // OpenAI refuses it beside no tools.
        Some(parallel) if profile.parallel_tools && !request.tools.is_empty() => {
            object.member("parallel_tool_calls", &parallel);
            Ok(())
        }
        Some(false) if !request.tools.is_empty() => losses.drop("parallel_tool_calls"),
        _ => Ok(()),
    }
}

fn write_sampling(
    request: &Request,
    profile: &Profile,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let sampling = &request.sampling;
    let drawn = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ];
    for (name, value) in drawn.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        if profile.sampling {
            object.member(name, &Number(value));
        } else {
            losses.drop(name)?;
        }
    }
    object.optional("seed", sampling.seed);
    if sampling.top_k.is_some() {
        losses.drop("top_k")?;
    }
    Ok(())
}

/// A number, without the `.0` that Rust writes after a whole one.
struct Number(f64);

impl serde::Serialize for Number {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if self.0.fract() == 0.0 && self.0.abs() < EXACT {
            // Whole, and small enough to be held exactly.
            #[allow(clippy::cast_possible_truncation)]
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

fn write_thinking(
    thinking: Option<&Thinking>,
    profile: &Profile,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let Some(thinking) = thinking else { return Ok(()) };
    let (fit, of_budget);
    let word = match &thinking.amount {
        ThinkingAmount::Free => None,
        ThinkingAmount::Effort(effort) if profile.thinking != ThinkingStyle::None => {
            fit = profile.efforts.fit(effort);
            if *fit != *effort {
                losses.drop("reasoning_effort")?;
            }
            Some(fit.word())
        }
        ThinkingAmount::Effort(effort) => Some(effort.word()),
        ThinkingAmount::Budget(tokens) => {
            of_budget = Effort::of_budget(*tokens);
            fit = profile.efforts.fit(&of_budget);
            Some(fit.word())
        }
    };
    if profile.thinking == ThinkingStyle::None {
        return match word {
            None | Some("none") => Ok(()),
            Some(_) => losses.drop("reasoning_effort"),
        };
    }
    // Where thoughts have no place in an answer, the client waits for them in vain.
    if thinking.show == Some(true) && profile.reasoning == ReasoningField::None && word != Some("none") {
        losses.mention("reasoning.summary");
    }
    if profile.reasoning != ReasoningField::ReasoningDetails {
        object.optional("reasoning_effort", word);
        return Ok(());
    }
    let mut reasoning = object.object("reasoning");
    match &thinking.amount {
        ThinkingAmount::Free => {
            reasoning.member("enabled", &true);
        }
        ThinkingAmount::Budget(tokens) if *tokens > 0 => {
            reasoning.member("max_tokens", tokens);
        }
        ThinkingAmount::Budget(_) | ThinkingAmount::Effort(_) => {
            reasoning.optional("effort", word);
        }
    }
    if thinking.show == Some(false) {
        reasoning.member("exclude", &true);
    }
    reasoning.end();
    Ok(())
}

fn write_output(output: &OutputFormat, is_native: bool, object: &mut ObjectWriter<'_>) {
    match output {
        OutputFormat::Text => {}
        OutputFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } if is_native => {
            let mut format = object.object("response_format");
            format.member("type", "json_schema");
            let mut inner = format.object("json_schema");
            inner.member("name", &fit(name.as_deref().unwrap_or("answer"), &OPENAI_TOOL));
            inner.optional("description", description.as_deref());
            inner.member("schema", schema);
            inner.optional("strict", *strict);
            inner.end();
            format.end();
        }
        OutputFormat::JsonObject | OutputFormat::JsonSchema { .. } => {
            object.json("response_format", r#"{"type":"json_object"}"#);
        }
    }
}

fn write_stop(request: &Request, undo: &mut Undo, object: &mut ObjectWriter<'_>) {
    if request.stop.is_empty() {
        return;
    }
    let (sent, cut) = request.stop.split_at(request.stop.len().min(STOP_MAX));
    write_array(sent, object.begin("stop"), crate::json::write);
    undo.stop.extend_from_slice(cut);
}

fn write_logprobs(request: &Request, object: &mut ObjectWriter<'_>) {
    if let Some(top) = request.logprobs {
        object.member("logprobs", &true);
        object.optional("top_logprobs", (top > 0).then_some(top));
    }
}

fn write_rest(
    request: &Request,
    profile: &Profile,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let name = match profile.max_tokens_name {
        MaxTokensName::MaxCompletionTokens => "max_completion_tokens",
        MaxTokensName::MaxTokens => "max_tokens",
    };
    object.optional(name, request.max_tokens);
    if let Some(tier) = &request.service_tier {
        match write_tier(tier) {
            Some(word) => {
                object.member("service_tier", word);
            }
            None => losses.drop("service_tier")?,
        }
    }
    if let Some(user) = &request.user {
        if profile.user {
            object.member("user", user);
        } else {
            losses.mention("user");
        }
    }
    if request.cache.is_some() && profile.cache_marks == CacheMarks::CacheControl {
        super::tools::write_mark(request.cache.as_ref(), profile.cache_marks, object);
    }
    if request.stream {
        object.member("stream", &true);
        if profile.stream_options {
            object.json("stream_options", r#"{"include_usage":true}"#);
        }
    }
    let keeps_nothing = |raw: &Raw| raw.name == "store" && raw.json.get() == "false";
    let is_shared =
        |raw: &Raw| raw.origin == Dialect::OpenaiResponses && (is_openais(&raw.name) || keeps_nothing(raw));
    let is_ours = |raw: &&Raw| raw.origin == OWN || (profile.openai_members && is_shared(raw));
    for raw in request.raw.iter().filter(is_ours) {
        object.json(&raw.name, raw.json.get());
    }
    Ok(())
}
