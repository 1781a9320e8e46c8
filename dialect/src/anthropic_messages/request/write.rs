//! Writing a request for a provider.

use crate::Dialect;
use crate::json::{Members, ObjectWriter, write_array};
use crate::neutral::{
    Losses, Profile, Raw, Request, ServiceTier, Target, Text, Thinking, ThinkingStyle, ToolChoice, Undo,
    Written, check, foreign,
};
use crate::refusal::{Code, Refusal};

use super::super::block::{write_cache, write_raws, write_text};
use super::super::words;
use super::messages::{Conversation, Message, Piece, arrange};
use super::output::Form;
use super::part::{Blocks, Marks, marks_of};
use super::sampling::write_sampling;
use super::thinking::{Plan, Switch};
use super::tools::{marks, write_tools};

const OWN: Dialect = Dialect::AnthropicMessages;

/// Writes a request. `messages` come last: where a provider caches by the bytes of a body, what changes least has to
/// stand first.
///
/// # Errors
/// When the request holds what cannot be left out and cannot be said here.
pub fn write_request(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Written, Refusal> {
    foreign(request, OWN, target.profile, losses)?;
    check::stop(&request.stop)?;
    refuse_unsaid(request)?;
    let profile = target.profile;
    let conversation = arrange(request, profile, losses)?;
    let hindrance =
        conversation.has_prefill() || conversation.calls_without_thought() && !is_adaptive(profile);
    let plan = Plan::new(request, profile, hindrance, losses)?;
    let form = Form::new(request, profile, plan.is_on(), losses)?;
    let mut undo = Undo::default();
    let mut body = Vec::with_capacity(4_096);
    let mut object = ObjectWriter::new(&mut body);
    object
        .member("model", target.model)
        .member("max_tokens", &plan.max_tokens);
    if request.stream {
        object.member("stream", &true);
    }
    write_thinking(request.thinking.as_ref(), &plan, &mut object);
    write_config(request, &plan, &form, &mut object);
    write_sampling(request, profile.sampling, plan.is_on(), losses, &mut object)?;
    write_stop(request, &mut undo, &mut object);
    write_tier(request.service_tier.as_ref(), losses, &mut object)?;
    write_metadata(request, profile, losses, &mut object);
    let is_apart = |raw: &&Raw| raw.name == "output_config" || raw.name == "metadata";
    let raws = request.raw.iter().filter(|raw| !is_apart(raw));
    raws.for_each(|raw| write_raws(&mut object, std::slice::from_ref(raw)));
    write_cache(&mut object, request.cache.as_ref());
    write_system(&conversation.system, form.instruction.as_deref(), &mut object);
    write_tools(
        request,
        profile,
        form.tool.as_ref(),
        &mut undo,
        losses,
        &mut object,
    )?;
    let found = marks_in(&conversation);
    let fixed = marks(request) + marks_of_system(&conversation) + usize::from(request.cache.is_some());
    if fixed + found > Marks::MAX {
        losses.mention("cache_control");
    }
    let blocks = Blocks {
        profile,
        names: &mut undo.names,
        marks: Marks::new(fixed, found),
        losses,
    };
    write_messages(&conversation, blocks, object.begin("messages"))?;
    object.end();
    Ok(Written { body, undo })
}

/// What Anthropic has no word for, and without which the answer would be another.
fn refuse_unsaid(request: &Request) -> Result<(), Refusal> {
    if request.choices.is_some_and(|choices| choices != 1) {
        return Err(Losses::refuse("n"));
    }
    if request.logprobs.is_some() {
        return Err(Losses::refuse("logprobs"));
    }
    if let Some(ToolChoice::Among { names, .. }) = &request.tool_choice
        && !request.tools.iter().any(|tool| names.contains(&tool.name))
    {
        let message = "`tool_choice` allows no tool of those that are there";
        return Err(Refusal::new(Code::InvalidValue, message).param("tool_choice"));
    }
    Ok(())
}

/// A model that thinks as it likes does not mind a call without a thought before it.
fn is_adaptive(profile: &Profile) -> bool {
    profile.thinking == ThinkingStyle::Effort
}

fn write_thinking(thinking: Option<&Thinking>, plan: &Plan, object: &mut ObjectWriter<'_>) {
    let Some(switch) = plan.switch else {
        return;
    };
    let mut written = object.object("thinking");
    match switch {
        Switch::Adaptive => {
            written.member("type", "adaptive");
        }
        Switch::Enabled { budget } => {
            written.member("type", "enabled").member("budget_tokens", &budget);
        }
        Switch::Disabled => {
            written.member("type", "disabled");
        }
    }
    let shown = thinking.and_then(|thinking| thinking.show);
    if let Some(shown) = shown.filter(|_| plan.is_on()) {
        written.member("display", if shown { "summarized" } else { "omitted" });
    }
    written.end();
}

/// `output_config`, with what else of it the client may have sent.
fn write_config(request: &Request, plan: &Plan, form: &Form<'_>, object: &mut ObjectWriter<'_>) {
    let mut rest = request
        .raw
        .iter()
        .find(|raw| raw.origin == OWN && raw.name == "output_config")
        .and_then(|raw| Members::read(raw.json.get()))
        .unwrap_or_default();
    if plan.effort.is_some() {
        rest.take("effort");
    }
    if plan.effort.is_none() && form.schema.is_none() && rest.is_empty() {
        return;
    }
    let mut config = object.object("output_config");
    config.optional("effort", plan.effort.as_ref());
    if let Some(schema) = &form.schema {
        let mut format = config.object("format");
        format.member("type", "json_schema").json("schema", schema.get());
        format.end();
    }
    for (name, value) in rest.rest() {
        config.json(&name, value.get());
    }
    config.end();
}

/// `metadata`: by whom of the caller's users it is asked, and what else of it the client may have sent.
fn write_metadata(request: &Request, profile: &Profile, losses: &mut Losses, object: &mut ObjectWriter<'_>) {
    let user = request.user.as_deref().filter(|_| profile.user);
    if user.is_none() && request.user.is_some() {
        losses.mention("user");
    }
    let rest = request
        .raw
        .iter()
        .find(|raw| raw.origin == OWN && raw.name == "metadata")
        .and_then(|raw| Members::read(raw.json.get()));
    if user.is_none() && rest.is_none() {
        return;
    }
    let mut metadata = object.object("metadata");
    metadata.optional("user_id", user);
    for (name, value) in rest.unwrap_or_default().rest() {
        metadata.json(&name, value.get());
    }
    metadata.end();
}

/// Sequences of white space alone are refused; the gateway itself watches out for those.
fn write_stop(request: &Request, undo: &mut Undo, object: &mut ObjectWriter<'_>) {
    let (blank, said): (Vec<_>, Vec<_>) = request.stop.iter().partition(|stop| stop.trim().is_empty());
    undo.stop = blank.into_iter().cloned().collect();
    if !said.is_empty() {
        object.member("stop_sequences", &said);
    }
}

fn write_tier(
    tier: Option<&ServiceTier>,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let Some(tier) = tier else {
        return Ok(());
    };
    let (word, is_all) = words::asked_tier(tier);
    if !is_all {
        losses.drop("service_tier")?;
    }
    object.optional("service_tier", word);
    Ok(())
}

/// `system`: a text where that says all, else blocks.
fn write_system(texts: &[&Text], instruction: Option<&str>, object: &mut ObjectWriter<'_>) {
    match (texts, instruction) {
        ([], None) => {}
        ([], Some(instruction)) => {
            object.member("system", instruction);
        }
        ([text], None) if text.cache.is_none() => {
            object.member("system", &text.text);
        }
        (texts, instruction) => {
            let told = instruction.map(Text::new);
            let blocks = texts.iter().copied().chain(told.as_ref());
            write_array(blocks, object.begin("system"), |text, out| {
                write_text(&text.text, &[], text.cache.as_ref(), out);
            });
        }
    }
}

fn marks_of_system(conversation: &Conversation<'_>) -> usize {
    conversation
        .system
        .iter()
        .filter(|text| text.cache.is_some())
        .count()
}

fn marks_in(conversation: &Conversation<'_>) -> usize {
    let pieces = conversation.messages.iter().flat_map(|message| &message.pieces);
    pieces
        .map(|piece| match piece {
            Piece::Part(part) => marks_of(part),
            Piece::Reminder(text) => usize::from(text.cache.is_some()),
        })
        .sum()
}

fn write_messages(
    conversation: &Conversation<'_>,
    mut blocks: Blocks<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let prefill = conversation.has_prefill();
    let last = conversation.messages.len().saturating_sub(1);
    let mut outcome = Ok(());
    write_array(
        conversation.messages.iter().enumerate(),
        out,
        |(number, message), out| {
            if outcome.is_ok() {
                outcome = write_message(message, prefill && number == last, &mut blocks, out);
            }
        },
    );
    outcome
}

fn write_message(
    message: &Message<'_>,
    is_prefill: bool,
    blocks: &mut Blocks<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut object = ObjectWriter::new(out);
    object.member("role", message.role.as_str());
    let last = message.pieces.len().saturating_sub(1);
    let mut outcome = Ok(());
    write_array(
        message.pieces.iter().enumerate(),
        object.begin("content"),
        |(number, piece), out| {
            if outcome.is_ok() {
                outcome = blocks.write(*piece, is_prefill && number == last, out);
            }
        },
    );
    for raw in &message.raw {
        write_raws(&mut object, std::slice::from_ref(raw));
    }
    object.end();
    outcome
}
