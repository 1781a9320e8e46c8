//! What a stream of Anthropic's must be: order, numbers, one end. It is held against what was recorded, so that it does
//! not ask for more than the vendor keeps to, and against what is written here.

use serde_json::Value;

use crate::sse::{self, Events, StreamLimits};

/// How a stream that breaks no rule ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Good,
    Error,
    Cut,
}

#[derive(Default)]
struct Checker {
    started: bool,
    /// The number and the type of the block that is open.
    open: Option<(u64, String)>,
    next: u64,
    delta_seen: bool,
    ending: Option<Ending>,
}

/// Checks a whole stream.
pub(crate) fn check(stream: &[u8]) -> Result<Ending, String> {
    let mut events = Events::new(StreamLimits::default());
    events.push(stream).unwrap();
    let mut checker = Checker::default();
    while let Some(event) = events.next_event() {
        checker.event(event)?;
    }
    // Some leave out the last blank line, and some break off within an event.
    if !events.rest().is_empty() && checker.event(events.rest()).is_err() {
        return Ok(Ending::Cut);
    }
    Ok(checker.ending.unwrap_or(Ending::Cut))
}

fn ensure(holds: bool, problem: &'static str) -> Result<(), &'static str> {
    holds.then_some(()).ok_or(problem)
}

impl Checker {
    fn event(&mut self, event: &[u8]) -> Result<(), String> {
        let value: Value = serde_json::from_slice(&sse::data(event)).map_err(|error| error.to_string())?;
        let kind = value["type"].as_str().ok_or("an event without a type")?;
        if sse::name(event) != Some(kind.as_bytes()) {
            return Err(format!("the event of type {kind} has another name"));
        }
        self.take(kind, &value)
            .map_err(|problem| format!("{problem}: {value}"))
    }

    fn take(&mut self, kind: &str, event: &Value) -> Result<(), &'static str> {
        ensure(self.ending.is_none(), "an event after the end")?;
        ensure(
            self.started || matches!(kind, "message_start" | "ping" | "error"),
            "an event before the beginning",
        )?;
        match kind {
            "message_start" => self.start(event),
            "content_block_start" => self.open(event),
            "content_block_delta" => self.delta(event),
            "content_block_stop" => {
                let (index, _) = self.open.take().ok_or("no block is open")?;
                ensure(event["index"] == index, "another block is closed than is open")
            }
            "message_delta" => self.message_delta(event),
            "message_stop" => {
                self.ending = Some(Ending::Good);
                ensure(self.delta_seen, "no message_delta before the end")
            }
            "error" => {
                self.ending = Some(Ending::Error);
                ensure(event["error"]["type"].is_string(), "an error without a type")?;
                ensure(
                    event["error"]["message"].is_string(),
                    "an error without a message",
                )
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, event: &Value) -> Result<(), &'static str> {
        ensure(!std::mem::replace(&mut self.started, true), "a second beginning")?;
        let message = &event["message"];
        ensure(message["id"].as_str().is_some_and(|id| !id.is_empty()), "no id")?;
        ensure(
            message["role"] == "assistant" && message["type"] == "message",
            "no message",
        )?;
        ensure(message["content"] == Value::Array(Vec::new()), "content in it")?;
        ensure(message["stop_reason"].is_null(), "a reason for the end in it")?;
        ensure(
            message["usage"]["input_tokens"].is_u64() && message["usage"]["output_tokens"].is_u64(),
            "no usage in it",
        )
    }

    fn open(&mut self, event: &Value) -> Result<(), &'static str> {
        ensure(self.open.is_none(), "a block inside another")?;
        ensure(!self.delta_seen, "a block after message_delta")?;
        ensure(event["index"] == self.next, "a block with a wrong number")?;
        let kind = event["content_block"]["type"]
            .as_str()
            .ok_or("a block without a type")?;
        if kind == "tool_use" {
            let block = &event["content_block"];
            // A call that code of the vendor's made is told whole in its beginning.
            let is_direct = block["caller"].is_null() || block["caller"]["type"] == "direct";
            ensure(
                !is_direct || block["input"] == serde_json::json!({}),
                "arguments in the beginning",
            )?;
            ensure(
                block["id"].is_string() && block["name"].is_string(),
                "a call without a name",
            )?;
        }
        self.open = Some((self.next, kind.to_owned()));
        self.next += 1;
        Ok(())
    }

    fn delta(&mut self, event: &Value) -> Result<(), &'static str> {
        let (index, block) = self.open.as_ref().ok_or("no block is open")?;
        ensure(
            event["index"] == *index,
            "an addition to a block that is not open",
        )?;
        let text = |name: &str| ensure(event["delta"][name].is_string(), "an addition without its text");
        match (event["delta"]["type"].as_str(), block.as_str()) {
            (Some("text_delta"), "text") => text("text"),
            (Some("citations_delta"), "text") => {
                ensure(event["delta"]["citation"].is_object(), "no citation")
            }
            (Some("thinking_delta"), "thinking") => text("thinking"),
            (Some("signature_delta"), "thinking") => text("signature"),
            (Some("input_json_delta"), "tool_use" | "server_tool_use" | "mcp_tool_use") => {
                text("partial_json")
            }
            (Some("text_delta" | "thinking_delta" | "signature_delta" | "input_json_delta"), _) => {
                Err("an addition of the wrong kind")
            }
            (Some(_), _) => Ok(()),
            (None, _) => Err("an addition without a type"),
        }
    }

    fn message_delta(&mut self, event: &Value) -> Result<(), &'static str> {
        let is_cut = event["delta"]["stop_reason"] == "max_tokens";
        ensure(self.open.is_none() || is_cut, "a block is still open")?;
        ensure(event["delta"]["stop_reason"].is_string(), "no reason for the end")?;
        ensure(event["usage"]["output_tokens"].is_u64(), "no usage")?;
        ensure(
            !std::mem::replace(&mut self.delta_seen, true),
            "a second message_delta",
        )
    }
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let start = r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":0}}}"#;
    let open = |index| {
        format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"text","text":""}}}}"#
        )
    };
    let close = |index| format!(r#"{{"type":"content_block_stop","index":{index}}}"#);
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}"#;
    let stop = r#"{"type":"message_stop"}"#;
    let checked = |events: &[&str]| {
        let mut stream = Vec::new();
        for event in events {
            let value: Value = serde_json::from_str(event).unwrap();
            sse::write_event(value["type"].as_str(), event.as_bytes(), &mut stream);
        }
        check(&stream)
    };
    assert_eq!(
        checked(&[start, &open(0), &close(0), delta, stop]),
        Ok(Ending::Good)
    );
    assert_eq!(checked(&[start, &open(0)]), Ok(Ending::Cut));
    let wrong: [&[&str]; 8] = [
        &[&open(0)],
        &[start, start],
        &[start, &open(1)],
        &[start, &open(0), &open(1)],
        &[start, &open(0), &close(1)],
        &[start, &open(0), delta],
        &[start, stop],
        &[start, delta, stop, stop],
    ];
    for events in wrong {
        assert!(checked(events).is_err(), "{events:?}");
    }
}
