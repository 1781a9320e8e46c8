//! Tools, and which of them must be called.

use crate::json::{Members, ObjectWriter, write_array};
use crate::neutral::names;
use crate::neutral::undo::free_text;
use crate::neutral::{Losses, Profile, Request, Tool, ToolChoice, ToolKind, Undo};
use crate::refusal::Refusal;
use crate::schema;

use super::super::block::{write_cache, write_raws};
use super::output::SchemaTool;

/// The schema of a tool without parameters.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;
/// The schema of a function that stands for a tool which takes a free text.
const ONE_TEXT: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;

/// Writes `tools` and `tool_choice`, and notes what has to be turned back in the answer.
pub(super) fn write_tools(
    request: &Request,
    profile: &Profile,
    schema_tool: Option<&SchemaTool<'_>>,
    undo: &mut Undo,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    let sent = sent(request);
    if sent.is_empty() && schema_tool.is_none() {
        return Ok(());
    }
    let mut outcome = Ok(());
    let tools = sent
        .into_iter()
        .map(Sent::Tool)
        .chain(schema_tool.map(Sent::Schema));
    write_array(tools, object.begin("tools"), |tool, out| {
        if outcome.is_ok() {
            outcome = match tool {
                Sent::Tool(tool) => write_tool(tool, profile, undo, losses, out),
                Sent::Schema(tool) => {
                    write_schema_tool(tool, out);
                    undo.schema_tool = Some(tool.name.clone());
                    Ok(())
                }
            };
        }
    });
    outcome?;
    let choice = schema_tool
        .map(|tool| &tool.choice)
        .or(request.tool_choice.as_ref());
    write_choice(choice, request.parallel_tools, profile, undo, object);
    Ok(())
}

/// How many marks for the prompt cache the tools have.
pub(super) fn marks(request: &Request) -> usize {
    sent(request).iter().filter(|tool| tool.cache.is_some()).count()
}

enum Sent<'a> {
    Tool(&'a Tool),
    Schema(&'a SchemaTool<'a>),
}

/// There is no word here for a choice among some of the tools: the others are left out.
fn sent(request: &Request) -> Vec<&Tool> {
    let is_sent = |tool: &&Tool| match &request.tool_choice {
        Some(ToolChoice::Among { names, .. }) => names.contains(&tool.name),
        _ => true,
    };
    request.tools.iter().filter(is_sent).collect()
}

fn write_tool(
    tool: &Tool,
    profile: &Profile,
    undo: &mut Undo,
    losses: &mut Losses,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if let ToolKind::Server(raw) = &tool.kind {
        // What another vendor runs has been refused.
        out.extend_from_slice(raw.json.get().as_bytes());
        return Ok(());
    }
    let mut object = ObjectWriter::new(out);
    object.member("name", &*undo.names.fit(&tool.name, &names::ANTHROPIC_TOOL));
    match &tool.kind {
        ToolKind::Function { schema, strict } => {
            object.optional("description", tool.description.as_ref());
            let schema = schema.as_ref().map(|schema| schema.get());
            let cut = match (strict, schema) {
                (Some(true), Some(schema)) if profile.json_schema => schema::for_anthropic(schema)?,
                _ => None,
            };
            let is_less = cut.as_ref().is_none_or(|cut| cut.lost);
            if *strict == Some(true) && is_less {
                losses.drop("tools.strict")?;
            }
            match cut {
                Some(cut) => {
                    object
                        .json("input_schema", cut.schema.get())
                        .member("strict", &true);
                }
                None => write_parameters(schema, object.begin("input_schema")),
            }
        }
        ToolKind::FreeText { format } => {
            undo.free_text_tools.push(tool.name.clone());
            let told = tool.description.as_deref();
            let (description, is_lost) = free_text::description(told, format.as_deref());
            if is_lost {
                losses.drop("tools.format")?;
            }
            object
                .optional("description", description)
                .json("input_schema", ONE_TEXT);
        }
        ToolKind::Server(_) => {}
    }
    write_raws(&mut object, &tool.raw);
    write_cache(&mut object, tool.cache.as_ref());
    object.end();
    Ok(())
}

/// A schema must say that it is of an object here, which clients of other dialects leave out at times.
fn write_parameters(schema: Option<&str>, out: &mut Vec<u8>) {
    let members = schema
        .and_then(Members::read)
        .filter(|members| !members.is_empty());
    let (Some(schema), Some(mut members)) = (schema, members) else {
        out.extend_from_slice(NO_PARAMETERS.as_bytes());
        return;
    };
    if members.take("type").is_some() {
        out.extend_from_slice(schema.as_bytes());
        return;
    }
    let mut object = ObjectWriter::new(out);
    object.member("type", "object");
    for (name, value) in members.rest() {
        object.json(&name, value.get());
    }
    object.end();
}

fn write_schema_tool(tool: &SchemaTool<'_>, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::new(out);
    object
        .member("name", &tool.name)
        .member("description", &tool.description);
    write_parameters(Some(tool.schema.get()), object.begin("input_schema"));
    object.end();
}

/// Where the client left the choice open but wants one call at a time, there has to be a choice to say that in.
fn write_choice(
    choice: Option<&ToolChoice>,
    parallel: Option<bool>,
    profile: &Profile,
    undo: &mut Undo,
    object: &mut ObjectWriter<'_>,
) {
    let one_at_a_time = parallel == Some(false) && profile.parallel_tools;
    if choice.is_none() && parallel.is_none() {
        return;
    }
    let kind = match choice {
        None | Some(ToolChoice::Auto | ToolChoice::Among { required: false, .. }) => "auto",
        Some(ToolChoice::Required | ToolChoice::Among { required: true, .. }) => "any",
        Some(ToolChoice::None) => "none",
        Some(ToolChoice::Tool(_)) => "tool",
    };
    let mut written = object.object("tool_choice");
    written.member("type", kind);
    if let Some(ToolChoice::Tool(name)) = choice {
        written.member("name", &*undo.names.fit(name, &names::ANTHROPIC_TOOL));
    }
    let is_said = one_at_a_time || parallel == Some(true) && choice.is_some();
    if is_said && kind != "none" {
        written.member("disable_parallel_tool_use", &one_at_a_time);
    }
    written.end();
}
