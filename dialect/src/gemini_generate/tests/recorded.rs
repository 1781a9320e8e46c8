//! What was recorded of Google's services, where it is at hand.

use serde_json::Value;

use super::super::wire::camel;
use super::*;
use crate::neutral::{Event, Finish, Heading};
use crate::spec::{Spec, recorded};
use crate::sse::{Events, StreamLimits};

fn heading() -> Heading<'static> {
    Heading {
        id: "id",
        created_s: 0,
        model: "model",
    }
}

/// Asserts that two are the same, and shows no more than where they differ.
pub(super) fn assert_same(found: &Value, expected: &Value, name: &str) {
    let difference = difference(found, expected, "");
    assert_eq!(difference, None, "{name}");
}

fn difference(found: &Value, expected: &Value, path: &str) -> Option<String> {
    let nothing = Value::Null;
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).find_map(|name| {
            let of =
                |members: &serde_json::Map<String, Value>| members.get(name).cloned().unwrap_or_default();
            difference(&of(a), &of(b), &format!("{path}/{name}"))
        }),
        (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len())).find_map(|at| {
            let item = |items: &[Value]| items.get(at).unwrap_or(&nothing).clone();
            difference(&item(a), &item(b), &format!("{path}/{at}"))
        }),
        _ if found == expected => None,
        _ => Some(
            format!("{path}: {found:.200} is not {expected:.200}")
                .chars()
                .take(600)
                .collect(),
        ),
    }
}

/// A request in the form that a writer gives it.
fn normal(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let names: Vec<_> = members.keys().cloned().collect();
            for name in names {
                let mut inner = members.remove(&name).unwrap();
                let is_carried = matches!(
                    camel(&name).as_str(),
                    "args"
                        | "response"
                        | "responseSchema"
                        | "parameters"
                        | "parametersJsonSchema"
                        | "responseJsonSchema"
                );
                if !is_carried {
                    normal(&mut inner);
                }
                let shown = inner["data"]
                    .as_str()
                    .and_then(crate::neutral::data_url::media_type);
                if let (Some(shown), true) = (shown, name.starts_with("inline")) {
                    // What the bytes say counts.
                    inner["mimeType"] = Value::from(shown);
                }
                if let (Some(data), "data") = (inner.as_str(), name.as_str()) {
                    inner = Value::from(data.replace('-', "+").replace('_', "/"));
                }
                if !inner.is_null() {
                    members.insert(camel(&name), inner);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normal),
        Value::Number(number)
            if number.is_f64() && number.as_f64().is_some_and(|number| number.fract() == 0.0) =>
        {
            *value = serde_json::json!(number.as_f64().unwrap() as i64);
        }
        _ => {}
    }
}

/// Takes away what the documented normal form leaves out or spells in another way.
fn normal_request(mut value: Value) -> Value {
    normal(&mut value);
    // A client of this dialect gives no ids that are known for Google's, and is passed on as it came.
    for content in value["contents"].as_array_mut().into_iter().flatten() {
        for part in content["parts"].as_array_mut().into_iter().flatten() {
            for kind in ["functionCall", "functionResponse"] {
                part.get_mut(kind)
                    .and_then(Value::as_object_mut)
                    .map(|call| call.remove("id"));
            }
        }
    }
    let members = value.as_object_mut().unwrap();
    if let Some(system) = members
        .get_mut("systemInstruction")
        .and_then(Value::as_object_mut)
    {
        system.remove("role");
    }
    if members.get("generationConfig") == Some(&serde_json::json!({})) {
        members.remove("generationConfig");
    }
    if let Some(tools) = members.get_mut("tools") {
        if tools.is_object() {
            *tools = Value::Array(vec![tools.take()]);
        }
        let declarations = tools.as_array_mut().unwrap();
        for function in declarations
            .iter_mut()
            .filter_map(|tool| tool.get_mut("functionDeclarations"))
        {
            for function in function.as_array_mut().unwrap() {
                let function = function.as_object_mut().unwrap();
                function.entry("description").or_insert(Value::from(""));
                let schema = function
                    .remove("parameters")
                    .or(function.remove("parametersJsonSchema"));
                if let Some(schema) = schema {
                    function.insert("schema".to_owned(), plain_schema(schema));
                }
            }
        }
        // Functions stand first.
        declarations.sort_by_key(|tool| tool.get("functionDeclarations").is_none());
    }
    if let Some(config) = members.get_mut("generationConfig").and_then(Value::as_object_mut) {
        let schema = config
            .remove("responseSchema")
            .or(config.remove("responseJsonSchema"));
        if let Some(schema) = schema {
            config.insert("schema".to_owned(), plain_schema(schema));
        }
    }
    for content in members.get_mut("contents").and_then(Value::as_array_mut).unwrap() {
        for part in content["parts"].as_array_mut().unwrap() {
            // Written where nothing signed a call.
            if part.get("thoughtSignature") == Some(&Value::from("skip_thought_signature_validator")) {
                part.as_object_mut().unwrap().remove("thoughtSignature");
            }
            if let Some(response) = part
                .get_mut("functionResponse")
                .and_then(|result| result.get_mut("response"))
            {
                let text = response.get("output").or(response.get("result"));
                if let (Some(text), Some(1)) = (text, response.as_object().map(serde_json::Map::len)) {
                    *response = text.clone();
                }
            }
        }
    }
    let contents = members.get_mut("contents").and_then(Value::as_array_mut).unwrap();
    let mut merged: Vec<Value> = Vec::new();
    for mut content in std::mem::take(contents) {
        match merged.last_mut() {
            Some(last)
                if last["role"] == content["role"] && last["parts"][0].get("functionResponse").is_none() =>
            {
                let parts = content["parts"].as_array_mut().unwrap();
                last["parts"].as_array_mut().unwrap().append(parts);
            }
            _ => merged.push(content),
        }
    }
    *contents = merged;
    value
}

fn plain_schema(schema: Value) -> Value {
    match schema {
        Value::Object(members) => members
            .into_iter()
            .filter(|(name, _)| name != "propertyOrdering")
            .map(|(name, value)| match value {
                Value::Number(number) if name == "type" => {
                    let word = if number.as_u64() == Some(6) {
                        "object"
                    } else {
                        "string"
                    };
                    (name, Value::from(word))
                }
                Value::String(word) if name == "type" => (name, Value::String(word.to_lowercase())),
                value => (name, plain_schema(value)),
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(plain_schema).collect(),
        other => other,
    }
}

#[test]
fn recorded_requests_are_the_same_once_read_and_written() {
    let mut count = 0;
    for (name, request) in recorded("gemini", ".request.json") {
        count += 1;
        let read = read_request(&request, "gemini-x", false).unwrap();
        let (written, lost) = match written(&read, &third()) {
            Ok(written) => written,
            // Recorded where Google itself refused what the conversation said.
            Err(refusal) => panic!("{name}: {refusal:?}"),
        };
        assert_eq!(lost, None, "{name}");
        let expected = normal_request(serde_json::from_slice(&request).unwrap());
        let found = normal_request(serde_json::from_slice(&written.body).unwrap());
        assert_same(&found, &expected, &name);
    }
    println!("{count} requests");
}

#[test]
fn recorded_requests_are_written_as_googles_document_wants_them() {
    let Some(google) = Spec::google() else { return };
    for (name, request) in recorded("gemini", ".request.json") {
        let read = read_request(&request, "gemini-x", false).unwrap();
        for profile in [third(), second()] {
            let Ok((written, _)) = written(&read, &profile) else {
                continue;
            };
            // The model stands in the path, but the document has it in the body too.
            let mut body: Value = serde_json::from_slice(&written.body).unwrap();
            body["model"] = Value::from("models/gemini-x");
            normal(&mut body);
            let mut problems = google.problems("GenerateContentRequest", body.to_string().as_bytes());
            // The document wants a type in each schema; Google itself takes those that have `anyOf` in its place.
            problems.retain(|problem| !problem.ends_with("\"type\" is a required property"));
            assert_eq!(problems, Vec::<String>::new(), "{name}");
        }
    }
}

/// An answer without what the normal form has no place for.
fn normal_answer(mut value: Value) -> Value {
    normal(&mut value);
    let members = value.as_object_mut().unwrap();
    for name in ["responseId", "modelVersion", "createTime"] {
        members.remove(name);
    }
    let usage = members.remove("usageMetadata").unwrap_or_default();
    let count = |name: &str| usage.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    members.insert(
        "counts".to_owned(),
        serde_json::json!([
            count("promptTokenCount") + count("toolUsePromptTokenCount"),
            count("candidatesTokenCount"),
            count("thoughtsTokenCount"),
            count("cachedContentTokenCount"),
        ]),
    );
    for candidate in members
        .get_mut("candidates")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let candidate = candidate.as_object_mut().unwrap();
        candidate.remove("index");
        // Where words were asked to be numbers.
        if let Some(word) = candidate.get_mut("finishReason") {
            match word.as_u64() {
                Some(1) => *word = Value::from("STOP"),
                Some(2) => *word = Value::from("MAX_TOKENS"),
                _ => {}
            }
        }
        candidate.entry("finishReason").or_insert(Value::from("STOP"));
        let content = candidate.entry("content").or_insert(serde_json::json!({}));
        content["role"] = Value::from("model");
        let parts = content
            .as_object_mut()
            .unwrap()
            .entry("parts")
            .or_insert(serde_json::json!([]));
        parts
            .as_array_mut()
            .unwrap()
            .retain(|part| part != &serde_json::json!({"text": ""}));
    }
    value
}

#[test]
fn recorded_answers_are_the_same_once_read_and_written() {
    let google = Spec::google();
    let (mut answers, mut faults) = (0, 0);
    for (name, body) in recorded("gemini", ".response.json") {
        let value: Value = serde_json::from_slice(&body).unwrap();
        if value.get("error").is_some() {
            faults += 1;
            assert!(read_reply(&body, &third()).is_err(), "{name}");
            continue;
        }
        answers += 1;
        let reply = read_reply(&body, &third()).unwrap();
        assert_eq!(reply.usage, Metered::look(&body).unwrap().usage, "{name}");
        let has_call = value.to_string().contains("\"functionCall\"");
        if value.to_string().contains("\"STOP\"") {
            assert_eq!(reply.finish == Finish::ToolCall, has_call, "{name}");
        }
        let written = write_reply(&reply, &heading());
        let found = normal_answer(serde_json::from_slice(&written).unwrap());
        assert_same(&found, &normal_answer(value), &name);
        // Log-probabilities of candidates are checked by what the document says of them, too.
        let mut problems: Vec<_> = google
            .iter()
            .flat_map(|google| google.problems("GenerateContentResponse", &written))
            .collect();
        // The document is of the Gemini API; this word is of Vertex.
        problems.retain(|problem| !problem.contains("MODEL_ARMOR"));
        assert_eq!(problems, Vec::<String>::new(), "{name}");
    }
    println!("{answers} answers, {faults} errors");
}

/// The events of a stream that comes in these pieces.
pub(super) fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>, is_array: bool) -> Vec<Event> {
    let mut reader = StreamReader::new(&third());
    let mut out = Vec::new();
    let mut framed = Events::new(StreamLimits::default());
    let mut items = ArrayItems::new(StreamLimits::default());
    for piece in pieces {
        if is_array {
            items.push(piece).unwrap();
            while let Some(item) = items.next_item() {
                reader.read_chunk(item, &mut out);
            }
        } else {
            framed.push(piece).unwrap();
            while let Some(event) = framed.next_event() {
                reader.read(event, &mut out);
            }
        }
    }
    let rest = framed.rest().to_vec();
    if !rest.is_empty() {
        reader.read(&rest, &mut out);
    }
    reader.finish(&mut out);
    out
}

fn streams() -> impl Iterator<Item = (String, Vec<u8>, bool)> {
    let of = |ending: &str, is_array: bool| {
        recorded("gemini", ending)
            .into_iter()
            .map(move |(name, body)| (name, body, is_array))
    };
    of(".stream.sse", false).chain(of(".stream.json", true))
}

#[test]
fn recorded_streams_give_the_same_events_wherever_they_are_cut() {
    let mut count = 0;
    for (name, body, is_array) in streams() {
        count += 1;
        let whole = events([body.as_slice()].into_iter(), is_array);
        for size in [1, 2, 3, 7, 4_096] {
            assert_eq!(
                events(body.chunks(size), is_array),
                whole,
                "{name} in pieces of {size}"
            );
        }
        // At each byte of the first kilobytes, and at steps behind them.
        let places = (0..body.len().min(2_048)).chain((2_048..body.len()).step_by(97));
        for at in places {
            let (head, tail) = body.split_at(at);
            assert_eq!(
                events([head, tail].into_iter(), is_array),
                whole,
                "{name} cut at {at}"
            );
        }
    }
    println!("{count} streams");
}

#[test]
fn recorded_streams_hold_to_the_order_and_end_as_their_notes_say() {
    for (name, body, is_array) in streams() {
        checker::check(&body, is_array).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let found = events([body.as_slice()].into_iter(), is_array);
        checker::check_events(&found).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let text = String::from_utf8_lossy(&body).into_owned();
        let is_error = text.contains("\"error\"");
        assert_eq!(matches!(found.last(), Some(Event::Fault(_))), is_error, "{name}");
        assert_eq!(found.last() == Some(&Event::End), !is_error, "{name}");
        let calls = found.iter().filter(|event| checker::opens_call(event)).count();
        let named = text.matches("\"functionCall\"").count();
        assert_eq!(calls > 0, named > 0, "{name}");
        let finish = found.iter().find_map(|event| match event {
            Event::Finish(finish) => Some(finish),
            _ => None,
        });
        if text.contains("RECITATION") {
            assert_eq!(
                finish,
                Some(&Finish::Blocked(Some("RECITATION".to_owned()))),
                "{name}"
            );
        } else if !is_error {
            let expected = if calls > 0 { Finish::ToolCall } else { Finish::End };
            assert_eq!(finish, Some(&expected), "{name}");
        }
    }
}

#[test]
fn recorded_streams_are_metered_as_they_are_read() {
    for (name, body, is_array) in streams() {
        let found = events([body.as_slice()].into_iter(), is_array);
        let mut told = found.iter().filter_map(|event| match event {
            Event::Usage(usage) => Some(*usage),
            _ => None,
        });
        let (usage, end) = if is_array {
            let mut relay = ArrayRelay::new(StreamLimits::default());
            relay.push(bytes::Bytes::from(body), &mut Vec::new()).unwrap();
            (relay.usage(), relay.end())
        } else {
            let mut relay = crate::StreamRelay::over(ChunkMeter::default(), StreamLimits::default());
            let mut out = Vec::new();
            relay.push(bytes::Bytes::from(body.clone()), &mut out).unwrap();
            relay.finish(&mut out);
            assert_eq!(out.concat(), body, "{name}");
            (relay.usage(), relay.end())
        };
        assert_eq!(told.next_back(), usage, "{name}");
        let expected = match found.last() {
            Some(Event::End) => crate::StreamEnd::Complete,
            Some(Event::Fault(_)) => crate::StreamEnd::ProviderError,
            _ => crate::StreamEnd::Cut,
        };
        assert_eq!(end, expected, "{name}");
    }
}

#[test]
fn recorded_streams_are_written_as_a_client_of_google_wants_them() {
    for (name, body, is_array) in streams() {
        let found = events([body.as_slice()].into_iter(), is_array);
        for framing in [Framing::Events, Framing::Array] {
            let mut writer = StreamWriter::new(heading().to_owned(), framing);
            let mut out = Vec::new();
            for event in &found {
                writer.write(event, &mut out);
            }
            let is_array = framing == Framing::Array;
            checker::check(&out, is_array).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            checker::check_complete_calls(&out, is_array)
                .unwrap_or_else(|problem| panic!("{name}: {problem}"));
            let again = events([out.as_slice()].into_iter(), is_array);
            // Usage that came with the last text before a fault has no chunk to go with; the gateway has booked it.
            let is_fault = matches!(found.last(), Some(Event::Fault(_)));
            let told = |events: &[Event]| {
                let mut told = checker::told(events);
                told.truncate(told.len() - usize::from(is_fault));
                told
            };
            assert_eq!(told(&again), told(&found), "{name}");
        }
    }
}
