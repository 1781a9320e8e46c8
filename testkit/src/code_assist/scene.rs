//! What is answered, as the newest thing that the user said tells: `((play key=value …))` anywhere in it.
//!
//! Without any, the text is said back in three pieces. `pieces=N` and `pause=MS` say how, `think=1` thinks first,
//! `finish=MAX_TOKENS` ends it otherwise, `size=BYTES` says so many letters instead, `nothing=1` no text at all,
//! `block=SAFETY` refuses the prompt, `cut=1` breaks off after the text, `hang=1` says nothing more after it.
//! `status=429` with `kind=minute|day|told|bare`, and `status=…` with `reason=…`, are errors.

use std::time::Duration;

use serde_json::{Value, json};

use super::errors::{google, info, retry_info, unauthenticated};
use crate::vendor::{End, Play};

pub(super) struct Scene {
    model: String,
    text: String,
    input_tokens: usize,
    directions: Vec<(String, String)>,
}

const BEGINS: &str = "((play ";
const ENDS: &str = "))";
const THOUGHT_TOKENS: usize = 7;

/// As many tokens as there are words.
pub(super) fn words(value: &Value) -> usize {
    value.to_string().split_whitespace().count()
}

impl Scene {
    pub(super) fn of(body: &Value) -> Self {
        let contents = body["request"]["contents"].as_array();
        let last = contents.and_then(|contents| contents.iter().rfind(|content| content["role"] != "model"));
        let parts = last.and_then(|last| last["parts"].as_array());
        let told: String = parts
            .into_iter()
            .flatten()
            .filter_map(|part| part["text"].as_str())
            .collect();
        let (before, rest) = told.split_once(BEGINS).unwrap_or((&told, ""));
        let (played, after) = rest.split_once(ENDS).unwrap_or((rest, ""));
        let directions = played
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self {
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            text: format!("{before}{after}").trim().to_owned(),
            input_tokens: words(&body["request"]["contents"]),
            directions: directions.collect(),
        }
    }

    fn told(&self, key: &str) -> Option<&str> {
        let found = self.directions.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str) -> Option<usize> {
        self.told(key)?.parse().ok()
    }

    pub(super) fn play(&self) -> Play {
        if let Some(status) = self.told("status").and_then(|status| status.parse().ok()) {
            return self.error(status);
        }
        let play = Play::stream(self.chunks().iter().map(|chunk| {
            let told = json!({"response": chunk, "traceId": "0123456789abcdef", "metadata": {}});
            format!("data: {told}\r\n\r\n").into_bytes()
        }));
        let pause = self.number("pause").unwrap_or(0);
        let play = play.pause(Duration::from_millis(pause as u64));
        match (self.told("cut"), self.told("hang")) {
            (Some(_), _) => play.end(End::Cut),
            (_, Some(_)) => play.end(End::Hang),
            _ => play,
        }
    }

    fn chunks(&self) -> Vec<Value> {
        if let Some(reason) = self.told("block") {
            let feedback = json!({"blockReason": reason, "safetyRatings": []});
            return vec![json!({"promptFeedback": feedback, "usageMetadata": self.usage(0)})];
        }
        let mut chunks = Vec::new();
        if self.told("think").is_some() {
            let thought = json!({"thought": true, "text": "**Looking closely**\nIt may be so."});
            chunks.push(self.chunk(&thought, None, 0));
        }
        let text = match (self.told("nothing"), self.number("size")) {
            (Some(_), _) => String::new(),
            (_, Some(size)) => "x".repeat(size),
            _ => self.text.clone(),
        };
        let mut said = 0;
        for piece in pieces(&text, self.number("pieces").unwrap_or(3)) {
            said += piece.split_whitespace().count().max(1);
            chunks.push(self.chunk(&json!({"text": piece}), None, said));
        }
        if self.told("cut").is_none() && self.told("hang").is_none() {
            let finish = self.told("finish").unwrap_or("STOP");
            chunks.push(self.chunk(&json!({"text": ""}), Some(finish), said));
        }
        chunks
    }

    fn chunk(&self, part: &Value, finish: Option<&str>, said: usize) -> Value {
        let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": [part]}});
        if let Some(finish) = finish {
            candidate["finishReason"] = json!(finish);
        }
        json!({"candidates": [candidate], "usageMetadata": self.usage(said), "modelVersion": self.model})
    }

    fn usage(&self, said: usize) -> Value {
        let thoughts = self.told("think").map_or(0, |_| THOUGHT_TOKENS);
        json!({
            "promptTokenCount": self.input_tokens,
            "candidatesTokenCount": said,
            "thoughtsTokenCount": thoughts,
            "totalTokenCount": self.input_tokens + said + thoughts,
        })
    }

    fn error(&self, status: u16) -> Play {
        let exhausted = "You have exhausted your capacity on this model.";
        match (status, self.told("kind")) {
            (401, _) => unauthenticated(),
            (429, Some("day")) => {
                let message = format!("{exhausted} Your quota will reset after 9h12m3s.");
                let details = [info("QUOTA_EXHAUSTED"), retry_info("33123.4s")];
                google(429, "RESOURCE_EXHAUSTED", &message, &details)
            }
            // Only to programs, and another time than its words have.
            (429, Some("told")) => {
                let message = "Resource has been exhausted (e.g. check quota).";
                google(
                    429,
                    "RESOURCE_EXHAUSTED",
                    message,
                    &[info("RATE_LIMIT_EXCEEDED"), retry_info("33.2s")],
                )
            }
            (429, Some("bare")) => {
                let message = "Resource has been exhausted (e.g. check quota).";
                google(429, "RESOURCE_EXHAUSTED", message, &[])
            }
            (429, _) => {
                let message = format!("{exhausted} Your quota will reset after 7s.");
                let details = [info("RATE_LIMIT_EXCEEDED"), retry_info("6.5s")];
                google(429, "RESOURCE_EXHAUSTED", &message, &details)
            }
            _ => {
                let reason = self.told("reason").unwrap_or("UNKNOWN");
                let message = match reason {
                    "TOS_VIOLATION" => {
                        "This service has been disabled in this account for violation of Terms of Service."
                    }
                    "SERVICE_DISABLED" => {
                        "Cloud Code Private API has not been used in project 424242 before."
                    }
                    _ => "This is told as it was played.",
                };
                google(status, word(status), message, &[info(reason)])
            }
        }
    }
}

fn word(status: u16) -> &'static str {
    match status {
        400 => "INVALID_ARGUMENT",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

/// A text in so many pieces, or fewer.
fn pieces(text: &str, count: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let size = letters.len().div_ceil(count.max(1)).max(1);
    letters.chunks(size).map(|piece| piece.iter().collect()).collect()
}
