//! The rules of a stream of Google's, held against what was recorded and against what is written here.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Usage;
use crate::neutral::{Block, Delta, Event};

/// The chunks of a stream, in either framing.
fn chunks(stream: &[u8], is_array: bool) -> Result<Vec<Value>, String> {
    let text = std::str::from_utf8(stream).map_err(|error| error.to_string())?;
    if is_array {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        return Ok(value.as_array().ok_or("not an array")?.clone());
    }
    let mut chunks = Vec::new();
    for event in text.split("\r\n\r\n").filter(|event| !event.trim().is_empty()) {
        let data = event
            .trim_start()
            .strip_prefix("data: ")
            .ok_or_else(|| format!("an event is not only data: {event:.80}"))?;
        if data.contains(['\r', '\n']) {
            return Err("an event is more than a line".to_owned());
        }
        chunks.push(serde_json::from_str(data).map_err(|error| error.to_string())?);
    }
    if !text.ends_with("\r\n\r\n") {
        return Err("the last event has no end".to_owned());
    }
    Ok(chunks)
}

/// Whether a stream is one: whole answers in pieces, the reason for the end once for each candidate and in the last, usage
/// with it; or an error, and nothing after it.
pub(crate) fn check(stream: &[u8], is_array: bool) -> Result<(), String> {
    let chunks = chunks(stream, is_array)?;
    let (last, others) = chunks.split_last().ok_or("there is nothing in it")?;
    let mut id = None;
    for chunk in others {
        if chunk.get("error").is_some() {
            return Err("an error is not the last".to_owned());
        }
        let mut candidates = chunk["candidates"].as_array().into_iter().flatten();
        if candidates.any(|candidate| !candidate["finishReason"].is_null()) {
            return Err("a reason for the end is not in the last".to_owned());
        }
    }
    for chunk in chunks.iter().filter(|chunk| chunk.get("error").is_none()) {
        let of = chunk.get("responseId").and_then(Value::as_str);
        if id.is_some() && of.is_some() && id != of {
            return Err("the id changes".to_owned());
        }
        id = of.or(id);
        for candidate in chunk["candidates"].as_array().into_iter().flatten() {
            check_candidate(candidate)?;
        }
    }
    if let Some(error) = last.get("error") {
        let is_status =
            error["code"].is_number() && error["message"].is_string() && error["status"].is_string();
        return if is_status {
            Ok(())
        } else {
            Err("the error is none of Google's".to_owned())
        };
    }
    let number = |candidate: &Value| candidate["index"].as_u64().unwrap_or(0);
    let all = chunks
        .iter()
        .flat_map(|chunk| chunk["candidates"].as_array().into_iter().flatten());
    let all: BTreeSet<_> = all.map(number).collect();
    let ended = last["candidates"].as_array().into_iter().flatten();
    let ended = ended.filter(|candidate| candidate["finishReason"].is_string());
    let ended: BTreeSet<_> = ended.map(number).collect();
    let has_reason = !ended.is_empty() && ended == all;
    let is_blocked = chunks.len() == 1 && last["promptFeedback"]["blockReason"].is_string();
    if !has_reason && !is_blocked {
        return Err("the last has no reason for the end".to_owned());
    }
    Ok(())
}

fn check_candidate(candidate: &Value) -> Result<(), String> {
    let content = &candidate["content"];
    if content.get("parts").is_some() && content["role"] != "model" {
        return Err("somebody else speaks".to_owned());
    }
    for part in content["parts"].as_array().into_iter().flatten() {
        let kinds = [
            "text",
            "functionCall",
            "inlineData",
            "executableCode",
            "codeExecutionResult",
            "toolCall",
            "toolResponse",
        ];
        let count = kinds.iter().filter(|kind| part.get(**kind).is_some()).count();
        let is_only_seal = count == 0 && part.get("thoughtSignature").is_some();
        if count != 1 && !is_only_seal {
            return Err(format!("a part is of {count} kinds"));
        }
    }
    Ok(())
}

/// Whether all calls come whole, which is how they come unless a client of Vertex asks for pieces.
pub(crate) fn check_complete_calls(stream: &[u8], is_array: bool) -> Result<(), String> {
    for chunk in chunks(stream, is_array)? {
        let candidates = chunk["candidates"].as_array().into_iter().flatten();
        for part in
            candidates.flat_map(|candidate| candidate["content"]["parts"].as_array().into_iter().flatten())
        {
            if let Some(call) = part.get("functionCall")
                && !(call["name"].is_string()
                    && call["args"].is_object()
                    && call.get("willContinue").is_none())
            {
                return Err("a call is not whole".to_owned());
            }
        }
    }
    Ok(())
}

/// Whether neutral events are in the order that is promised of them.
pub(crate) fn check_events(events: &[Event]) -> Result<(), String> {
    let (mut open, mut next) = (Vec::new(), 0);
    let (mut has_started, mut has_finished, mut has_ended) = (false, false, false);
    for event in events {
        if has_ended {
            return Err("there is something after the end".to_owned());
        }
        match event {
            Event::Start(_) if has_started => return Err("it starts twice".to_owned()),
            Event::Start(_) => has_started = true,
            Event::Open { block, .. } => {
                if *block != next || has_finished {
                    return Err("a block has a wrong number or place".to_owned());
                }
                next += 1;
                open.push(*block);
            }
            Event::Delta { block, .. } if !open.contains(block) => {
                return Err("a delta has no block".to_owned());
            }
            Event::Close { block } => {
                let at = open
                    .iter()
                    .position(|known| known == block)
                    .ok_or("a block is closed twice")?;
                open.remove(at);
            }
            Event::Finish(_) if has_finished || !open.is_empty() => {
                return Err("it finishes too early or twice".to_owned());
            }
            Event::Finish(_) => has_finished = true,
            Event::End if !has_finished => return Err("it ends without a reason".to_owned()),
            Event::End | Event::Fault(_) => has_ended = true,
            _ => {}
        }
    }
    Ok(())
}

pub(crate) fn opens_call(event: &Event) -> bool {
    matches!(
        event,
        Event::Open {
            kind: Block::ToolCall { .. },
            ..
        }
    )
}

/// What a stream tells, however it was cut into pieces: its texts, thoughts, calls with their arguments, seals, usage and
/// reason, in order.
pub(crate) fn told(events: &[Event]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    let mut usage = None;
    for event in events {
        match event {
            Event::Open { kind, .. } => told.push(match kind {
                Block::Text | Block::Refusal => "text ".to_owned(),
                Block::Reasoning { .. } => "thought ".to_owned(),
                Block::ToolCall {
                    id, id_is_ours, name, ..
                } => {
                    let id = if *id_is_ours { "" } else { id };
                    format!("call {name} {id} ")
                }
                Block::Raw(raw) => format!("raw {}", serde_json::from_str::<Value>(raw.json.get()).unwrap()),
            }),
            Event::Delta { delta, .. } => match delta {
                Delta::Text(text) => told.last_mut().unwrap().push_str(text),
                Delta::Arguments(text) => told.last_mut().unwrap().push_str(text),
                Delta::Seal { seal, .. } => {
                    let last = told.last_mut().unwrap();
                    *last = format!("[{}] {last}", seal.data);
                }
                Delta::Citation(citation) => told.push(format!("{citation:?}")),
                Delta::NextPiece | Delta::Logprobs(_) => {}
            },
            // The tier is told at the beginning, and in words of Google's.
            Event::Usage(last) => usage = Some(Usage { tier: None, ..*last }),
            Event::Finish(finish) => told.push(format!("{finish:?}")),
            Event::Fault(fault) => told.push(format!("{:?} {}", fault.kind, fault.message)),
            _ => {}
        }
    }
    told.retain(|line| line != "text ");
    told.push(format!("{usage:?}"));
    told
}

#[test]
fn the_checker_tells_wrong_streams() {
    let chunk = |parts: &str, more: &str| {
        format!(
            "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{parts}],\"role\":\"model\"}}{more}}}]}}\r\n\r\n"
        )
    };
    let text = r#"{"text":"a"}"#;
    let stop = ",\"finishReason\":\"STOP\"";
    assert_eq!(
        check((chunk(text, "") + &chunk(text, stop)).as_bytes(), false),
        Ok(())
    );
    let error = "data: {\"error\":{\"code\":500,\"message\":\"m\",\"status\":\"INTERNAL\"}}\r\n\r\n";
    assert_eq!(check((chunk(text, "") + error).as_bytes(), false), Ok(()));
    for wrong in [
        String::new(),
        chunk(text, ""),
        chunk(text, stop) + &chunk(text, stop),
        error.to_owned() + &chunk(text, stop),
        chunk(text, stop).replace("\r\n", "\n"),
        chunk("{}", stop),
        chunk(text, stop) + "data: [DONE]\r\n\r\n",
        ": comment\r\n\r\n".to_owned() + &chunk(text, stop),
    ] {
        assert!(check(wrong.as_bytes(), false).is_err(), "{wrong}");
    }
    let half = r#"{"functionCall":{"name":"f"}}"#;
    assert!(check_complete_calls(chunk(half, stop).as_bytes(), false).is_err());
}
