//! What a request or an answer means, without how its dialect spells it: the two sides of a crossing are compared by it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Dialect;
use crate::neutral::undo::free_text;
use crate::neutral::{
    Arguments, Citation, Finish, Media, MediaSource, OutputFormat, Part, Reasoning, Reply, Request, Role,
    Seal, ThinkingAmount, ToolChoice, ToolKind, ToolResult,
};
use crate::schema::is_without_members;

/// Meanings by subject. A subject is one of [`SUBJECTS`].
pub(super) type Gist = BTreeMap<&'static str, String>;

/// Each subject, and words one of which stands in the name of a member that is lost when it differs.
pub(super) const SUBJECTS: [(&str, &[&str]); 27] = [
    ("cache", &["cache"]),
    ("choices", &["n", "candidateCount"]),
    ("citations", &["citations", "annotations"]),
    ("conversation", &["messages", "input", "contents", "system"]),
    ("detail", &["detail"]),
    ("documents", &["file", "document", "media"]),
    ("errors", &["is_error", "error"]),
    ("frequency_penalty", &["frequency"]),
    ("images", &["image", "media"]),
    ("max_tokens", &["max"]),
    ("metadata", &["metadata", "labels"]),
    ("names", &["name", "title"]),
    ("output", &["format", "schema", "response", "output"]),
    ("parallel", &["parallel"]),
    ("presence_penalty", &["presence"]),
    ("reasoning", &["thinking", "reasoning", "thought", "encrypted"]),
    (
        "seals",
        &["signature", "encrypted", "thought", "seal", "reasoning"],
    ),
    ("seed", &["seed"]),
    (
        "show",
        &[
            "summary",
            "display",
            "include_thoughts",
            "includeThoughts",
            "reasoning",
            "thinking",
        ],
    ),
    ("stop", &["stop"]),
    ("strict", &["strict"]),
    ("temperature", &["temperature"]),
    ("thinking", &["effort", "thinking", "reasoning"]),
    ("tier", &["tier", "speed"]),
    ("tools", &["tools", "functions"]),
    ("top_k", &["top_k", "topK"]),
    ("top_p", &["top_p", "topP"]),
];

pub(super) fn of_request(request: &Request) -> Gist {
    let mut gist = Gist::new();
    conversation(request, &mut gist);
    tools(request, &mut gist);
    let sampling = &request.sampling;
    put(&mut gist, "temperature", sampling.temperature);
    put(&mut gist, "top_p", sampling.top_p);
    put(&mut gist, "top_k", sampling.top_k);
    put(&mut gist, "seed", sampling.seed);
    put(&mut gist, "frequency_penalty", sampling.frequency_penalty);
    put(&mut gist, "presence_penalty", sampling.presence_penalty);
    put(&mut gist, "max_tokens", request.max_tokens);
    put(
        &mut gist,
        "choices",
        request.choices.filter(|choices| *choices != 1),
    );
    put(&mut gist, "tier", request.service_tier.as_ref());
    put(
        &mut gist,
        "parallel",
        request.parallel_tools.filter(|parallel| !parallel),
    );
    let mut stop = request.stop.clone();
    stop.sort();
    put(&mut gist, "stop", Some(stop).filter(|stop| !stop.is_empty()));
    put(
        &mut gist,
        "metadata",
        Some(&request.metadata).filter(|pairs| !pairs.is_empty()),
    );
    if let Some(thinking) = &request.thinking {
        let amount = Some(&thinking.amount).filter(|amount| **amount != ThinkingAmount::Free);
        put(&mut gist, "thinking", amount);
        put(&mut gist, "show", thinking.show);
    }
    match &request.output {
        OutputFormat::Text => {}
        OutputFormat::JsonObject => put(&mut gist, "output", Some("object")),
        OutputFormat::JsonSchema { schema, .. } => put(&mut gist, "output", Some(canonical(schema.get()))),
    }
    gist
}

fn put(gist: &mut Gist, subject: &'static str, value: Option<impl std::fmt::Debug>) {
    assert!(SUBJECTS.iter().any(|(known, _)| *known == subject), "{subject}");
    if let Some(value) = value {
        let text = gist.entry(subject).or_default();
        text.push_str(&format!("{value:?}\n"));
    }
}

/// Adds a text of the conversation. Where one block ends and the next begins is not the same in all dialects.
fn said(gist: &mut Gist, text: &str) {
    let conversation = gist.entry("conversation").or_default();
    if conversation.ends_with(SPEECH) {
        conversation.pop();
    }
    conversation.push_str(text);
    conversation.push(SPEECH);
}

/// Ends a text that another may go on with.
const SPEECH: char = '\u{1}';

fn conversation(request: &Request, gist: &mut Gist) {
    let mut speaker = String::new();
    let mut calls = Vec::new();
    let mut results = Vec::new();
    for turn in &request.turns {
        let role = match &turn.role {
            Role::Other(role) => role.clone(),
            role => format!("{role:?}"),
        };
        put(gist, "names", turn.name.as_ref());
        for part in &turn.parts {
            if matches!(part, Part::Text(text) if text.text.is_empty()) {
                continue;
            }
            if speaker != role {
                put(gist, "conversation", Some(format!("[{role}]")));
                role.clone_into(&mut speaker);
            }
            match part {
                Part::ToolCall(call) => calls.push((call.id.clone(), call.name.clone())),
                Part::ToolResult(result) => {
                    results.push(result);
                    continue;
                }
                _ => end_of_results(&mut results, &calls, gist),
            }
            one_part(part, &calls, gist);
        }
    }
    end_of_results(&mut results, &calls, gist);
}

/// Results are the same in any order.
fn end_of_results(results: &mut Vec<&ToolResult>, calls: &[(String, String)], gist: &mut Gist) {
    results.sort_by_key(|result| calls.iter().rposition(|(id, _)| *id == result.call_id));
    for result in results.drain(..) {
        one_result(result, calls, gist);
    }
}

fn one_part(part: &Part, calls: &[(String, String)], gist: &mut Gist) {
    match part {
        Part::Text(text) => {
            said(gist, &text.text);
            put(gist, "cache", text.cache.as_ref().map(|_| &text.text));
            seal(text.seal.as_ref(), gist);
            put(
                gist,
                "citations",
                Some(&text.citations)
                    .filter(|citations| !citations.is_empty())
                    .map(|citations| urls(citations)),
            );
        }
        Part::Refusal(text) => said(gist, text),
        Part::Reasoning(reasoning) => thoughts(reasoning, gist),
        Part::Media(media) => one_media(media, gist),
        Part::ToolCall(call) => {
            put(
                gist,
                "conversation",
                Some(format!("call {} {}", call.name, arguments(&call.arguments))),
            );
            seal(call.seal.as_ref(), gist);
        }
        Part::ToolResult(result) => one_result(result, calls, gist),
        Part::Raw(raw) => put(gist, "conversation", Some(format!("raw {}", raw.name))),
    }
}

fn one_result(result: &ToolResult, calls: &[(String, String)], gist: &mut Gist) {
    let name = calls.iter().rev().find(|(id, _)| *id == result.call_id);
    let name = name.map_or("nobody", |(_, name)| name.as_str());
    put(gist, "conversation", Some(format!("result of {name}:")));
    for part in &result.parts {
        match part {
            Part::Text(text) if text.text.is_empty() => {}
            Part::Text(text) => put(gist, "conversation", Some(canonical(&text.text))),
            other => one_part(other, calls, gist),
        }
    }
    put(gist, "errors", result.is_error.then_some(name));
}

fn thoughts(reasoning: &Reasoning, gist: &mut Gist) {
    // Pieces are set apart by white space where a dialect has only one.
    let text: String = reasoning.texts.concat().split_whitespace().collect();
    put(gist, "reasoning", Some(text).filter(|text| !text.is_empty()));
    seal(reasoning.seal.as_ref(), gist);
}

fn seal(seal: Option<&Seal>, gist: &mut Gist) {
    put(
        gist,
        "seals",
        seal.map(|seal| format!("{} {}", seal.origin.as_str(), seal.data)),
    );
}

fn one_media(media: &Media, gist: &mut Gist) {
    let subject = match media.kind {
        crate::neutral::MediaKind::Image => "images",
        _ => "documents",
    };
    let source = match &media.source {
        MediaSource::Base64(data) => format!("{:?} {data}", media.media_type),
        // Both of OpenAI's dialects have one store of files.
        MediaSource::File {
            origin: Dialect::OpenaiChat | Dialect::OpenaiResponses,
            id,
        } => format!("OpenAI's {id}"),
        other => format!("{other:?}"),
    };
    put(gist, subject, Some(source));
    put(gist, "names", media.name.as_ref());
    put(
        gist,
        "detail",
        media.detail.as_ref().filter(|detail| *detail != "auto"),
    );
}

fn tools(request: &Request, gist: &mut Gist) {
    for tool in &request.tools {
        let kind = match &tool.kind {
            ToolKind::Function { schema, strict } => {
                put(gist, "strict", strict.filter(|strict| *strict));
                match schema.as_ref().map_or("{}", |schema| schema.get()) {
                    schema if is_free_text(schema) => "free text".to_owned(),
                    schema if is_without_members(schema) => "{}".to_owned(),
                    schema => canonical(schema),
                }
            }
            ToolKind::FreeText { .. } => "free text".to_owned(),
            ToolKind::Server(raw) => format!("server {}", raw.name),
        };
        let description = tool.description.as_deref().unwrap_or_default();
        put(
            gist,
            "tools",
            Some(format!("{} {description:?} {kind}", tool.name)),
        );
    }
    let choice = match &request.tool_choice {
        Some(ToolChoice::Among {
            names,
            required: true,
        }) if names.len() == 1 => Some(ToolChoice::Tool(names.concat())),
        choice => choice.clone().filter(|choice| *choice != ToolChoice::Auto),
    };
    put(gist, "tools", choice);
}

/// Whether these are the parameters of a function that stands for a free-text tool.
fn is_free_text(schema: &str) -> bool {
    let properties = |schema: &str| Some(serde_json::from_str::<Value>(schema).ok()?["properties"].take());
    properties(schema) == properties(free_text::SCHEMA)
}

/// What an answer means.
pub(super) fn of_reply(reply: &Reply) -> Gist {
    let mut gist = Gist::new();
    for part in &reply.parts {
        if !matches!(part, Part::Text(text) if text.text.is_empty()) {
            one_part(part, &[], &mut gist);
        }
    }
    let finish = match &reply.finish {
        Finish::StopSequence(_) => &Finish::End,
        Finish::ContextFull => &Finish::MaxTokens,
        Finish::Refused(_) => &Finish::Blocked(None),
        Finish::Blocked(_) => &Finish::Blocked(None),
        other => other,
    };
    put(&mut gist, "stop", Some(finish));
    let usage = reply.usage.unwrap_or_default();
    let counts = (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens);
    put(&mut gist, "max_tokens", Some(counts));
    gist
}

fn urls(citations: &[Citation]) -> Vec<&str> {
    citations
        .iter()
        .filter_map(|citation| match citation {
            Citation::Url { url, .. } => Some(url.as_str()),
            Citation::Raw(_) => None,
        })
        .collect()
}

fn arguments(arguments: &Arguments) -> String {
    match arguments {
        Arguments::Json(text) if text.is_empty() => "{}".to_owned(),
        Arguments::Json(text) => canonical(text),
        Arguments::Text(text) => canonical(&free_text::arguments(text)),
    }
}

/// JSON without white space, its members sorted; any other text as it is.
fn canonical(text: &str) -> String {
    serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |value| value.to_string())
}

/// The subjects in which two differ.
pub(super) fn differences(one: &Gist, other: &Gist) -> Vec<&'static str> {
    let subjects = SUBJECTS.iter().map(|(subject, _)| *subject);
    subjects
        .filter(|subject| one.get(subject) != other.get(subject))
        .collect()
}

/// Whether a loss accounts for a difference in this subject.
pub(super) fn accounts(lost: &str, subject: &str) -> bool {
    let words = SUBJECTS
        .iter()
        .find(|(known, _)| *known == subject)
        .map_or(&[][..], |(_, words)| words);
    words.iter().any(|word| {
        if *word == "n" {
            lost == "n"
        } else {
            lost.contains(word)
        }
    })
}
