//! Reading tools, and which of them is to be called.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Dialect;
use crate::json::{Members, WrongType};
use crate::neutral::{Raw, Tool, ToolChoice, ToolKind};
use crate::openai_responses::content::rest;
use crate::openai_responses::namespace;

/// Reads a list of tools; those in namespaces stand for themselves in it.
///
/// # Errors
/// When it is no list, or a tool lacks what it must have.
pub(super) fn read_tools(json: &RawValue) -> Result<Vec<Tool>, WrongType> {
    let mut tools = Vec::new();
    add_tools(json, None, &mut tools)?;
    Ok(tools)
}

fn add_tools(json: &RawValue, space: Option<&str>, tools: &mut Vec<Tool>) -> Result<(), WrongType> {
    let wrong = WrongType("tools");
    let list: Vec<&RawValue> = serde_json::from_str(json.get()).map_err(|_| wrong)?;
    for json in list {
        let mut members = Members::read(json.get()).ok_or(wrong)?;
        let kind = members.text("type")?.unwrap_or_default();
        match kind.as_str() {
            "function" => tools.push(function(members, space)?),
            "custom" => tools.push(free_text(members, space)?),
            "namespace" if space.is_none() => {
                let name = members.text("name")?.ok_or(wrong)?;
                add_tools(members.take("tools").ok_or(wrong)?, Some(&name), tools)?;
            }
            // The tools that could be found are all told of at once, so there is nothing to search for; unless the
            // client itself has more.
            "tool_search" if members.text("execution")?.as_deref() != Some("client") => {}
            _ => tools.push(server(kind, json)),
        }
    }
    Ok(())
}

fn function(mut members: Members<'_>, space: Option<&str>) -> Result<Tool, WrongType> {
    let name = members.text("name")?.ok_or(WrongType("tools"))?;
    let schema = members.take("parameters").map(ToOwned::to_owned);
    let strict = members.read_member("strict")?;
    members.take("defer_loading");
    Ok(Tool {
        name: namespace::join(space, name),
        description: members.text("description")?,
        kind: ToolKind::Function { schema, strict },
        cache: None,
        raw: rest(members),
    })
}

fn free_text(mut members: Members<'_>, space: Option<&str>) -> Result<Tool, WrongType> {
    let name = members.text("name")?.ok_or(WrongType("tools"))?;
    let format = members.take("format").map(ToOwned::to_owned);
    members.take("defer_loading");
    Ok(Tool {
        name: namespace::join(space, name),
        description: members.text("description")?,
        kind: ToolKind::FreeText { format },
        cache: None,
        raw: rest(members),
    })
}

fn server(kind: String, json: &RawValue) -> Tool {
    Tool {
        name: kind,
        description: None,
        kind: ToolKind::Server(Raw::new(Dialect::OpenaiResponses, "", json.to_owned())),
        cache: None,
        raw: Vec::new(),
    }
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    name: Option<String>,
    namespace: Option<String>,
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tools: Option<Vec<Choice<'a>>>,
}

/// What is to be called; `None` when it is a tool of the vendor's.
///
/// # Errors
/// When it is no choice at all.
pub(super) fn read_tool_choice(json: &RawValue) -> Result<Option<ToolChoice>, WrongType> {
    let wrong = WrongType("tool_choice");
    match json.get() {
        "\"auto\"" => return Ok(Some(ToolChoice::Auto)),
        "\"required\"" => return Ok(Some(ToolChoice::Required)),
        "\"none\"" => return Ok(Some(ToolChoice::None)),
        _ => {}
    }
    let choice: Choice<'_> = serde_json::from_str(json.get()).map_err(|_| wrong)?;
    if choice.r#type != "allowed_tools" {
        return Ok(choice.tool().map(ToolChoice::Tool));
    }
    let required = choice.mode.as_deref() == Some("required");
    let names: Option<Vec<String>> = choice
        .tools
        .unwrap_or_default()
        .into_iter()
        .map(Choice::tool)
        .collect();
    Ok(names.map(|names| ToolChoice::Among { names, required }))
}

impl Choice<'_> {
    fn tool(self) -> Option<String> {
        let is_clients = matches!(self.r#type.as_ref(), "function" | "custom");
        let name = self.name.filter(|_| is_clients)?;
        Some(namespace::join(self.namespace.as_deref(), name))
    }
}
