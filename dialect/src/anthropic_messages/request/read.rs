//! Reading a client's request.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::Dialect;
use crate::json::{Members, ObjectWriter, WrongType};
use crate::neutral::{
    Effort, OutputFormat, Part, Raw, Request, Role, Sampling, Thinking, ThinkingAmount, Tool, ToolChoice,
    ToolKind, Turn, carry,
};
use crate::refusal::{Code, Refusal};

use super::super::block::{Reading, cache_mark, read_parts};
use super::super::words;

const OWN: Dialect = Dialect::AnthropicMessages;

/// Reads a request for an answer, or to count tokens, which is the same without a cap.
///
/// # Errors
/// When it is not what Anthropic's document says.
pub fn read_request(body: &[u8]) -> Result<Request, Refusal> {
    let text = std::str::from_utf8(body).ok();
    let Some(mut members) = text.and_then(Members::read) else {
        return Err(Refusal::new(Code::InvalidJson, "the body is not a JSON object"));
    };
    let mut turns = read_turns(&mut members)?;
    carry::seal_texts(&mut turns);
    let tools: Option<Vec<Members<'_>>> = members.read_member("tools")?;
    let (tool_choice, parallel_tools) = read_tool_choice(&mut members)?;
    let mut config: Members<'_> = members.read_member("output_config")?.unwrap_or_default();
    let thinking = read_thinking(&mut members, &mut config)?;
    let output = read_output(&mut members, &mut config)?;
    let mut request = Request {
        model: members.text("model")?.ok_or(WrongType("model"))?,
        stream: members.read_member("stream")?.unwrap_or(false),
        stream_usage: true,
        turns,
        tools: tools
            .unwrap_or_default()
            .into_iter()
            .map(read_tool)
            .collect::<Result<_, _>>()?,
        tool_choice,
        parallel_tools,
        max_tokens: members.read_member("max_tokens")?,
        sampling: Sampling {
            temperature: members.read_member("temperature")?,
            top_p: members.read_member("top_p")?,
            top_k: members.read_member("top_k")?,
            ..Sampling::default()
        },
        thinking,
        output,
        stop: members.read_member("stop_sequences")?.unwrap_or_default(),
        service_tier: members.text("service_tier")?.map(words::read_asked_tier),
        cache: cache_mark(&mut members)?,
        ..Request::default()
    };
    let mut metadata: Members<'_> = members.read_member("metadata")?.unwrap_or_default();
    request.user = metadata.text("user_id")?;
    request.raw = rest(members);
    if !metadata.is_empty() {
        request.raw.push(Raw::new(OWN, "metadata", object(metadata)));
    }
    if !config.is_empty() {
        request.raw.push(Raw::new(OWN, "output_config", object(config)));
    }
    Ok(request)
}

fn read_turns(members: &mut Members<'_>) -> Result<Vec<Turn>, WrongType> {
    let messages: Vec<Members<'_>> = members.read_member("messages")?.ok_or(WrongType("messages"))?;
    let mut turns = Vec::with_capacity(messages.len() + 1);
    if let Some(system) = members.take("system") {
        let parts = read_parts(system, "system", Reading::Request)?;
        let is_empty = |part: &Part| matches!(part, Part::Text(text) if text.text.is_empty());
        if !parts.iter().all(is_empty) {
            turns.push(Turn::new(Role::System, parts));
        }
    }
    for mut message in messages {
        let role = message.text("role")?.ok_or(WrongType("messages"))?;
        let content = message.take("content").ok_or(WrongType("messages"))?;
        turns.push(Turn {
            role: words::read_role(role),
            name: None,
            parts: read_parts(content, "messages", Reading::Request)?,
            raw: rest(message),
        });
    }
    Ok(turns)
}

/// A tool of a type of its own is one that only Anthropic's models know.
fn read_tool(mut members: Members<'_>) -> Result<Tool, WrongType> {
    let wrong = WrongType("tools");
    let kind = members.text("type").map_err(|_| wrong)?;
    if let Some(kind) = kind.filter(|kind| kind != "custom") {
        let name = members.text("name").map_err(|_| wrong)?;
        return Ok(Tool {
            name: name.clone().unwrap_or_default(),
            description: None,
            kind: ToolKind::Server(Raw::new(OWN, "", server_tool(&kind, name, members))),
            cache: None,
            raw: Vec::new(),
        });
    }
    Ok(Tool {
        name: members.text("name").map_err(|_| wrong)?.ok_or(wrong)?,
        description: members.text("description").map_err(|_| wrong)?,
        kind: ToolKind::Function {
            schema: members.take("input_schema").map(RawValue::to_owned),
            strict: members.read_member("strict").map_err(|_| wrong)?,
        },
        cache: cache_mark(&mut members).map_err(|_| wrong)?,
        raw: rest(members),
    })
}

/// The definition again, all of it.
fn server_tool(kind: &str, name: Option<String>, members: Members<'_>) -> Box<RawValue> {
    let mut json = Vec::new();
    let mut object = ObjectWriter::new(&mut json);
    object.member("type", kind).optional("name", name);
    for (name, value) in members.rest() {
        object.json(&name, value.get());
    }
    object.end();
    raw_value(json)
}

fn read_tool_choice(members: &mut Members<'_>) -> Result<(Option<ToolChoice>, Option<bool>), WrongType> {
    let wrong = WrongType("tool_choice");
    let Some(mut choice) = members.read_member::<Members<'_>>("tool_choice")? else {
        return Ok((None, None));
    };
    let kind = choice.text("type").map_err(|_| wrong)?.ok_or(wrong)?;
    let name = choice.text("name").map_err(|_| wrong)?;
    let one_at_a_time: Option<bool> = choice
        .read_member("disable_parallel_tool_use")
        .map_err(|_| wrong)?;
    let choice = match (kind.as_str(), name) {
        ("auto", _) => ToolChoice::Auto,
        ("any", _) => ToolChoice::Required,
        ("none", _) => ToolChoice::None,
        ("tool", Some(name)) => ToolChoice::Tool(name),
        _ => return Err(wrong),
    };
    Ok((Some(choice), one_at_a_time.map(|disabled| !disabled)))
}

/// How much to think: a switch, and a word of effort, which stands alone at times. Beside a number of tokens, or with
/// thinking switched off, the word stays where it was.
fn read_thinking(members: &mut Members<'_>, config: &mut Members<'_>) -> Result<Option<Thinking>, WrongType> {
    let wrong = |_| WrongType("thinking");
    let effort = |config: &mut Members<'_>| {
        let word = config.text("effort").map_err(|_| WrongType("output_config"))?;
        Ok(word.map(words::read_effort).map(ThinkingAmount::Effort))
    };
    let Some(mut thinking) = members.read_member::<Members<'_>>("thinking")? else {
        let amount = effort(config)?;
        return Ok(amount.map(|amount| Thinking { amount, show: None }));
    };
    let amount = match thinking.text("type").map_err(wrong)?.as_deref() {
        Some("enabled") => {
            let budget = thinking.read_member("budget_tokens").map_err(wrong)?;
            ThinkingAmount::Budget(budget.ok_or(WrongType("thinking"))?)
        }
        Some("adaptive") => effort(config)?.unwrap_or(ThinkingAmount::Free),
        Some("disabled") => ThinkingAmount::Effort(Effort::None),
        _ => return Err(WrongType("thinking")),
    };
    let show = match thinking.text("display").map_err(wrong)?.as_deref() {
        Some("omitted") => Some(false),
        Some(_) => Some(true),
        None => None,
    };
    Ok(Some(Thinking { amount, show }))
}

/// `output_config.format`, or `output_format`, as it was called before.
fn read_output(members: &mut Members<'_>, config: &mut Members<'_>) -> Result<OutputFormat, WrongType> {
    let wrong = |_| WrongType("output_config");
    let old: Option<Members<'_>> = members.read_member("output_format")?;
    let new: Option<Members<'_>> = config.read_member("format").map_err(wrong)?;
    let Some(mut format) = new.or(old) else {
        return Ok(OutputFormat::Text);
    };
    let kind = format.text("type").map_err(wrong)?;
    match (kind.as_deref(), format.take("schema")) {
        (Some("json_schema"), Some(schema)) => Ok(OutputFormat::JsonSchema {
            name: None,
            description: None,
            schema: schema.to_owned(),
            strict: None,
        }),
        _ => Err(WrongType("output_config")),
    }
}

fn rest(members: Members<'_>) -> Vec<Raw> {
    let raw = |(name, value): (Cow<'_, str>, &RawValue)| Raw::new(OWN, name, value.to_owned());
    members.rest().map(raw).collect()
}

fn object(members: Members<'_>) -> Box<RawValue> {
    let mut json = Vec::new();
    let mut object = ObjectWriter::new(&mut json);
    for (name, value) in members.rest() {
        object.json(&name, value.get());
    }
    object.end();
    raw_value(json)
}

/// What was just written is JSON.
fn raw_value(json: Vec<u8>) -> Box<RawValue> {
    let text = String::from_utf8(json).unwrap_or_default();
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
