//! Reading what a client asks for.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::super::parts::{raws, read_assistant, read_content, read_mark};
use super::super::words::{read_role, read_tier};
use super::tools::{read_choice, read_function, read_tool};
use crate::json::{Members, WrongType};
use crate::neutral::{
    Arguments, Effort, OutputFormat, Part, Request, Role, Sampling, Thinking, ThinkingAmount, ToolResult,
    Turn, carry,
};
use crate::refusal::{Code, Refusal};

/// Reads a request.
///
/// # Errors
/// When it is no object, or a member has a type with which nothing can be done.
pub fn read_request(body: &[u8]) -> Result<Request, Refusal> {
    let mut members: Members<'_> = serde_json::from_slice(body)
        .map_err(|_| Refusal::new(Code::InvalidJson, "the body is not a JSON object"))?;
    read_members(&mut members)
        .map(|request| Request {
            raw: raws(members),
            ..request
        })
        .map_err(Refusal::from)
}

fn read_members(members: &mut Members<'_>) -> Result<Request, WrongType> {
    let stream_usage = match members.take("stream_options") {
        Some(json) => Members::read(json.get())
            .ok_or(WrongType("stream_options"))?
            .read_member("include_usage")?
            .unwrap_or(false),
        None => false,
    };
    let mut request = Request {
        model: members.text("model")?.ok_or(WrongType("model"))?,
        stream: members.read_member("stream")?.unwrap_or(false),
        stream_usage,
        parallel_tools: members.read_member("parallel_tool_calls")?,
        max_tokens: read_max_tokens(members)?,
        sampling: read_sampling(members)?,
        thinking: read_thinking(members)?,
        output: read_output(members)?,
        stop: read_stop(members)?,
        choices: members.read_member("n")?,
        logprobs: read_logprobs(members)?,
        service_tier: members.text("service_tier")?.and_then(|word| read_tier(&word)),
        user: read_user(members)?,
        metadata: read_metadata(members)?,
        cache: read_mark(members)?,
        ..Request::default()
    };
    read_tools(members, &mut request)?;
    let messages: Vec<&RawValue> = members.read_member("messages")?.ok_or(WrongType("messages"))?;
    request.turns = read_turns(&messages)?;
    request.answers_anew = request.ends_with_answer();
    Ok(request)
}

/// The old name and the new one for the same.
fn read_user(members: &mut Members<'_>) -> Result<Option<String>, WrongType> {
    let user = members.text("user")?;
    Ok(members.text("safety_identifier")?.or(user))
}

/// Clients send the old name, the new one or both; the smaller is meant then. -1 is how some servers spell no limit.
fn read_max_tokens(members: &mut Members<'_>) -> Result<Option<u64>, WrongType> {
    let old: Option<i64> = members.read_member("max_tokens")?;
    let new: Option<i64> = members.read_member("max_completion_tokens")?;
    let known = [old, new].into_iter().flatten();
    Ok(known.filter_map(|tokens| u64::try_from(tokens).ok()).min())
}

fn read_sampling(members: &mut Members<'_>) -> Result<Sampling, WrongType> {
    Ok(Sampling {
        temperature: members.read_member("temperature")?,
        top_p: members.read_member("top_p")?,
        top_k: members.read_member("top_k")?,
        seed: members.read_member("seed")?,
        frequency_penalty: members.read_member("frequency_penalty")?,
        presence_penalty: members.read_member("presence_penalty")?,
    })
}

/// How much to think, in OpenAI's spelling (`reasoning_effort`), OpenRouter's (`reasoning`) or the one of many others
/// (`thinking`, as Anthropic has it).
fn read_thinking(members: &mut Members<'_>) -> Result<Option<Thinking>, WrongType> {
    // Groq's `default` leaves it open.
    let mut amount = members
        .text("reasoning_effort")?
        .filter(|word| word != "default")
        .map(|word| ThinkingAmount::Effort(Effort::of_word(&word)));
    let mut show = members.read_member::<bool>("include_reasoning")?;
    if let Some(mut reasoning) = members.read_member::<Members<'_>>("reasoning")? {
        let effort = reasoning.text("effort")?;
        let budget = reasoning.read_member("max_tokens")?.map(ThinkingAmount::Budget);
        let enabled: Option<bool> = reasoning.read_member("enabled")?;
        let free = enabled.map(|on| {
            if on {
                ThinkingAmount::Free
            } else {
                ThinkingAmount::Budget(0)
            }
        });
        let word = effort.map(|word| ThinkingAmount::Effort(Effort::of_word(&word)));
        amount = amount.or(word).or(budget).or(free);
        show = reasoning
            .read_member::<bool>("exclude")?
            .map(|exclude| !exclude)
            .or(show);
    }
    if let Some(mut thinking) = members.read_member::<Members<'_>>("thinking")? {
        let kind = thinking.text("type")?;
        let budget = thinking.read_member("budget_tokens")?;
        amount = amount.or(match (kind.as_deref(), budget) {
            (Some("disabled"), _) => Some(ThinkingAmount::Budget(0)),
            (_, Some(budget)) => Some(ThinkingAmount::Budget(budget)),
            (Some("enabled" | "adaptive"), None) => Some(ThinkingAmount::Free),
            _ => None,
        });
    }
    let shown = show.map(|_| ThinkingAmount::Free);
    Ok(amount.or(shown).map(|amount| Thinking { amount, show }))
}

fn read_output(members: &mut Members<'_>) -> Result<OutputFormat, WrongType> {
    const NAME: &str = "response_format";
    let Some(mut format) = members.read_member::<Members<'_>>(NAME)? else {
        return Ok(OutputFormat::Text);
    };
    match format.text("type")?.as_deref() {
        Some("text") => Ok(OutputFormat::Text),
        Some("json_object") => Ok(OutputFormat::JsonObject),
        Some("json_schema") => {
            let mut inner: Members<'_> = format.read_member("json_schema")?.ok_or(WrongType(NAME))?;
            let schema = inner.take("schema");
            Ok(match schema {
                Some(schema) => OutputFormat::JsonSchema {
                    name: inner.text("name")?,
                    description: inner.text("description")?,
                    schema: schema.to_owned(),
                    strict: inner.read_member("strict")?,
                },
                None => OutputFormat::JsonObject,
            })
        }
        _ => Err(WrongType(NAME)),
    }
}

fn read_stop(members: &mut Members<'_>) -> Result<Vec<String>, WrongType> {
    let Some(json) = members.take("stop") else {
        return Ok(Vec::new());
    };
    serde_json::from_str::<String>(json.get())
        .map(|one| vec![one])
        .or_else(|_| serde_json::from_str(json.get()))
        .map_err(|_| WrongType("stop"))
}

fn read_logprobs(members: &mut Members<'_>) -> Result<Option<u64>, WrongType> {
    let wanted: bool = members.read_member("logprobs")?.unwrap_or(false);
    let top: Option<u64> = members.read_member("top_logprobs")?;
    Ok(wanted.then(|| top.unwrap_or(0)))
}

fn read_metadata(members: &mut Members<'_>) -> Result<Vec<(String, String)>, WrongType> {
    let pairs: Members<'_> = members.read_member("metadata")?.unwrap_or_default();
    let pairs = pairs.rest().map(|(name, json)| {
        let text = serde_json::from_str(json.get()).unwrap_or_else(|_| json.get().to_owned());
        (name.into_owned(), text)
    });
    Ok(pairs.collect())
}

fn read_tools(members: &mut Members<'_>, request: &mut Request) -> Result<(), WrongType> {
    let tools: Vec<&RawValue> = members.read_member("tools")?.unwrap_or_default();
    for json in tools {
        request.tools.push(read_tool(json)?);
    }
    let functions: Vec<&RawValue> = members.read_member("functions")?.unwrap_or_default();
    request.has_functions = !functions.is_empty() && request.tools.is_empty();
    for json in functions {
        let mut function = Members::read(json.get()).ok_or(WrongType("functions"))?;
        let tool = read_function(&mut function, None)?;
        request.tools.push(tool);
    }
    let choice = members
        .take("tool_choice")
        .or_else(|| members.take("function_call"));
    request.tool_choice = choice.map(read_choice).transpose()?;
    Ok(())
}

/// What is known of the calls so far, by their ids.
#[derive(Default)]
struct Calls {
    /// The name, and whether the tool is one for free text.
    known: HashMap<String, (String, bool)>,
    made: usize,
}

fn read_turns(messages: &[&RawValue]) -> Result<Vec<Turn>, WrongType> {
    let mut turns: Vec<Turn> = Vec::with_capacity(messages.len());
    let mut calls = Calls::default();
    for json in messages {
        let mut message = Members::read(json.get()).ok_or(WrongType("messages"))?;
        let role = message.text("role")?.ok_or(WrongType("role"))?;
        if matches!(role.as_str(), "tool" | "function") {
            let result = Part::ToolResult(read_result(message, &calls)?);
            match turns.last_mut() {
                Some(last) if is_of_results(last) => last.parts.push(result),
                _ => turns.push(Turn::new(Role::User, vec![result])),
            }
            continue;
        }
        let role = read_role(&role);
        let mut parts = Vec::new();
        if role == Role::Assistant {
            let made = calls.made;
            parts = read_assistant(&mut message, false, &|number| format!("call_{}", made + number))?;
            calls.remember(&parts);
        } else if let Some(content) = message.take("content") {
            read_content(content, &mut parts)?;
        }
        turns.push(Turn {
            role,
            name: message.text("name")?,
            parts,
            raw: raws(message),
        });
    }
    Ok(turns)
}

/// Results of calls that were made together stand together.
fn is_of_results(turn: &Turn) -> bool {
    turn.role == Role::User && turn.parts.iter().all(|part| matches!(part, Part::ToolResult(_)))
}

fn read_result(mut message: Members<'_>, calls: &Calls) -> Result<ToolResult, WrongType> {
    let mut parts = Vec::new();
    if let Some(content) = message.take("content") {
        read_content(content, &mut parts)?;
    }
    let name = message.text("name")?;
    let call_id = match message.text("tool_call_id")? {
        Some(id) => carry::split_tool_call_id(&id).0,
        // The results of before there were ids name their function alone.
        None => calls.last_of(name.as_deref().unwrap_or_default()),
    };
    let known = calls.known.get(&call_id);
    Ok(ToolResult {
        name: name.or_else(|| known.map(|(name, _)| name.clone())),
        is_free_text: known.is_some_and(|(_, is_free_text)| *is_free_text),
        call_id,
        parts,
        is_error: false,
        cache: read_mark(&mut message)?,
        raw: raws(message),
    })
}

impl Calls {
    fn remember(&mut self, parts: &[Part]) {
        for part in parts {
            if let Part::ToolCall(call) = part {
                let is_free_text = matches!(call.arguments, Arguments::Text(_));
                self.known
                    .insert(call.id.clone(), (call.name.clone(), is_free_text));
                self.made += 1;
            }
        }
    }

    fn last_of(&self, name: &str) -> String {
        let ids = (0..self.made).rev().map(|number| format!("call_{number}"));
        let mut of_name = ids.filter(|id| self.known.get(id).is_some_and(|(known, _)| known == name));
        of_name.next().unwrap_or_default()
    }
}
