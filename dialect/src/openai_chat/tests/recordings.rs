//! What vendors have really sent, where recordings are at hand.

use serde_json::Value;

use super::checker::{Breach, check};
use super::streams::{events_in, written};
use super::*;
use crate::neutral::{
    CacheMarks, Event, Heading, Losses, MaxTokensName, Profile, ReasoningField, Target, ThinkingStyle,
};
use crate::spec::{Spec, recorded};

const FOLDER: &str = "openai-chat";

/// A profile that takes all that the recorded vendors take.
fn generous(body: &Value) -> Profile {
    let with_old_cap = body["max_tokens"].is_u64();
    Profile {
        max_tokens_name: if with_old_cap {
            MaxTokensName::MaxTokens
        } else {
            MaxTokensName::MaxCompletionTokens
        },
        cache_marks: CacheMarks::CacheControl,
        reasoning: if body["reasoning"].is_object() {
            ReasoningField::ReasoningDetails
        } else if body["messages"].to_string().contains("\"reasoning_content\"") {
            ReasoningField::ReasoningContent
        } else {
            ReasoningField::None
        },
        thinking: ThinkingStyle::Effort,
        prefill: true,
        stream_options: !body["stream_options"].is_null(),
        ..Profile::default()
    }
}

/// The form in which a request is written here: nulls and what is usual are left out, one text is a text and not an
/// array, and older spellings give way to newer ones.
fn normal(mut body: Value) -> Value {
    let object = body.as_object_mut().unwrap();
    object.retain(|_, value| !value.is_null());
    if object
        .get("reasoning_effort")
        .is_some_and(|effort| effort == "default")
    {
        object.remove("reasoning_effort");
    }
    if object.get("service_tier").is_some_and(|tier| tier == "on_demand") {
        object.insert("service_tier".to_owned(), "default".into());
    }
    if object.get("stream") == Some(&Value::Bool(false)) {
        object.remove("stream");
    }
    if object.get("n").is_some_and(|n| n == 1) {
        object.remove("n");
    }
    if object
        .get("tools")
        .is_some_and(|tools| tools == &serde_json::json!([]))
    {
        object.remove("tools");
    }
    for number in ["temperature", "top_p"] {
        if let Some(value) = object.get_mut(number) {
            *value = serde_json::json!(value.as_f64().unwrap());
        }
    }
    if let Some(functions) = object.remove("functions") {
        let tool = |function: &Value| serde_json::json!({"type": "function", "function": function});
        object.insert(
            "tools".to_owned(),
            functions.as_array().unwrap().iter().map(tool).collect(),
        );
    }
    for tool in object
        .get_mut("tools")
        .into_iter()
        .flat_map(|tools| tools.as_array_mut().unwrap())
    {
        tool.as_object_mut()
            .unwrap()
            .entry("type")
            .or_insert("function".into());
    }
    if let Some(thinking) = object.remove("thinking") {
        // An amount that is left to the model has no word here.
        assert_eq!(thinking["type"], "enabled");
    }
    object["messages"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .for_each(normal_message);
    body
}

fn normal_message(message: &mut Value) {
    let object = message.as_object_mut().unwrap();
    let role = object["role"].clone();
    let is_assistant = role == "assistant";
    object.retain(|name, value| !value.is_null() || (is_assistant && name == "content"));
    if role == "developer" {
        object.insert("role".to_owned(), "system".into());
    }
    if object
        .get("tool_calls")
        .is_some_and(|calls| calls == &serde_json::json!([]))
    {
        object.remove("tool_calls");
    }
    let has_calls = object.contains_key("tool_calls");
    let content = object.entry("content").or_insert(Value::Null);
    if content.is_null() && !has_calls || content.is_null() && !is_assistant {
        *content = "".into();
    }
    if content == "" && has_calls {
        *content = Value::Null;
    }
    let Some(parts) = content.as_array_mut() else {
        return;
    };
    for part in parts.iter_mut() {
        if let Some(file) = part["file"].as_object_mut() {
            file.entry("filename").or_insert("document.pdf".into());
        }
    }
    if let [part] = parts.as_slice()
        && part["type"] == "text"
        && part["cache_control"].is_null()
    {
        *content = part["text"].clone();
    }
}

#[test]
fn recorded_requests_are_read_and_written_again() {
    let spec = Spec::openai();
    let mut count = 0;
    for (name, body) in recorded(FOLDER, ".request.json") {
        let original: Value = serde_json::from_slice(&body).unwrap();
        let request = read_request(&body).unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
        let profile = generous(&original);
        let target = Target {
            model: &request.model,
            profile: &profile,
        };
        let mut losses = Losses::new(true);
        let again = match write_request(&request, &target, &mut losses) {
            Ok(written) => written.body,
            Err(refusal) => panic!("{name}: {refusal:?}"),
        };
        let read_again: Value = serde_json::from_slice(&again).unwrap();
        assert_eq!(normal(read_again), normal(original), "{name}");
        if let Some(spec) = &spec {
            let problems = spec.problems("CreateChatCompletionRequest", &again);
            let vendor = [
                "groq",
                "openrouter",
                "mistral",
                "snowflake",
                "zai",
                "huggingface",
                "error-400",
            ];
            assert!(
                problems.is_empty() || vendor.iter().any(|vendor| name.contains(vendor)),
                "{name}: {problems:?}"
            );
        }
        count += 1;
    }
    println!("{count} requests");
}

#[test]
fn recorded_answers_are_read_whole_and_written_again() {
    let spec = Spec::openai();
    let (mut answers, mut faults) = (0, 0);
    for (name, body) in recorded(FOLDER, ".response.json") {
        let original: Value = serde_json::from_slice(&body).unwrap();
        let profile = Profile::default();
        if !original["error"].is_null() {
            assert!(read_reply(&body, &profile).is_err(), "{name}");
            faults += 1;
            continue;
        }
        let reply = read_reply(&body, &profile).unwrap_or_else(|error| panic!("{name}: {error}"));
        let heading = Heading {
            id: original["id"].as_str().unwrap(),
            created_s: 0,
            model: "",
        };
        let written = write_reply(&reply, &heading);
        let again: Value = serde_json::from_slice(&written).unwrap();
        assert_same_answer(&name, &original, &again);
        let choice = &original["choices"][0];
        let word = choice["finish_reason"].as_str().unwrap_or_default();
        let calls = choice["message"]["tool_calls"].as_array().map_or(0, Vec::len);
        let expected = match (word, calls) {
            ("function_call", _) => "tool_calls",
            ("", 0) => "stop",
            ("", _) => "tool_calls",
            (word, _) => word,
        };
        assert_eq!(again["choices"][0]["finish_reason"], expected, "{name}");
        // The original's own members are put back, and not all of them are as the document wants them.
        let plain = write_reply(
            &crate::neutral::Reply {
                raw: Vec::new(),
                ..reply
            },
            &heading,
        );
        // OpenRouter annotates files too.
        if let Some(spec) = spec.as_ref().filter(|_| !name.contains("file-annotation")) {
            assert_eq!(
                spec.problems("CreateChatCompletionResponse", &plain),
                Vec::<String>::new(),
                "{name}"
            );
        }
        answers += 1;
    }
    println!("{answers} answers, {faults} faults");
}

#[test]
fn recorded_errors_are_of_the_right_kind() {
    use crate::neutral::FaultKind;
    let table = [
        (
            "made-err-400-azure-content-filter",
            400,
            FaultKind::ContentBlocked,
        ),
        ("made-err-400-context-length", 400, FaultKind::ContextTooLong),
        ("made-err-400-missing-tool-message", 400, FaultKind::BadRequest),
        ("made-err-401-invalid-key", 401, FaultKind::Auth),
        ("made-err-403-region", 403, FaultKind::Permission),
        ("made-err-429-insufficient-quota", 429, FaultKind::Billing),
        ("made-err-429-tpm", 429, FaultKind::RateLimit),
        ("made-err-500-server", 500, FaultKind::Internal),
        ("error-400-chat-bad-request", 400, FaultKind::BadRequest),
        (
            "error-400-openai-web-search-tool-model-not-supported",
            400,
            FaultKind::BadRequest,
        ),
        ("error-400-vision-base64", 400, FaultKind::BadRequest),
        ("error-404-azure-chat-reasoning-t1", 404, FaultKind::NotFound),
        ("error-404-chat-unknown-model", 404, FaultKind::NotFound),
    ];
    let mut count = 0;
    for (name, body) in recorded(FOLDER, ".response.json") {
        let case = name.trim_end_matches(".response.json");
        if let Some((_, status, kind)) = table.iter().find(|(known, ..)| *known == case) {
            let fault = read_fault(*status, &body);
            let original: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (fault.kind, fault.message.as_str()),
                (*kind, original["error"]["message"].as_str().unwrap()),
                "{name}"
            );
            assert_eq!(
                fault.param.as_deref(),
                original["error"]["param"].as_str(),
                "{name}"
            );
            count += 1;
        }
    }
    println!("{count} errors");
}

fn assert_same_answer(name: &str, original: &Value, again: &Value) {
    let message = |answer: &Value| answer["choices"][0]["message"].clone();
    let (before, after) = (message(original), message(again));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if before["content"].is_string() {
        assert_eq!(text(&before["content"]), text(&after["content"]), "{name}");
    }
    let thoughts = [&before["reasoning_content"], &before["reasoning"]]
        .map(text)
        .concat();
    assert_eq!(thoughts, text(&after["reasoning_content"]), "{name}");
    if before["reasoning_details"].to_string().contains("encrypted") {
        assert_eq!(before["reasoning_details"], after["reasoning_details"], "{name}");
    }
    let calls = |message: &Value| -> Vec<(String, String, String)> {
        let old = message["function_call"]["name"]
            .as_str()
            .filter(|name| !name.is_empty());
        let old = old.map(|name| {
            (
                String::new(),
                name.to_owned(),
                text(&message["function_call"]["arguments"]),
            )
        });
        let new = message["tool_calls"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|call| {
                (
                    text(&call["id"]),
                    text(&call["function"]["name"]),
                    text(&call["function"]["arguments"]),
                )
            });
        new.chain(old).collect()
    };
    let (before_calls, after_calls) = (calls(&before), calls(&after));
    assert_eq!(before_calls.len(), after_calls.len(), "{name}");
    for (before, after) in before_calls.iter().zip(&after_calls) {
        assert!(
            before.0 == after.0 || before.0.is_empty() && !after.0.is_empty(),
            "{name}: {before:?} {after:?}"
        );
        assert_eq!((&before.1, &before.2), (&after.1, &after.2), "{name}");
    }
    assert_eq!(
        original["usage"]["prompt_tokens"], again["usage"]["prompt_tokens"],
        "{name}"
    );
    assert_eq!(
        output_of(&original["usage"]),
        output_of(&again["usage"]),
        "{name}"
    );
}

/// The tokens of an answer: some vendors count reasoning beside the completion, and tell it in the total alone.
fn output_of(usage: &Value) -> Option<u64> {
    let beside = usage["total_tokens"]
        .as_u64()
        .zip(usage["prompt_tokens"].as_u64());
    let beside = beside.map_or(0, |(total, prompt)| total.saturating_sub(prompt));
    Some(usage["completion_tokens"].as_u64()?.max(beside))
}

/// What recorded streams break: each is known, and read nonetheless.
#[rustfmt::skip]
const BREACHES: &[(&str, &[Breach])] = &[
    // A first chunk without id and choices, for what was found in the prompt.
    ("azure-text-azure-chat-async-streaming",     &[Breach::HeadChanges, Breach::EmptyChunk]),
    ("made-content-filter-stream",                &[Breach::HeadChanges, Breach::EmptyChunk]),
    ("length-openrouter-openrouter-stream-error", &[Breach::RoleAgain, Breach::AfterFinish, Breach::AfterEnd]),
    ("logprobs-snowflake-snowflake-thinking-streaming", &[Breach::RoleAgain, Breach::NoFinish]),
    ("made-sse-comments-and-keepalives",          &[Breach::HeadChanges]),
    ("made-stream-midway-error",                  &[Breach::AfterEnd]),
    ("made-stream-tool-no-arguments",             &[Breach::Arguments]),
    // A chunk with the results of a moderation.
    ("moderation-openai-moderation-stream",       &[Breach::EmptyChunk]),
    // The only call has number 1: the place of its block at Anthropic.
    ("parallel-tools-openai-compatible-anthropic-fallback-tool-call", &[Breach::CallNumber]),
    // Times and names of models that change on the way.
    ("reasoning-text-groq-groq-reasoning",        &[Breach::HeadChanges]),
    ("reasoning-text-moonshot-moonshotai-stream", &[Breach::HeadChanges]),
    ("reasoning-text-openai-compatible-xai-text", &[Breach::HeadChanges]),
    ("reasoning-text-tools-openai-compatible-xai-tool-call", &[Breach::HeadChanges]),
    ("reasoning-text-zai-zai-thinking-stream",    &[Breach::RoleAgain]),
    ("system-openrouter-openrouter-cache-streaming-e2e", &[Breach::RoleAgain]),
    ("text-perplexity-perplexity-citations",      &[Breach::HeadChanges, Breach::RoleAgain]),
    ("text-perplexity-perplexity-text",           &[Breach::HeadChanges, Breach::RoleAgain]),
    // The whole call in one fragment, without a type; none has a number.
    ("tool-call-mistral-mistral-tool-call",       &[Breach::CallNumber, Breach::CallHead]),
    ("web-search-citations-groq-groq-model-web-search-tool-stream", &[Breach::HeadChanges, Breach::NoRole]),
    ("web-search-citations-openrouter-openrouter-web-search-annotations-stream", &[Breach::RoleAgain, Breach::AfterFinish]),
];

#[test]
fn recorded_streams_are_read_whole_however_they_are_cut() {
    let spec = Spec::openai();
    let mut count = 0;
    for (name, stream) in recorded(FOLDER, ".stream.sse") {
        let profile = Profile::default();
        let whole = events_in(&[&stream], &profile);
        let step = (stream.len() / 64).max(1);
        for at in (0..=stream.len()).step_by(if stream.len() < 2_048 { 1 } else { step }) {
            let (head, tail) = stream.split_at(at);
            assert!(events_in(&[head, tail], &profile) == whole, "{name} cut at {at}");
        }
        let text = String::from_utf8(stream.clone()).unwrap();
        let is_fault = text.contains("\"error\"");
        let last = whole.last().unwrap();
        match is_fault {
            true => assert!(matches!(last, Event::Fault(_)), "{name}: {last:?}"),
            false => assert_eq!(last, &Event::End, "{name}"),
        }
        assert_same_stream(&name, &text, &whole);
        let ours = written(&whole, true);
        assert_eq!(check(&ours), [], "{name}");
        assert_chunks_are_valid(&name, &ours, spec);
        let breaches = check(&stream);
        let case = name.trim_end_matches(".stream.sse");
        let known = BREACHES.iter().find(|(known, _)| *known == case);
        assert_eq!(
            breaches,
            known.map_or(&[][..], |(_, breaches)| breaches),
            "{name}"
        );
        count += 1;
    }
    println!("{count} streams");
}

/// That each chunk is as the document wants it; many are alike, so a few of them do.
pub(super) fn assert_chunks_are_valid(name: &str, stream: &[u8], spec: Option<&Spec>) {
    let Some(spec) = spec else { return };
    let mut events = crate::sse::Events::new(crate::sse::StreamLimits::default());
    events.push(stream).unwrap();
    let mut chunks = Vec::new();
    while let Some(event) = events.next_event() {
        let data = crate::sse::data(event).into_owned();
        if !data.is_empty() && data != b"[DONE]" && !data.starts_with(b"{\"error\"") {
            // The document knows free-text tools in whole answers alone.
            if memchr::memmem::find(&data, b"\"custom\":{").is_none() {
                chunks.push(data);
            }
        }
    }
    let few = chunks.iter().take(8).chain(chunks.iter().rev().take(8));
    for chunk in few {
        let problems = spec.problems("CreateChatCompletionStreamResponse", chunk);
        assert_eq!(
            problems,
            Vec::<String>::new(),
            "{name}: {}",
            String::from_utf8_lossy(chunk)
        );
    }
}

/// That nothing was lost on the way from the chunks to our own.
fn assert_same_stream(name: &str, original: &str, events: &[Event]) {
    let ours = String::from_utf8(written(events, true)).unwrap();
    let (before, after) = (gathered(original), gathered(&ours));
    assert_eq!(before.0, after.0, "{name}: text");
    assert_eq!(before.1, after.1, "{name}: thoughts");
    assert_eq!(before.2.len(), after.2.len(), "{name}: calls");
    for ((_, before), (_, after)) in before.2.iter().zip(&after.2) {
        let none = before.is_empty() && after == "{}";
        assert!(before == after || none, "{name}: {before} {after}");
    }
    if !matches!(events.last(), Some(Event::Fault(_))) {
        assert_eq!(before.3, after.3, "{name}: usage");
    }
}

type Gathered = (String, String, Vec<(u64, String)>, Option<u64>);

/// Text, thoughts, calls and output tokens of a stream.
fn gathered(stream: &str) -> Gathered {
    let mut all = Gathered::default();
    let mut events = crate::sse::Events::new(crate::sse::StreamLimits::default());
    events.push(stream.as_bytes()).unwrap();
    while let Some(event) = events.next_event() {
        let data = crate::sse::data(event);
        let Ok(chunk) = serde_json::from_slice::<Value>(&data) else {
            continue;
        };
        for usage in [&chunk["usage"], &chunk["x_groq"]["usage"]] {
            all.3 = output_of(usage).or(all.3);
        }
        if !chunk["error"].is_null() {
            break;
        }
        let choices = chunk["choices"].as_array().unwrap();
        for choice in choices.iter().filter(|choice| choice["index"] == 0) {
            let delta = &choice["delta"];
            all.0.push_str(delta["content"].as_str().unwrap_or_default());
            for part in delta["content"].as_array().into_iter().flatten() {
                all.0.push_str(part["text"].as_str().unwrap_or_default());
                all.1
                    .push_str(part["thinking"][0]["text"].as_str().unwrap_or_default());
            }
            let thoughts = [&delta["reasoning_content"], &delta["reasoning"]];
            let shown = thoughts.into_iter().find_map(Value::as_str);
            match shown {
                Some(text) => all.1.push_str(text),
                // Details that come beside no text of their own; our own come behind it.
                None if delta["reasoning_details"][0]["signature"].is_null() => {
                    let text = delta["reasoning_details"][0]["text"].as_str();
                    all.1.push_str(text.unwrap_or_default());
                }
                None => {}
            }
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                let index = call["index"].as_u64().unwrap_or(0);
                if !all.2.iter().any(|(known, _)| *known == index) {
                    all.2.push((index, String::new()));
                }
                let found = all.2.iter_mut().find(|(known, _)| *known == index).unwrap();
                found
                    .1
                    .push_str(call["function"]["arguments"].as_str().unwrap_or_default());
            }
        }
    }
    all
}
