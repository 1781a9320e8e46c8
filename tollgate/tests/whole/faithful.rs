//! Recorded traffic of real vendors, replayed through the gateway: what the vendor gets and what the client gets are
//! the recording, byte by byte, and the ledger holds what the recording says was used.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use store::AttemptUsage;
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Vendor};

use crate::world::World;

/// One exchange.
struct Case {
    name: String,
    request: Vec<u8>,
    status: u16,
    answer: Vec<u8>,
    streamed: bool,
}

const OWN_REQUEST: &str = r#"{ "model":"recorded-1",  "messages":[{"role":"user","content":"hi"}], "temperature":1.0e0, "x_unknown":[1,{"a":null}]"#;

#[test]
fn recordings_pass_as_they_are_and_are_metered() {
    let Some(cases) = cases() else {
        println!("skipped: there is no folder with recordings");
        return;
    };
    assert!(cases.len() > 100, "{} recordings", cases.len());
    for database in TestDatabase::each() {
        let next = Arc::new(Mutex::new(Play::json(500, "{}")));
        let playing = next.clone();
        let vendor = Vendor::start(move |_| playing.lock().unwrap().clone());
        let world = World::new(database, &vendor);
        world.installation.ask(&["route", "set", "*", "--to", "custom"]);
        // The change takes effect within a second, without a restart.
        *next.lock().unwrap() = Play::json(200, "{}");
        while world.chat(br#"{"model":"recorded-1","messages":[]}"#).status != 200 {}
        let calls: Vec<(String, Option<AttemptUsage>)> = cases
            .iter()
            .map(|case| {
                *next.lock().unwrap() = case.play(case.answer.len());
                let answer = case.replay(&world, &vendor);
                if case.streamed {
                    // The same, one byte at a time.
                    *next.lock().unwrap() = case.play(1);
                    assert_eq!(case.replay(&world, &vendor).1, answer.1, "{}", case.name);
                }
                (answer.0, case.usage())
            })
            .collect();
        let ledger = world.ledger(calls.len() + cases.iter().filter(|case| case.streamed).count() + 1);
        for (case, (call_id, usage)) in cases.iter().zip(&calls) {
            assert_eq!(ledger[call_id].usage, *usage, "{}", case.name);
        }
        println!(
            "{} recordings on {}",
            cases.len(),
            if world.database.is_sqlite() {
                "SQLite"
            } else {
                "Postgres"
            }
        );
    }
}

impl Case {
    /// The recorded answer, in pieces of this many bytes.
    fn play(&self, size: usize) -> Play {
        if self.streamed {
            Play::stream(self.answer.chunks(size.max(1)).map(<[u8]>::to_vec))
        } else {
            Play::json(self.status, self.answer.clone())
        }
    }

    /// Sends the request through the gateway, and holds both sides against the recording.
    fn replay(&self, world: &World, vendor: &Vendor) -> (String, Vec<u8>) {
        let answer = world.chat(&self.request);
        let name = &self.name;
        assert_eq!(
            text(&vendor.last().body),
            text(&self.expected_request()),
            "{name}: what the vendor gets"
        );
        if matches!(self.status, 401 | 403) {
            assert_eq!(answer.status, 502, "{name}");
            assert_eq!(
                answer.json()["error"]["code"],
                "provider_credential_refused",
                "{name}"
            );
        } else {
            assert_eq!(answer.status, self.status, "{name}");
            let expected = self.expected_answer();
            let cut = answer.body.get(..expected.len()).unwrap_or(&answer.body);
            assert_eq!(text(cut), text(&expected), "{name}: what the client gets");
            let rest = &answer.body[expected.len()..];
            let is_cut = self.streamed && !self.is_complete();
            assert_eq!(!rest.is_empty(), is_cut, "{name}: {}", text(rest));
            assert!(
                !is_cut || text(rest).contains("provider_answer_cut"),
                "{name}: {}",
                text(rest)
            );
        }
        (answer.header("x-request-id").to_owned(), answer.body)
    }

    fn asks_for_usage(&self) -> bool {
        let request: Value = serde_json::from_slice(&self.request).unwrap();
        request["stream_options"]["include_usage"] == true
    }

    /// The request with the one named splice: streams are asked for their usage.
    fn expected_request(&self) -> Vec<u8> {
        if !self.streamed || self.asks_for_usage() {
            return self.request.clone();
        }
        let end = self.request.iter().rposition(|byte| *byte == b'}').unwrap();
        let mut request = self.request.clone();
        request.splice(end..end, *br#","stream_options":{"include_usage":true}"#);
        request
    }

    /// The answer without the events that hold nothing but a usage that was not asked for.
    fn expected_answer(&self) -> Vec<u8> {
        if !self.streamed {
            return self.answer.clone();
        }
        let ends = self.is_complete();
        let events = events(&self.answer);
        let kept = events.iter().filter(|event| {
            let whole = event.ends_with(b"\n\n") || event.ends_with(b"\r\n\r\n");
            (whole || ends) && (self.asks_for_usage() || !is_usage_alone(event))
        });
        kept.flat_map(|event| event.iter().copied()).collect()
    }

    /// Whether the recorded stream came to its end.
    fn is_complete(&self) -> bool {
        let chunks: Vec<Value> = events(&self.answer)
            .iter()
            .filter_map(|event| data(event))
            .collect();
        let finished = |chunk: &Value| {
            let choices = chunk["choices"].as_array().cloned().unwrap_or_default();
            choices.iter().any(|choice| choice["finish_reason"].is_string()) || chunk.get("error").is_some()
        };
        text(&self.answer).contains("data: [DONE]") || chunks.iter().any(finished)
    }

    /// What the recording says was used: its last word counts.
    fn usage(&self) -> Option<AttemptUsage> {
        let chunks = if self.streamed {
            events(&self.answer)
                .iter()
                .filter_map(|event| data(event))
                .collect()
        } else {
            vec![serde_json::from_slice(&self.answer).unwrap_or(Value::Null)]
        };
        if matches!(self.status, 401 | 403) {
            return None;
        }
        chunks.iter().rev().find_map(|chunk| {
            let usage = [&chunk["usage"], &chunk["x_groq"]["usage"]]
                .into_iter()
                .find(|usage| usage.is_object())?;
            let count = |path: &str| usage.pointer(path).and_then(Value::as_i64).unwrap_or(0);
            let input_tokens = usage["prompt_tokens"].as_i64()?;
            Some(AttemptUsage {
                input_tokens,
                cached_input_tokens: count("/prompt_tokens_details/cached_tokens")
                    .max(count("/prompt_cache_hit_tokens")),
                cache_write_tokens: count("/prompt_tokens_details/cache_write_tokens"),
                // Some count reasoning beside the completion; the total has all that was written.
                output_tokens: count("/completion_tokens").max(count("/total_tokens") - input_tokens),
                reasoning_tokens: count("/completion_tokens_details/reasoning_tokens"),
                audio_input_tokens: count("/prompt_tokens_details/audio_tokens"),
                audio_output_tokens: count("/completion_tokens_details/audio_tokens"),
            })
        })
    }
}

/// A stream, divided after each blank line.
fn events(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut events = vec![Vec::new()];
    for line in stream.split_inclusive(|byte| *byte == b'\n') {
        let blank = line == b"\n" || line == b"\r\n";
        events.last_mut().unwrap().extend_from_slice(line);
        if blank {
            events.push(Vec::new());
        }
    }
    events.retain(|event| !event.is_empty());
    events
}

fn data(event: &[u8]) -> Option<Value> {
    let event = text(event);
    let line = event.lines().find_map(|line| line.strip_prefix("data:"))?;
    serde_json::from_str(line.trim()).ok()
}

fn is_usage_alone(event: &[u8]) -> bool {
    data(event).is_some_and(|chunk| {
        let usage = chunk["usage"].is_object() || chunk["x_groq"]["usage"].is_object();
        usage && chunk["choices"].as_array().is_none_or(Vec::is_empty)
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn cases() -> Option<Vec<Case>> {
    let folder = fixtures()?;
    let index: Value = serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap();
    let cases = index.as_array().or_else(|| index["cases"].as_array()).unwrap();
    let cases = cases.iter().filter(|case| case["dialect"] == "openai-chat");
    Some(
        cases
            .flat_map(|case| read_case(&folder.join("openai-chat"), case))
            .collect(),
    )
}

/// A case may hold an answer, a stream, or both: two exchanges then.
fn read_case(folder: &Path, case: &Value) -> Vec<Case> {
    let files = &case["files"];
    let read = |name: &str| {
        files[name]
            .as_str()
            .map(|file| fs::read(folder.join(file)).unwrap())
    };
    let status = case["status"].as_u64().unwrap_or(200).try_into().unwrap();
    let exchange = |answer: Vec<u8>, streamed: bool| Case {
        name: format!("{} {}", case["case"], if streamed { "streamed" } else { "whole" }),
        request: suited(read("request"), streamed),
        status,
        answer,
        streamed,
    };
    let whole = read("response").map(|answer| exchange(answer, false));
    let stream = read("stream").map(|answer| exchange(answer, true));
    whole.into_iter().chain(stream).collect()
}

/// The recorded request, if there is one and it asked for this kind of answer; else one of our own.
fn suited(recorded: Option<Vec<u8>>, streamed: bool) -> Vec<u8> {
    let asked_to_stream = |request: &Vec<u8>| {
        let request: Value = serde_json::from_slice(request).unwrap_or(Value::Null);
        request["stream"].as_bool().unwrap_or(false)
    };
    recorded
        .filter(|request| asked_to_stream(request) == streamed)
        .unwrap_or_else(|| {
            let stream = if streamed { r#","stream" : true}"# } else { "}" };
            format!("{OWN_REQUEST}{stream}").into_bytes()
        })
}

fn fixtures() -> Option<PathBuf> {
    let shared = std::env::var_os("TOLLGATE_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    Some(shared.unwrap_or(beside).join("fixtures")).filter(|folder| folder.is_dir())
}
