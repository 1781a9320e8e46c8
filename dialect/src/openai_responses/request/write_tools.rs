//! Writing tools, and which of them is to be called.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Dialect;
use crate::json::{ObjectWriter, write, write_array};
use crate::neutral::names::OPENAI_TOOL;
use crate::neutral::undo::free_text;
use crate::neutral::{Losses, Names, Profile, Tool, ToolChoice, ToolKind, Undo};
use crate::refusal::Refusal;

/// What a function without parameters takes.
const NOTHING: &str = r#"{"type":"object","properties":{}}"#;

pub(super) fn write_tools(
    tools: &[Tool],
    profile: &Profile,
    undo: &mut Undo,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    if tools.is_empty() {
        return Ok(());
    }
    let mut outcome = Ok(());
    write_array(tools, object.begin("tools"), |tool, out| {
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
    let kind = match &tool.kind {
        ToolKind::Server(raw) => {
            out.extend_from_slice(raw.json.get().as_bytes());
            return Ok(());
        }
        ToolKind::FreeText { .. } if profile.free_text_tools => "custom",
        ToolKind::Function { .. } | ToolKind::FreeText { .. } => "function",
    };
    let mut object = ObjectWriter::new(out);
    object
        .member("type", kind)
        .member("name", &undo.names.fit(&tool.name, &OPENAI_TOOL));
    let told = tool.description.as_deref();
    let (description, is_lost) = match &tool.kind {
        ToolKind::FreeText { format } if !profile.free_text_tools => {
            free_text::description(told, format.as_deref())
        }
        _ => (told.map(Cow::Borrowed), false),
    };
    if is_lost {
        losses.drop("tools.format")?;
    }
    object.optional("description", description);
    match &tool.kind {
        ToolKind::Function { schema, strict } => {
            let schema = schema.as_ref().map_or(NOTHING, |schema| schema.get());
            object.json("parameters", schema);
            // Left out, it would mean that the schema is held to, which it may not be fit for (pitfall P33).
            object.member("strict", &strict.unwrap_or(false));
        }
        ToolKind::FreeText { .. } if !profile.free_text_tools => {
            undo.free_text_tools.push(tool.name.clone());
            object
                .json("parameters", free_text::SCHEMA)
                .member("strict", &false);
        }
        ToolKind::FreeText { format: Some(format) } => {
            object.json("format", &flat(format));
        }
        ToolKind::FreeText { format: None } | ToolKind::Server(_) => {}
    }
    for raw in tool
        .raw
        .iter()
        .filter(|raw| raw.origin == Dialect::OpenaiResponses)
    {
        object.json(&raw.name, raw.json.get());
    }
    object.end();
    Ok(())
}

/// The format of a free text: Chat Completions has the grammar in an object of its own inside it.
fn flat(format: &RawValue) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Nested<'a> {
        #[serde(borrow)]
        grammar: Grammar<'a>,
    }
    #[derive(Deserialize)]
    struct Grammar<'a> {
        #[serde(borrow)]
        syntax: &'a RawValue,
        #[serde(borrow)]
        definition: &'a RawValue,
    }
    let Ok(Nested { grammar }) = serde_json::from_str::<Nested<'_>>(format.get()) else {
        return Cow::Borrowed(format.get());
    };
    let (syntax, definition) = (grammar.syntax.get(), grammar.definition.get());
    Cow::Owned(format!(
        r#"{{"type":"grammar","syntax":{syntax},"definition":{definition}}}"#
    ))
}

pub(super) fn write_tool_choice(
    choice: &ToolChoice,
    tools: &[Tool],
    profile: &Profile,
    names: &mut Names,
    out: &mut Vec<u8>,
) {
    match choice {
        ToolChoice::Auto => write("auto", out),
        ToolChoice::Required => write("required", out),
        ToolChoice::None => write("none", out),
        ToolChoice::Tool(name) => write_named(name, tools, profile, names, out),
        ToolChoice::Among {
            names: among,
            required,
        } => {
            let mut object = ObjectWriter::new(out);
            object
                .member("type", "allowed_tools")
                .member("mode", if *required { "required" } else { "auto" });
            write_array(among, object.begin("tools"), |name, out| {
                write_named(name, tools, profile, names, out);
            });
            object.end();
        }
    }
}

fn write_named(name: &str, tools: &[Tool], profile: &Profile, names: &mut Names, out: &mut Vec<u8>) {
    let tool = tools.iter().find(|tool| tool.name == name);
    let is_free_text =
        profile.free_text_tools && tool.is_some_and(|tool| matches!(tool.kind, ToolKind::FreeText { .. }));
    let mut object = ObjectWriter::new(out);
    object
        .member("type", if is_free_text { "custom" } else { "function" })
        .member("name", &names.fit(name, &OPENAI_TOOL));
    object.end();
}
