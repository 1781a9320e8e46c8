//! Tools and their choice, for Gemini: functions in one list, and what Google runs beside them.

use std::borrow::Cow;

use super::write::{own, write_own};
use crate::json::ObjectWriter;
use crate::neutral::names::{self, GEMINI_TOOL};
use crate::neutral::undo::free_text;
use crate::neutral::{
    Losses, OutputFormat, Request, Target, ThinkingStyle, Tool, ToolChoice, ToolKind, Undo,
};
use crate::refusal::Refusal;
use crate::schema;

/// How the tools of a request are sent.
pub(super) struct Plan {
    /// The tool that stands for the schema of the answer, where the model does not take both.
    pub(super) schema_tool: Option<String>,
    has_functions: bool,
}

/// A mode, and the names to which it is bound.
type Choice<'r> = (&'static str, Vec<Cow<'r, str>>);

/// The schema of a tool that takes one free text.
const FREE_TEXT: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;
const SCHEMA_TOOL: &str = "give_answer";
const SCHEMA_TOOL_DESCRIPTION: &str = "Gives the final answer. Call it once, when the answer is ready.";
const CONFIG: &str = "toolConfig.";
const CALLING: &str = "toolConfig.functionCallingConfig.";

impl Plan {
    pub(super) fn new(request: &Request, target: &Target<'_>, undo: &mut Undo) -> Self {
        let has_functions = request.tools.iter().any(is_function);
        let profile = target.profile;
        let is_native = profile.json_schema && (profile.json_schema_with_tools || !has_functions);
        let wants_schema = matches!(request.output, OutputFormat::JsonSchema { .. });
        let schema_tool = (wants_schema && !is_native).then(|| names::unused(SCHEMA_TOOL, &request.tools));
        undo.schema_tool.clone_from(&schema_tool);
        Self {
            schema_tool,
            has_functions,
        }
    }

    /// Writes the members `tools` and `toolConfig`.
    pub(super) fn write(
        &self,
        request: &Request,
        target: &Target<'_>,
        losses: &mut Losses,
        undo: &mut Undo,
        object: &mut ObjectWriter<'_>,
    ) -> Result<(), Refusal> {
        let has_any = self.has_functions || self.schema_tool.is_some();
        for tool in &request.tools {
            if tool.cache.is_some() {
                losses.mention("cache_control");
            }
        }
        if has_any || !request.tools.is_empty() {
            let out = object.begin("tools");
            out.push(b'[');
            if has_any {
                self.write_functions(request, target, losses, undo, out)?;
            }
            write_server_tools(&request.tools, out);
            out.push(b']');
        }
        self.write_config(request, target, losses, has_any, object)
    }

    fn write_functions(
        &self,
        request: &Request,
        target: &Target<'_>,
        losses: &mut Losses,
        undo: &mut Undo,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let mut object = ObjectWriter::new(out);
        let out = object.begin("functionDeclarations");
        out.push(b'[');
        for tool in request.tools.iter().filter(|tool| is_function(tool)) {
            if !out.ends_with(b"[") {
                out.push(b',');
            }
            write_function(tool, target, losses, undo, out)?;
        }
        if let (Some(name), OutputFormat::JsonSchema { schema, .. }) = (&self.schema_tool, &request.output) {
            if !out.ends_with(b"[") {
                out.push(b',');
            }
            let mut object = ObjectWriter::new(out);
            object
                .member("name", name)
                .member("description", SCHEMA_TOOL_DESCRIPTION);
            write_parameters(schema.get(), "response_format", target, losses, &mut object)?;
            object.end();
        }
        out.push(b']');
        object.end();
        Ok(())
    }

    fn write_config(
        &self,
        request: &Request,
        target: &Target<'_>,
        losses: &mut Losses,
        has_any: bool,
        object: &mut ObjectWriter<'_>,
    ) -> Result<(), Refusal> {
        let mut json = Vec::new();
        let mut config = ObjectWriter::new(&mut json);
        if has_any && let Some((mode, allowed)) = self.choice(request, target, losses)? {
            let told = own(&request.raw).find(|raw| raw.name.strip_prefix(CALLING) == Some("mode"));
            let mut calling = config.object("functionCallingConfig");
            match told {
                Some(raw) => calling.json("mode", raw.json.get()),
                None => calling.member("mode", mode),
            };
            if !allowed.is_empty() {
                calling.member("allowedFunctionNames", &allowed);
            }
            for raw in own(&request.raw) {
                if let Some(name) = raw.name.strip_prefix(CALLING).filter(|name| *name != "mode") {
                    calling.json(name, raw.json.get());
                }
            }
            calling.end();
        }
        write_own(&request.raw, CONFIG, &mut config);
        config.end();
        if json != b"{}" {
            object.begin("toolConfig").extend(json);
        }
        Ok(())
    }

    /// The mode, and the names to which it is bound; `None` where nothing needs to be said.
    fn choice<'r>(
        &'r self,
        request: &'r Request,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Option<Choice<'r>>, Refusal> {
        let fit = |name: &'r str| names::fit(name, &GEMINI_TOOL);
        let clients = || {
            request
                .tools
                .iter()
                .filter(|tool| is_function(tool))
                .map(|tool| fit(&tool.name))
                .collect()
        };
        let schema_tool = self.schema_tool.as_deref();
        Ok(Some(match (&request.tool_choice, schema_tool) {
            (Some(ToolChoice::None), Some(own)) => ("ANY", vec![Cow::Borrowed(own)]),
            (None | Some(ToolChoice::Auto), Some(_)) => ("ANY", Vec::new()),
            (Some(ToolChoice::Required), Some(_)) => ("ANY", clients()),
            (Some(ToolChoice::None), None) => ("NONE", Vec::new()),
            (Some(ToolChoice::Required), None) => ("ANY", Vec::new()),
            (Some(ToolChoice::Tool(name)), _) => ("ANY", vec![fit(name)]),
            (Some(ToolChoice::Among { names, required }), _) => {
                let mut names: Vec<_> = names.iter().map(|name| fit(name)).collect();
                match schema_tool {
                    Some(own) if !required => {
                        names.push(Cow::Borrowed(own));
                        ("ANY", names)
                    }
                    _ => (if *required { "ANY" } else { "VALIDATED" }, names),
                }
            }
            (None | Some(ToolChoice::Auto), None) => {
                if is_strict(request) && target.profile.thinking != ThinkingStyle::None {
                    return Ok(Some(("VALIDATED", Vec::new())));
                }
                if is_strict(request) {
                    losses.drop("tools.strict")?;
                }
                return Ok(request.tool_choice.as_ref().map(|_| ("AUTO", Vec::new())));
            }
        }))
    }
}

/// Whether the client wants calls held to their schemas. Google does so for all functions or for none.
fn is_strict(request: &Request) -> bool {
    request.tools.iter().any(|tool| {
        matches!(
            tool.kind,
            ToolKind::Function {
                strict: Some(true),
                ..
            }
        )
    })
}

fn is_function(tool: &Tool) -> bool {
    !matches!(tool.kind, ToolKind::Server(_))
}

fn write_function(
    tool: &Tool,
    target: &Target<'_>,
    losses: &mut Losses,
    undo: &mut Undo,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let mut object = ObjectWriter::new(out);
    object.member("name", &undo.names.fit(&tool.name, &GEMINI_TOOL));
    let told = tool.description.as_deref();
    let (description, is_lost) = match &tool.kind {
        ToolKind::FreeText { format } => free_text::description(told, format.as_deref()),
        ToolKind::Function { .. } | ToolKind::Server(_) => (told.map(Cow::Borrowed), false),
    };
    if is_lost {
        losses.drop("tools.format")?;
    }
    // Google's document wants one.
    object.member("description", &description.unwrap_or_default());
    match &tool.kind {
        ToolKind::Function {
            schema: Some(schema), ..
        } => write_parameters(schema.get(), "tools.parameters", target, losses, &mut object)?,
        ToolKind::FreeText { .. } => {
            undo.free_text_tools.push(tool.name.clone());
            write_parameters(FREE_TEXT, "tools.parameters", target, losses, &mut object)?;
        }
        ToolKind::Function { schema: None, .. } | ToolKind::Server(_) => {}
    }
    for raw in own(&tool.raw) {
        object.json(&raw.name, raw.json.get());
    }
    object.end();
    Ok(())
}

/// The schema as it is where the model takes that; else what Google's older kind of schema can say of it, and nothing at
/// all for an object without members, which older models refuse.
fn write_parameters(
    schema: &str,
    member: &'static str,
    target: &Target<'_>,
    losses: &mut Losses,
    object: &mut ObjectWriter<'_>,
) -> Result<(), Refusal> {
    if target.profile.full_json_schema {
        object.json("parametersJsonSchema", schema);
    } else if !schema::is_without_members(schema) {
        let cut = schema::for_gemini(schema)?;
        if cut.lost {
            losses.drop(member)?;
        }
        object.json("parameters", cut.schema.get());
    }
    Ok(())
}

fn write_server_tools(tools: &[Tool], out: &mut Vec<u8>) {
    for tool in tools {
        if let ToolKind::Server(raw) = &tool.kind {
            if !out.ends_with(b"[") {
                out.push(b',');
            }
            let mut object = ObjectWriter::new(out);
            object.json(&raw.name, raw.json.get());
            object.end();
        }
    }
}
