//! Items, as they are read: what a conversation is a flat list of, in requests and in answers.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content::{read_content, rest};
use super::{namespace, words};
use crate::Dialect;
use crate::json::{Members, WrongType};
use crate::neutral::carry::{CarriedSeal, read_opaque, split_tool_call_id};
use crate::neutral::{Arguments, Part, Raw, Reasoning, Role, ToolCall, ToolResult};

/// One item, by who speaks in it.
pub(super) enum Item<'a> {
    Message(Message),
    /// Of the model, without a message around it: reasoning, a call, what a tool of the vendor did.
    Said(Vec<Part>),
    /// What came of a call.
    Result(Box<ToolResult>),
    /// Something that the client did which only this dialect understands.
    Done(Raw),
    /// Tools that are told of in the middle of a conversation.
    Tools(&'a RawValue),
    /// It says nothing to any other dialect.
    Nothing,
}

pub(super) struct Message {
    pub role: Role,
    pub parts: Vec<Part>,
    /// `commentary` or `final_answer`, as the vendor wants it back.
    pub phase: Option<Raw>,
}

/// What an item is, before anything else of it is read.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    execution: Option<Cow<'a, str>>,
}

/// Reads an item; one of a kind that is not known is carried as it is.
///
/// # Errors
/// When it is no object, or lacks what it must have.
pub(super) fn read_item<'a>(json: &'a RawValue) -> Result<Item<'a>, WrongType> {
    let wrong = WrongType("input");
    let head: Head<'_> = serde_json::from_str(json.get()).map_err(|_| wrong)?;
    let kind = match (&head.r#type, &head.role) {
        (Some(kind), _) => kind.as_ref(),
        (None, Some(_)) => "message",
        // An item reference may leave its type out.
        (None, None) => "item_reference",
    };
    let mut members = Members::read(json.get()).ok_or(wrong)?;
    // An item is known by its id to who has stored it; nobody else has.
    for name in ["id", "type", "status"] {
        members.take(name);
    }
    Ok(match kind {
        "message" => Item::Message(message(members)?),
        "reasoning" => Item::Said(vec![Part::Reasoning(reasoning(json, members)?)]),
        "function_call" => Item::Said(call(members, false)?),
        "custom_tool_call" => Item::Said(call(members, true)?),
        "function_call_output" => Item::Result(Box::new(result(members, false)?)),
        "custom_tool_call_output" => Item::Result(Box::new(result(members, true)?)),
        "additional_tools" => members.take("tools").map_or(Item::Nothing, Item::Tools),
        // Whoever is told of all tools at once has nothing to search for.
        "tool_search_call" if !is_clients(&head) => Item::Nothing,
        "tool_search_output" if !is_clients(&head) => {
            members.take("tools").map_or(Item::Nothing, Item::Tools)
        }
        kind => {
            let raw = Raw::new(Dialect::OpenaiResponses, "", json.to_owned());
            if kind.ends_with("_output") || kind.ends_with("_response") {
                Item::Done(raw)
            } else {
                Item::Said(vec![Part::Raw(raw)])
            }
        }
    })
}

fn is_clients(head: &Head<'_>) -> bool {
    head.execution.as_deref() == Some("client")
}

fn message(mut members: Members<'_>) -> Result<Message, WrongType> {
    let role = members.text("role")?;
    let content = members.take("content").ok_or(WrongType("content"))?;
    Ok(Message {
        role: role.as_deref().map_or(Role::Assistant, words::read_role),
        parts: read_content(content, "content")?,
        phase: members
            .take("phase")
            .map(|phase| Raw::new(Dialect::OpenaiResponses, "phase", phase.to_owned())),
    })
}

/// Reasoning. What is shown stands in `content` where a vendor shows the thoughts themselves, else in `summary`.
fn reasoning(json: &RawValue, mut members: Members<'_>) -> Result<Reasoning, WrongType> {
    #[derive(Deserialize)]
    struct Identified {
        id: Option<String>,
    }
    let content = texts(&mut members, "content")?;
    let summary = texts(&mut members, "summary")?;
    let is_summary = content.is_empty();
    let mut texts = if is_summary { summary } else { content };
    let seal = members.text("encrypted_content")?;
    let seal = seal.map(|text| read_opaque(&text, Dialect::OpenaiResponses));
    // Anthropic's redacted thoughts have no place for a text at all; see how they are written.
    let is_foreign = |origin: Dialect| origin != Dialect::OpenaiResponses;
    let is_carried = seal.as_ref().is_some_and(|seal| is_foreign(seal.origin));
    let redacted = is_carried && texts.is_empty();
    if is_carried && texts.iter().all(String::is_empty) {
        texts.clear();
    }
    Ok(Reasoning {
        texts,
        is_summary,
        seal,
        redacted,
        id: serde_json::from_str::<Identified>(json.get())
            .ok()
            .and_then(|item| item.id),
    })
}

fn texts(members: &mut Members<'_>, name: &'static str) -> Result<Vec<String>, WrongType> {
    #[derive(Deserialize)]
    struct Shown {
        text: String,
    }
    let parts: Option<Vec<Shown>> = members.read_member(name)?;
    Ok(parts.into_iter().flatten().map(|part| part.text).collect())
}

/// A call, and before it the reasoning whose seal its id carries.
fn call(mut members: Members<'_>, is_free_text: bool) -> Result<Vec<Part>, WrongType> {
    let id = members.text("call_id")?.ok_or(WrongType("call_id"))?;
    let name = members.text("name")?.ok_or(WrongType("name"))?;
    let space = members.text("namespace")?;
    let arguments = if is_free_text {
        Arguments::Text(members.text("input")?.unwrap_or_default())
    } else {
        Arguments::Json(members.text("arguments")?.unwrap_or_default())
    };
    let (id, seals) = split_tool_call_id(&id);
    let (before, own): (Vec<_>, Vec<_>) = seals.into_iter().partition(|seal| seal.is_reasoning);
    let mut parts: Vec<Part> = before.into_iter().map(reasoning_of).collect();
    parts.push(Part::ToolCall(ToolCall {
        id,
        id_is_ours: false,
        name: namespace::join(space.as_deref(), name),
        arguments,
        seal: own.into_iter().next().map(|carried| carried.seal),
        cache: None,
        raw: rest(members),
    }));
    Ok(parts)
}

fn reasoning_of(carried: CarriedSeal) -> Part {
    Part::Reasoning(Reasoning {
        seal: Some(carried.seal),
        redacted: carried.redacted,
        ..Reasoning::default()
    })
}

fn result(mut members: Members<'_>, is_free_text: bool) -> Result<ToolResult, WrongType> {
    let id = members.text("call_id")?.ok_or(WrongType("call_id"))?;
    let output = members.take("output").ok_or(WrongType("output"))?;
    let space = members.text("namespace")?;
    let name = members.text("name")?;
    Ok(ToolResult {
        call_id: split_tool_call_id(&id).0,
        name: name.map(|name| namespace::join(space.as_deref(), name)),
        parts: read_content(output, "output")?,
        is_error: false,
        is_free_text,
        cache: None,
        raw: rest(members),
    })
}
