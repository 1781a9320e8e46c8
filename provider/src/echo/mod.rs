//! The provider that is always there: `echo`, with the model `echo-1`.
//!
//! It says what it was told, in the dialect openai_chat and inside this process, so that the whole way of a call can
//! be seen without any account. It streams word by word, calls a tool when it is asked to, and counts words as
//! tokens.

mod arguments;
mod write;

use bytes::Bytes;
use dialect::openai_chat::{ModelEntry, write_refusal};
use dialect::refusal::{Code, Refusal};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::upstream::Answer;

/// The one model.
pub const MODEL: &str = "echo-1";

#[derive(Deserialize)]
struct Request {
    model: String,
    messages: Vec<Message>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    tools: Vec<Tool>,
    tool_choice: Option<Value>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Value>,
}

#[derive(Deserialize)]
struct Tool {
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    parameters: Option<Value>,
}

/// What is answered, before it is written.
struct Reply {
    said: Said,
    input_words: usize,
    output_words: usize,
}

enum Said {
    Text { words: Vec<String>, cut: bool },
    ToolCall { name: String, arguments: String },
}

/// Answers a request whose body comes in these pieces. `now_s` is in seconds since the Unix epoch.
pub fn answer(body: &[Bytes], now_s: i64, id: &str) -> Answer {
    let request = match serde_json::from_slice::<Request>(&body.concat()) {
        Ok(request) => request,
        Err(_) => return refuse(Code::InvalidValue, "The request has a member of a wrong type."),
    };
    if request.model != MODEL {
        return refuse(
            Code::ModelNotFound,
            "The provider `echo` has one model, `echo-1`.",
        );
    }
    let reply = Reply::to(&request);
    let heading = write::Heading { id, now_s };
    if request.stream.unwrap_or(false) {
        let include_usage = request
            .stream_options
            .and_then(|options| options.include_usage)
            .unwrap_or(false);
        Answer::ready(
            StatusCode::OK,
            "text/event-stream",
            write::stream(&heading, &reply, include_usage),
        )
    } else {
        Answer::ready(
            StatusCode::OK,
            "application/json",
            vec![write::whole(&heading, &reply)],
        )
    }
}

/// The models of this provider.
pub fn models() -> Vec<ModelEntry> {
    vec![ModelEntry {
        id: MODEL.to_owned(),
        created_at_s: 0,
        owned_by: "echo".to_owned(),
    }]
}

fn refuse(code: Code, message: &str) -> Answer {
    let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let body = write_refusal(&Refusal::new(code, message));
    Answer::ready(status, "application/json", vec![Bytes::from(body)])
}

impl Reply {
    fn to(request: &Request) -> Self {
        let input_words = request
            .messages
            .iter()
            .map(|message| text_of(message).split_whitespace().count())
            .sum();
        let said = match wanted_tool(request) {
            Some(function) => Said::ToolCall {
                name: function.name.clone(),
                arguments: arguments::for_schema(function.parameters.as_ref()).to_string(),
            },
            None => say(request),
        };
        let output_words = match &said {
            Said::Text { words, .. } => words.len(),
            Said::ToolCall { arguments, .. } => 1 + arguments.split_whitespace().count(),
        };
        Self {
            said,
            input_words,
            output_words,
        }
    }
}

/// The last message's words, with the spaces before them, as far as the client lets us speak.
fn say(request: &Request) -> Said {
    let text = request
        .messages
        .iter()
        .rfind(|message| matches!(message.role.as_str(), "user" | "tool"))
        .map(text_of)
        .unwrap_or_default();
    let max = request
        .max_completion_tokens
        .or(request.max_tokens)
        .unwrap_or(usize::MAX);
    let words = text.split_inclusive(char::is_whitespace).map(str::to_owned);
    let words: Vec<String> = words.take(max.saturating_add(1)).collect();
    let cut = words.len() > max;
    Said::Text {
        words: words.into_iter().take(max).collect(),
        cut,
    }
}

/// The tool to call: the one that `tool_choice` names, the first one when it is `required`, else one whose name the
/// last message holds, if that message is the user's.
fn wanted_tool(request: &Request) -> Option<&Function> {
    let functions = || request.tools.iter().map(|tool| &tool.function);
    let last = request.messages.last().filter(|message| message.role == "user")?;
    match &request.tool_choice {
        Some(Value::String(choice)) if choice == "none" => None,
        Some(Value::String(choice)) if choice == "required" => functions().next(),
        Some(Value::Object(choice)) => {
            let name = choice
                .get("function")
                .and_then(|function| function.get("name"))?
                .as_str()?;
            functions().find(|function| function.name == name)
        }
        _ => {
            let text = text_of(last);
            functions().find(|function| text.contains(&function.name))
        }
    }
}

/// The text of a message, which may stand in parts.
fn text_of(message: &Message) -> String {
    match &message.content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
