//! Reading a request.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::read_tools::{read_tool_choice, read_tools};
use crate::Dialect;
use crate::json::{Members, WrongType};
use crate::neutral::{
    Effort, OutputFormat, Part, Raw, Request, Role, Sampling, Thinking, ThinkingAmount, Turn, carry,
};
use crate::openai_responses::content::rest;
use crate::openai_responses::item::{Item, Message, read_item};
use crate::openai_responses::words;
use crate::refusal::{Code, Refusal};

/// `include` of this asks for log-probabilities.
const LOGPROBS: &str = "message.output_text.logprobs";
/// Others of which an answer that crosses dialects has nothing, or has it anyway.
const ANYWAY: [&str; 7] = [
    "reasoning.encrypted_content",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
];

/// Reads a request that is to go to another dialect.
///
/// # Errors
/// When it is not what the dialect says.
pub fn read_request(body: &[u8]) -> Result<Request, Refusal> {
    let members = std::str::from_utf8(body).ok().and_then(Members::read);
    let mut members =
        members.ok_or_else(|| Refusal::new(Code::InvalidJson, "the body is not a JSON object"))?;
    let mut request = Request {
        model: members.text("model")?.ok_or_else(|| missing("model"))?,
        stream: members.read_member("stream")?.unwrap_or(false),
        stream_usage: true,
        max_tokens: members.read_member("max_output_tokens")?,
        parallel_tools: members.read_member("parallel_tool_calls")?,
        sampling: Sampling {
            temperature: members.read_member("temperature")?,
            top_p: members.read_member("top_p")?,
            ..Sampling::default()
        },
        thinking: thinking(&mut members)?,
        service_tier: members.text("service_tier")?.as_deref().map(words::read_tier),
        user: user(&mut members)?,
        metadata: metadata(&mut members)?,
        ..Request::default()
    };
    request.logprobs = logprobs(&mut members, &mut request.raw)?;
    output(&mut members, &mut request)?;
    if let Some(tools) = members.take("tools") {
        request.tools = read_tools(tools)?;
    }
    let choice = members.take("tool_choice");
    request.tool_choice = choice.map(read_tool_choice).transpose()?.flatten();
    if let (Some(choice), None) = (choice, &request.tool_choice) {
        request.raw.push(Raw::new(
            Dialect::OpenaiResponses,
            "tool_choice",
            choice.to_owned(),
        ));
    }
    conversation(&mut members, &mut request)?;
    request.raw.extend(rest(members));
    Ok(request)
}

fn missing(member: &'static str) -> Refusal {
    Refusal::new(Code::MissingMember, format!("the member `{member}` is missing")).param(member)
}

/// Instructions and input, as turns.
fn conversation(members: &mut Members<'_>, request: &mut Request) -> Result<(), Refusal> {
    if let Some(instructions) = members.text("instructions")? {
        request
            .turns
            .push(Turn::new(Role::System, vec![Part::text(instructions)]));
    }
    let Some(input) = members.take("input") else {
        // What is stored with the vendor can stand in its place; that is refused by its own name.
        return Ok(());
    };
    if input.get().starts_with('"') {
        let text: String = serde_json::from_str(input.get()).map_err(|_| WrongType("input"))?;
        request.turns.push(Turn::new(Role::User, vec![Part::text(text)]));
        return Ok(());
    }
    let items: Vec<&RawValue> = serde_json::from_str(input.get()).map_err(|_| WrongType("input"))?;
    let mut turns = Turns::new(&mut request.turns);
    for item in items {
        match read_item(item)? {
            Item::Message(message) => turns.message(message),
            Item::Said(parts) => turns.said(parts),
            Item::Result(result) => turns.result(Part::ToolResult(*result)),
            Item::Done(raw) => turns.result(Part::Raw(raw)),
            Item::Tools(tools) => {
                for tool in read_tools(tools)? {
                    if !request.tools.iter().any(|known| known.name == tool.name) {
                        request.tools.push(tool);
                    }
                }
            }
            Item::Nothing => {}
        }
    }
    carry::seal_texts(&mut request.turns);
    request.answers_anew = request.ends_with_answer();
    Ok(())
}

/// The flat list of items as turns: what the model said between two things of the user is one turn (pitfall P18).
struct Turns<'a> {
    turns: &'a mut Vec<Turn>,
    /// Whether the last turn is one of the model's, or one of results, which the next item goes on with.
    open: Open,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Said,
    Results,
}

impl<'a> Turns<'a> {
    fn new(turns: &'a mut Vec<Turn>) -> Self {
        Self {
            turns,
            open: Open::Nothing,
        }
    }

    fn message(&mut self, message: Message) {
        let Message { role, parts, phase } = message;
        if role != Role::Assistant {
            self.open = Open::Nothing;
            self.turns.push(Turn::new(role, parts));
            return;
        }
        let turn = self.go_on(Open::Said, Role::Assistant);
        if let Some(phase) = phase {
            add_phase(turn, phase);
        }
        turn.parts.extend(parts);
    }

    fn said(&mut self, parts: Vec<Part>) {
        self.go_on(Open::Said, Role::Assistant).parts.extend(parts);
    }

    fn result(&mut self, part: Part) {
        self.go_on(Open::Results, Role::User).parts.push(part);
    }

    /// The last turn when it is of this kind, else a new one.
    fn go_on(&mut self, kind: Open, role: Role) -> &mut Turn {
        let last = if self.open == kind { self.turns.pop() } else { None };
        self.open = kind;
        self.turns
            .push_mut(last.unwrap_or_else(|| Turn::new(role, Vec::new())))
    }
}

/// Notes the phase of the message whose texts come next: one entry for each text of the turn so far and for this one.
fn add_phase(turn: &mut Turn, phase: Raw) {
    let texts = turn
        .parts
        .iter()
        .filter(|part| matches!(part, Part::Text(_) | Part::Refusal(_)));
    while turn.raw.len() < texts.clone().count() {
        let none = Raw::new(Dialect::OpenaiResponses, "phase", RawValue::NULL.to_owned());
        turn.raw.push(none);
    }
    turn.raw.push(phase);
}

fn thinking(members: &mut Members<'_>) -> Result<Option<Thinking>, WrongType> {
    let Some(mut reasoning) = members.read_member::<Members<'_>>("reasoning")? else {
        return Ok(None);
    };
    let effort = reasoning.text("effort")?;
    // The second is the old name of the first.
    let summary = reasoning.text("summary")?.or(reasoning.text("generate_summary")?);
    if effort.is_none() && summary.is_none() {
        return Ok(None);
    }
    Ok(Some(Thinking {
        amount: effort.map_or(ThinkingAmount::Free, |word| {
            ThinkingAmount::Effort(Effort::of_word(&word))
        }),
        show: summary.map(|_| true),
    }))
}

/// Whether log-probabilities are wanted: the number of alternatives alone asks for none. What else is asked for, and
/// not known, is carried.
fn logprobs(members: &mut Members<'_>, raw: &mut Vec<Raw>) -> Result<Option<u64>, WrongType> {
    let include = members.take("include");
    let alternatives: Option<u64> = members.read_member("top_logprobs")?;
    let Some(include) = include else {
        return Ok(None);
    };
    let wanted: Vec<Cow<'_, str>> = serde_json::from_str(include.get()).map_err(|_| WrongType("include"))?;
    if wanted
        .iter()
        .any(|what| what != LOGPROBS && !ANYWAY.contains(&what.as_ref()))
    {
        raw.push(Raw::new(Dialect::OpenaiResponses, "include", include.to_owned()));
    }
    Ok(wanted
        .iter()
        .any(|what| what == LOGPROBS)
        .then(|| alternatives.unwrap_or(0)))
}

fn user(members: &mut Members<'_>) -> Result<Option<String>, WrongType> {
    let user = members.text("user")?;
    Ok(members.text("safety_identifier")?.or(user))
}

fn metadata(members: &mut Members<'_>) -> Result<Vec<(String, String)>, WrongType> {
    let pairs: Option<Members<'_>> = members.read_member("metadata")?;
    let pair = |(name, value): (Cow<'_, str>, &RawValue)| {
        let value = serde_json::from_str(value.get()).map_err(|_| WrongType("metadata"))?;
        Ok((name.into_owned(), value))
    };
    pairs.into_iter().flat_map(Members::rest).map(pair).collect()
}

/// The form of the answer, and how wordy it shall be.
fn output(members: &mut Members<'_>, request: &mut Request) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Format {
        r#type: String,
        name: Option<String>,
        description: Option<String>,
        schema: Option<Box<RawValue>>,
        strict: Option<bool>,
    }
    let Some(mut text) = members.read_member::<Members<'_>>("text")? else {
        return Ok(());
    };
    if let Some(verbosity) = text.take("verbosity") {
        request.raw.push(Raw::new(
            Dialect::OpenaiResponses,
            "verbosity",
            verbosity.to_owned(),
        ));
    }
    let format: Option<Format> = text.read_member("format").map_err(|_| WrongType("text.format"))?;
    request.output = match format {
        None => OutputFormat::Text,
        Some(format) => match format.r#type.as_str() {
            "text" => OutputFormat::Text,
            "json_object" => OutputFormat::JsonObject,
            "json_schema" => OutputFormat::JsonSchema {
                name: format.name,
                description: format.description,
                schema: format.schema.ok_or_else(|| missing("text.format.schema"))?,
                strict: format.strict,
            },
            _ => return Err(WrongType("text.format").into()),
        },
    };
    Ok(())
}
