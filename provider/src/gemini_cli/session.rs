//! A conversation, as the program keeps one in a file.
//!
//! It is given the conversation in this way, and never as a prompt: in a prompt it would carry out what begins with `/` and
//! read the files that are named with `@`.

use serde_json::{Map, Value, json};

use super::fault::Failure;
use super::request::{camel, cannot, members, unsayable, wrong};

/// Turns, in the order in which they were said.
#[derive(Debug, Default)]
pub(super) struct Session {
    turns: Vec<Turn>,
}

#[derive(Debug)]
struct Turn {
    is_model: bool,
    parts: Vec<Value>,
}

const AT: &str = "2026-01-01T00:00:00.000Z";
/// The first record of this id stands where the program would tell of its folder, its system and the date: the beginning
/// of the SHA-256 of `environment-context`.
const ENVIRONMENT_ID: &str = "d04923d38bb0f6017037e74183378ef4";
/// With one of these at its beginning, what a user said is dropped.
const DROPPED: [&str; 4] = ["/", "?", "<session_context>", "<hook_context>"];
/// A joiner of words, which shows nothing.
const NOTHING: &str = "\u{2060}";

impl Session {
    /// Reads `contents`.
    pub(super) fn read(contents: &Value) -> Result<Self, Failure> {
        let one = std::slice::from_ref(contents);
        let contents = match contents {
            Value::Array(contents) => contents.as_slice(),
            _ => one,
        };
        let turns = contents.iter().map(Turn::read).collect::<Result<_, _>>()?;
        Ok(Self { turns })
    }

    /// Whether there is something to answer.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.turns.last() {
            None => Err(unsayable("The request has no contents.")),
            Some(turn) if turn.is_model => Err(unsayable(
                "A conversation that ends with the model's own words cannot be told to the Gemini CLI.",
            )),
            Some(_) => Ok(()),
        }
    }

    /// How many of its records are the user's: for so many turns the program says, when it has read them, what it read.
    pub(super) fn user_turns(&self) -> usize {
        self.turns.iter().filter(|turn| !turn.is_model).count()
    }

    /// The file: a line for each record.
    pub(super) fn write(&self, session_id: &str) -> Vec<u8> {
        let head = json!({
            "sessionId": session_id, "projectHash": "x", "startTime": AT, "lastUpdated": AT, "kind": "main",
        });
        let mut lines = head.to_string();
        lines.push('\n');
        for (number, turn) in self.turns.iter().enumerate() {
            let id = if number == 0 {
                ENVIRONMENT_ID.to_owned()
            } else {
                format!("turn-{number}")
            };
            lines.push_str(&turn.record(&id).to_string());
            lines.push('\n');
        }
        lines.into_bytes()
    }
}

impl Turn {
    fn read(content: &Value) -> Result<Self, Failure> {
        if let Value::String(text) = content {
            return Ok(Self {
                is_model: false,
                parts: vec![json!({"text": text})],
            });
        }
        let mut turn = Self {
            is_model: false,
            parts: Vec::new(),
        };
        for (name, value) in members(content, "A content")? {
            match (name.as_str(), value) {
                ("role", Value::String(role)) => match role.as_str() {
                    "user" | "function" | "tool" => {}
                    "model" => turn.is_model = true,
                    _ => return Err(wrong("role")),
                },
                ("role", Value::Null) => {}
                ("parts", Value::Array(parts)) => {
                    for part in parts {
                        turn.parts.extend(part_of(part)?);
                    }
                }
                ("parts", part) => turn.parts.extend(part_of(part)?),
                _ => return Err(cannot(name)),
            }
        }
        Ok(turn)
    }

    fn record(&self, id: &str) -> Value {
        let kind = if self.is_model { "gemini" } else { "user" };
        let mut parts = self.parts.clone();
        if self.would_be_dropped() {
            parts.insert(0, json!({"text": NOTHING}));
        }
        json!({"id": id, "timestamp": AT, "type": kind, "content": parts})
    }

    /// Also of the model, a turn of no text at all would not be one.
    fn would_be_dropped(&self) -> bool {
        let texts = self.parts.iter().filter_map(|part| part.get("text")?.as_str());
        let text: String = texts.collect();
        let text = text.trim_start();
        text.is_empty() || !self.is_model && DROPPED.iter().any(|begin| text.starts_with(begin))
    }
}

/// A part as the program keeps it; none for thoughts, which were somebody else's.
fn part_of(part: &Value) -> Result<Option<Value>, Failure> {
    if let Value::String(text) = part {
        return Ok(Some(json!({"text": text})));
    }
    let mut kept = Map::new();
    for (name, value) in members(part, "A part")? {
        let name = camel(name);
        match name.as_str() {
            "thought" if value.as_bool() == Some(true) => return Ok(None),
            // Sealed by another's key, or about how closely to look.
            "thought" | "thoughtSignature" | "mediaResolution" => {}
            "text" if value.is_string() => {
                kept.insert(name, value.clone());
            }
            "inlineData" => {
                kept.insert(name, inline_data(value)?);
            }
            _ if value.is_null() => {}
            "text" => return Err(wrong("text")),
            _ => return Err(cannot(&name)),
        }
    }
    Ok((!kept.is_empty()).then_some(Value::Object(kept)))
}

fn inline_data(value: &Value) -> Result<Value, Failure> {
    let mut kept = Map::new();
    for (name, value) in members(value, "`inlineData`")? {
        let name = camel(name);
        match name.as_str() {
            "mimeType" | "data" if value.is_string() => {
                kept.insert(name, value.clone());
            }
            "displayName" => {}
            _ => return Err(wrong("inlineData")),
        }
    }
    if kept.len() == 2 {
        Ok(Value::Object(kept))
    } else {
        Err(wrong("inlineData"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(contents: &Value) -> Vec<Value> {
        let written = Session::read(contents).unwrap().write("s");
        let text = String::from_utf8(written).unwrap();
        text.lines()
            .skip(1)
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn turns_become_records_and_the_first_stands_for_the_programs_own() {
        let image = json!({"inline_data": {"mime_type": "image/png", "data": "AAAA"}});
        let written = records(&json!([
            {"role": "user", "parts": [{"text": "What is this?"}, image]},
            {"role": "model", "parts": [{"text": "hm", "thought": true}, {"text": "A cat.", "thoughtSignature": "s"}]},
            {"parts": {"text": "And that?"}},
        ]));
        let kept = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
        assert_eq!(written[0]["id"], ENVIRONMENT_ID);
        assert_eq!(written[0]["content"], json!([{"text": "What is this?"}, kept]));
        assert_eq!(
            (&written[1]["type"], &written[1]["content"]),
            (&json!("gemini"), &json!([{"text": "A cat."}]))
        );
        assert_eq!(
            (&written[2]["type"], &written[2]["content"]),
            (&json!("user"), &json!([{"text": "And that?"}]))
        );
    }

    #[test]
    fn what_would_be_dropped_has_something_before_it() {
        for text in ["/quit", "  ?", "", " \n", "<session_context>x"] {
            let written = records(&json!([{"role": "user", "parts": [{"text": text}]}]));
            assert_eq!(
                written[0]["content"],
                json!([{"text": NOTHING}, {"text": text}]),
                "{text:?}"
            );
        }
        let written = records(&json!([{"role": "user", "parts": [{"text": "@/etc/passwd"}]}]));
        assert_eq!(written[0]["content"], json!([{"text": "@/etc/passwd"}]));
    }

    #[test]
    fn what_has_no_place_in_a_record_is_refused() {
        for content in [
            json!({"role": "system", "parts": []}),
            json!({"role": "user", "parts": [{"fileData": {"fileUri": "gs://a/b"}}]}),
            json!({"role": "user", "parts": [{"inlineData": {"data": "AAAA"}}]}),
            json!({"role": "user", "parts": [{"text": 1}]}),
            json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}),
            json!(1),
        ] {
            assert!(Session::read(&json!([content])).is_err(), "{content}");
        }
    }
}
