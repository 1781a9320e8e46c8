//! Writing a request that came in another dialect.

use super::items::write_input;
use super::write_tools::{write_tool_choice, write_tools};
use crate::Dialect;
use crate::json::{ObjectWriter, write, write_array};
use crate::neutral::{
    Effort, Losses, OutputFormat, Part, Profile, Raw, Request, Target, Text, Thinking, ThinkingAmount,
    ThinkingStyle, Turn, Undo, Written, check, foreign, is_openais, names,
};
use crate::openai_responses::words;
use crate::refusal::{Code, Refusal};
use crate::schema::is_openai_strict;

/// How much room a body gets before it has to grow.
const USUAL_BYTES: usize = 4_096;
/// The least that `max_output_tokens` may be.
const LEAST_TOKENS: u64 = 16;
/// What a schema without a name is called.
const SCHEMA_NAME: &str = "answer";

/// Writes a request. Nothing is stored with the vendor, so reasoning comes back sealed, to be sent along again.
///
/// # Errors
/// When something of it cannot be left out and cannot be said, or the tenant wants nothing left out.
pub fn write_request(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Written, Refusal> {
    foreign(request, Dialect::OpenaiResponses, target.profile, losses)?;
    check::stop(&request.stop)?;
    check::forced_call(request, target.profile)?;
    drop_unknown_here(request, losses)?;
    mention_marks(request, losses);
    let mut undo = Undo {
        stop: request.stop.clone(),
        ..Undo::default()
    };
    let mut body = Vec::with_capacity(USUAL_BYTES);
    let mut object = ObjectWriter::new(&mut body);
    object.member("model", target.model);
    write_input(request, target.profile, &mut undo, losses, &mut object)?;
    write_sampling(request, target.profile, losses, &mut object)?;
    write_tools(&request.tools, target.profile, &mut undo, losses, &mut object)?;
    if let Some(choice) = &request.tool_choice {
        write_tool_choice(
            choice,
            &request.tools,
            target.profile,
            &mut undo.names,
            object.begin("tool_choice"),
        );
    }
    match request.parallel_tools {
        Some(parallel) if target.profile.parallel_tools => {
            object.member("parallel_tool_calls", &parallel);
        }
        Some(false) => losses.drop("parallel_tool_calls")?,
        Some(true) | None => {}
    }
    write_reasoning(request.thinking.as_ref(), target.profile, losses, &mut object)?;
    write_text(request, target.profile, &mut object)?;
    match request.service_tier.as_ref().map(words::tier) {
        Some(Some(tier)) => {
            object.member("service_tier", tier);
        }
        Some(None) => losses.drop("service_tier")?,
        None => {}
    }
    if let Some(user) = &request.user {
        if target.profile.user {
            object.member("user", user);
        } else {
            losses.mention("user");
        }
    }
    object.member("store", &false);
    write_include(request, target.profile, &mut object);
    if request.stream {
        object.member("stream", &true);
    }
    for raw in request.raw.iter().filter(|raw| passes(raw, target.profile)) {
        object.json(&raw.name, raw.json.get());
    }
    object.end();
    Ok(Written { body, undo })
}

/// What this dialect has no word for.
fn drop_unknown_here(request: &Request, losses: &mut Losses) -> Result<(), Refusal> {
    if request.choices.is_some_and(|choices| choices > 1) {
        return Err(Losses::refuse("n"));
    }
    let sampling = &request.sampling;
    let absent = [
        ("top_k", sampling.top_k.is_some()),
        ("seed", sampling.seed.is_some()),
        (
            "frequency_penalty",
            sampling.frequency_penalty.is_some_and(|penalty| penalty != 0.0),
        ),
        (
            "presence_penalty",
            sampling.presence_penalty.is_some_and(|penalty| penalty != 0.0),
        ),
    ];
    for (name, _) in absent.into_iter().filter(|(_, is_there)| *is_there) {
        losses.drop(name)?;
    }
    Ok(())
}

/// Marks for the prompt cache have a place at the parts of messages alone.
fn mention_marks(request: &Request, losses: &mut Losses) {
    let is_marked = |part: &Part| matches!(part, Part::ToolCall(call) if call.cache.is_some());
    let mut parts = request.turns.iter().flat_map(|turn| &turn.parts);
    if request.cache.is_some()
        || request.tools.iter().any(|tool| tool.cache.is_some())
        || parts.any(is_marked)
    {
        losses.mention("cache_control");
    }
}

fn write_sampling(
    request: &Request,
    profile: &Profile,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    if request.max_tokens.is_some_and(|tokens| tokens < LEAST_TOKENS) {
        // A limit that the client set is never raised: it limits what is paid.
        let message = format!("this provider takes no limit of tokens below {LEAST_TOKENS}");
        return Err(Refusal::new(Code::CannotTranslate, message).param("max_tokens"));
    }
    object.optional("max_output_tokens", request.max_tokens);
    for (name, value) in [
        ("temperature", request.sampling.temperature),
        ("top_p", request.sampling.top_p),
    ] {
        match value {
            Some(value) if profile.sampling => {
                object.member(name, &value);
            }
            Some(_) => losses.drop(name)?,
            None => {}
        }
    }
    Ok(())
}

fn write_reasoning(
    thinking: Option<&Thinking>,
    profile: &Profile,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let Some(thinking) = thinking else {
        return Ok(());
    };
    let (fit, of_budget);
    let effort = match &thinking.amount {
        ThinkingAmount::Free => None,
        ThinkingAmount::Effort(effort) if profile.thinking == ThinkingStyle::None => Some(effort.word()),
        ThinkingAmount::Effort(effort) => {
            fit = profile.efforts.fit(effort);
            if *fit != *effort {
                losses.drop("reasoning")?;
            }
            // Groq's word for leaving it open. Others that are not known yet are the vendor's to judge.
            Some(fit.word()).filter(|word| *word != "default")
        }
        ThinkingAmount::Budget(tokens) => {
            of_budget = Effort::of_budget(*tokens);
            fit = profile.efforts.fit(&of_budget);
            Some(fit.word())
        }
    };
    if profile.thinking == ThinkingStyle::None {
        return if effort == Some("none") {
            Ok(())
        } else {
            losses.drop("reasoning")
        };
    }
    let summary = thinking.show.unwrap_or(false).then_some("auto");
    if effort.is_some() || summary.is_some() {
        let mut reasoning = object.object("reasoning");
        reasoning.optional("effort", effort).optional("summary", summary);
        reasoning.end();
    }
    Ok(())
}

fn write_text(request: &Request, profile: &Profile, object: &mut ObjectWriter<'_>) -> Result<(), Refusal> {
    let verbosity = request
        .raw
        .iter()
        .find(|raw| raw.name == "verbosity" && is_own_or_shared(raw, profile));
    if verbosity.is_none() && matches!(request.output, OutputFormat::Text) {
        return Ok(());
    }
    let mut text = object.object("text");
    match &request.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => {
            text.json("format", r#"{"type":"json_object"}"#);
        }
        OutputFormat::JsonSchema { .. } if !profile.json_schema => {
            return Err(Losses::refuse("response_format"));
        }
        OutputFormat::JsonSchema {
            name,
            description,
            schema,
            strict,
        } => {
            let name = name.as_deref().unwrap_or(SCHEMA_NAME);
            let mut format = text.object("format");
            format
                .member("type", "json_schema")
                .member("name", &names::fit(name, &names::OPENAI_TOOL))
                .optional("description", description.as_deref())
                .json("schema", schema.get())
                // Where the client left it open, a schema that is fit for it is held to.
                .member(
                    "strict",
                    &strict.unwrap_or_else(|| is_openai_strict(schema.get())),
                );
            format.end();
        }
    }
    if let Some(verbosity) = verbosity {
        text.json("verbosity", verbosity.json.get());
    }
    text.end();
    Ok(())
}

fn write_include(request: &Request, profile: &Profile, object: &mut ObjectWriter<'_>) {
    let sealed = (profile.thinking != ThinkingStyle::None).then_some("reasoning.encrypted_content");
    let logprobs = request.logprobs.map(|_| "message.output_text.logprobs");
    if sealed.is_some() || logprobs.is_some() {
        let what = sealed.into_iter().chain(logprobs);
        write_array(what, object.begin("include"), write);
    }
    object.optional(
        "top_logprobs",
        request.logprobs.filter(|alternatives| *alternatives > 0),
    );
}

/// Whether a carried member of the request is written as it is: this dialect's own, and those that OpenAI's other
/// dialect has in common with it.
fn passes(raw: &Raw, profile: &Profile) -> bool {
    let is_written = matches!(
        raw.name.as_str(),
        "verbosity" | "store" | "include" | "stream_options"
    );
    !is_written && is_own_or_shared(raw, profile)
}

fn is_own_or_shared(raw: &Raw, profile: &Profile) -> bool {
    let is_shared = raw.origin == Dialect::OpenaiChat && profile.openai_members && is_openais(&raw.name);
    raw.origin == Dialect::OpenaiResponses || is_shared
}

/// Whether any text of the input has the word JSON in it, without which a JSON object is not to be had. The instructions beside
/// it do not count.
pub(super) fn mentions_json(turns: &[Turn]) -> bool {
    let is_json = |four: &[u8]| four.eq_ignore_ascii_case(b"json");
    let mut texts = turns.iter().flat_map(|turn| &turn.parts);
    texts.any(|part| match part {
        Part::Text(Text { text, .. }) => text.as_bytes().windows(4).any(is_json),
        _ => false,
    })
}
