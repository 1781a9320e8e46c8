//! Tools and the choice among them, read and written.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::parts::{raw, raws, read_mark};
use crate::Dialect;
use crate::json::{Members, ObjectWriter, WrongType, write_array};
use crate::neutral::names::OPENAI_TOOL;
use crate::neutral::undo::free_text;
use crate::neutral::{CacheMarks, Losses, Profile, Request, Tool, ToolChoice, ToolKind, Undo};
use crate::refusal::Refusal;

const OWN: Dialect = Dialect::OpenaiChat;
/// What stands before the names of members that are not the tool's own, but its function's.
const INNER: &str = "function.";

pub(super) fn read_tool(json: &RawValue) -> Result<Tool, WrongType> {
    let mut members = Members::read(json.get()).ok_or(WrongType("tools"))?;
    let kind = members.text("type")?;
    match kind.as_deref() {
        // Mistral's clients leave the type out.
        Some("function") | None => {
            let mut function: Members<'_> = members.read_member("function")?.ok_or(WrongType("function"))?;
            read_function(&mut function, Some(members))
        }
        Some("custom") => {
            let mut custom: Members<'_> = members.read_member("custom")?.ok_or(WrongType("custom"))?;
            Ok(Tool {
                name: custom.text("name")?.ok_or(WrongType("name"))?,
                description: custom.text("description")?,
                kind: ToolKind::FreeText {
                    format: custom.take("format").map(RawValue::to_owned),
                },
                cache: read_mark(&mut members)?,
                raw: raws(members),
            })
        }
        Some(kind) => Ok(Tool {
            name: kind.to_owned(),
            description: None,
            kind: ToolKind::Server(raw(kind, json)),
            cache: None,
            raw: Vec::new(),
        }),
    }
}

/// A function, and the members of the tool around it, where there is one.
pub(super) fn read_function(
    function: &mut Members<'_>,
    outer: Option<Members<'_>>,
) -> Result<Tool, WrongType> {
    let mut outer = outer.unwrap_or_default();
    let mut tool = Tool {
        name: function.text("name")?.ok_or(WrongType("name"))?,
        description: function.text("description")?,
        kind: ToolKind::Function {
            schema: function.take("parameters").map(RawValue::to_owned),
            strict: function.read_member("strict")?,
        },
        cache: read_mark(&mut outer)?.or(read_mark(function)?),
        raw: raws(outer),
    };
    let inner = raws(std::mem::take(function)).into_iter().map(|mut inner| {
        inner.name.insert_str(0, INNER);
        inner
    });
    tool.raw.extend(inner);
    Ok(tool)
}

pub(super) fn read_choice(json: &RawValue) -> Result<ToolChoice, WrongType> {
    const NAME: &str = "tool_choice";
    if let Ok(word) = serde_json::from_str::<String>(json.get()) {
        return match word.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(WrongType(NAME)),
        };
    }
    let mut members = Members::read(json.get()).ok_or(WrongType(NAME))?;
    if members.text("type")?.as_deref() != Some("allowed_tools") {
        return Ok(ToolChoice::Tool(read_named(members)?.ok_or(WrongType(NAME))?));
    }
    let mut allowed = match members.read_member::<Members<'_>>("allowed_tools")? {
        Some(inner) => inner,
        None => members,
    };
    let required = allowed.text("mode")?.as_deref() == Some("required");
    let tools: Vec<Members<'_>> = allowed.read_member("tools")?.unwrap_or_default();
    let names = tools.into_iter().map(read_named).collect::<Result<Vec<_>, _>>()?;
    Ok(ToolChoice::Among {
        names: names.into_iter().flatten().collect(),
        required,
    })
}

/// The name of a tool, in `function`, in `custom`, or by itself.
fn read_named(mut members: Members<'_>) -> Result<Option<String>, WrongType> {
    for kind in ["function", "custom"] {
        if let Some(mut inner) = members.read_member::<Members<'_>>(kind)? {
            return inner.text("name");
        }
    }
    members.text("name")
}

/// Writes `tools`, where there are any.
pub(super) fn write_tools(
    request: &Request,
    profile: &Profile,
    undo: &mut Undo,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    if request.tools.is_empty() {
        return Ok(());
    }
    let mut outcome = Ok(());
    write_array(&request.tools, object.begin("tools"), |tool, out| {
        if outcome.is_ok() {
            outcome = write_tool(tool, profile, undo, losses, out);
        }
    });
    outcome
}

fn write_tool(
    tool: &Tool,
    profile: &Profile,
    undo: &mut Undo,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if let ToolKind::Server(raw) = &tool.kind {
        out.extend_from_slice(raw.json.get().as_bytes());
        return Ok(());
    }
    let mut object = ObjectWriter::new(out);
    let name = undo.names.fit(&tool.name, &OPENAI_TOOL).into_owned();
    match &tool.kind {
        ToolKind::FreeText { format } if profile.free_text_tools => {
            object.member("type", "custom");
            let mut custom = object.object("custom");
            custom.member("name", &name);
            custom.optional("description", tool.description.as_deref());
            if let Some(format) = format {
                custom.json("format", &nested(format));
            }
            custom.end();
        }
        kind => {
            object.member("type", "function");
            let mut function = object.object("function");
            function.member("name", &name);
            let told = tool.description.as_deref();
            match kind {
                ToolKind::Function { schema, strict } => {
                    function.optional("description", told);
                    function.optional("parameters", schema.as_deref());
                    function.optional("strict", *strict);
                }
                ToolKind::FreeText { format } => {
                    let (description, is_lost) = free_text::description(told, format.as_deref());
                    if is_lost {
                        losses.drop("tools.format")?;
                    }
                    undo.free_text_tools.push(tool.name.clone());
                    function.optional("description", description);
                    function.json("parameters", free_text::SCHEMA);
                }
                ToolKind::Server(_) => {}
            }
            for (name, json) in own(tool).filter_map(|(name, json)| Some((name.strip_prefix(INNER)?, json))) {
                function.json(name, json);
            }
            function.end();
        }
    }
    write_mark(tool.cache.as_ref(), profile.cache_marks, &mut object);
    for (name, json) in own(tool).filter(|(name, _)| !name.starts_with(INNER)) {
        object.json(name, json);
    }
    object.end();
    Ok(())
}

/// The format of a free text: Responses has no object of its own for the grammar in it.
fn nested(format: &RawValue) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Flat<'a> {
        #[serde(borrow)]
        syntax: &'a RawValue,
        #[serde(borrow)]
        definition: &'a RawValue,
    }
    let Ok(Flat { syntax, definition }) = serde_json::from_str::<Flat<'_>>(format.get()) else {
        return Cow::Borrowed(format.get());
    };
    let (syntax, definition) = (syntax.get(), definition.get());
    Cow::Owned(format!(
        r#"{{"type":"grammar","grammar":{{"syntax":{syntax},"definition":{definition}}}}}"#
    ))
}

fn own(tool: &Tool) -> impl Iterator<Item = (&str, &str)> {
    let own = tool.raw.iter().filter(|raw| raw.origin == OWN);
    own.map(|raw| (raw.name.as_str(), raw.json.get()))
}

/// Writes a mark for the prompt cache, as far as the provider knows any.
pub(super) fn write_mark(
    mark: Option<&crate::neutral::CacheMark>,
    marks: CacheMarks,
    object: &mut ObjectWriter<'_>,
) {
    let Some(mark) = mark else { return };
    match marks {
        CacheMarks::None => {}
        CacheMarks::CacheControl => {
            let mut control = object.object("cache_control");
            control.member("type", "ephemeral");
            control.optional("ttl", mark.ttl.as_deref());
            control.end();
        }
        CacheMarks::Breakpoint => {
            object.json("prompt_cache_breakpoint", r#"{"mode":"explicit"}"#);
        }
    }
}

/// Writes `tool_choice`.
pub(super) fn write_choice(
    request: &Request,
    profile: &Profile,
    undo: &mut Undo,
    object: &mut ObjectWriter<'_>,
) {
    let is_custom = |name: &str| {
        let tool = request.tools.iter().find(|tool| tool.name == name);
        profile.free_text_tools && tool.is_some_and(|tool| matches!(tool.kind, ToolKind::FreeText { .. }))
    };
    let mut write_named = |name: &str, out: &mut Vec<u8>| {
        let kind = if is_custom(name) { "custom" } else { "function" };
        let mut named = ObjectWriter::new(out);
        named.member("type", kind);
        let mut inner = named.object(kind);
        inner.member("name", &undo.names.fit(name, &OPENAI_TOOL));
        inner.end();
        named.end();
    };
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => {
            object.member("tool_choice", "auto");
        }
        Some(ToolChoice::Required) => {
            object.member("tool_choice", "required");
        }
        Some(ToolChoice::None) => {
            object.member("tool_choice", "none");
        }
        Some(ToolChoice::Tool(name)) => write_named(name, object.begin("tool_choice")),
        Some(ToolChoice::Among { names, required }) => {
            let mut choice = object.object("tool_choice");
            choice.member("type", "allowed_tools");
            let mut allowed = choice.object("allowed_tools");
            allowed.member("mode", if *required { "required" } else { "auto" });
            write_array(names, allowed.begin("tools"), |name, out| write_named(name, out));
            allowed.end();
            choice.end();
        }
    }
}
