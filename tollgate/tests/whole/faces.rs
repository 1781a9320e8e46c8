//! What clients of one dialect ask, and what providers of another are asked then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use testkit::database::TestDatabase;
use testkit::vendor::{Play, Seen, Vendor};

use crate::world::World;

/// What a vendor has to be asked: where, and with which body.
pub(crate) enum Asked {
    Nobody,
    /// Byte by byte.
    Passed(&'static str, &'static str),
    /// In whichever order its members stand.
    Translated(&'static str, &'static str),
}

impl Asked {
    #[track_caller]
    pub(crate) fn check(&self, seen: &[Seen], name: &str) {
        match (self, seen) {
            (Self::Nobody, []) => {}
            (Self::Passed(path, body), [seen]) => {
                assert_eq!(seen.path, *path, "{name}");
                assert_eq!(String::from_utf8_lossy(&seen.body), *body, "{name}");
            }
            (Self::Translated(path, body), [seen]) => {
                assert_eq!(seen.path, *path, "{name}");
                assert_eq!(read(&seen.body), read(body.as_bytes()), "{name}");
            }
            _ => panic!("{name}: {} requests", seen.len()),
        }
    }
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// How one dialect says what all of them can say.
struct Speech {
    /// The provider that speaks it, as which the vendor is known.
    provider: &'static str,
    /// Where it is asked; `$M` stands for the model.
    path: &'static str,
    stream_path: &'static str,
    request: &'static str,
    /// Where the user's words stand in a request.
    asked: &'static str,
    answer: &'static str,
    /// Where the model's words stand in an answer.
    said: &'static str,
    stream: &'static [&'static str],
    /// Where they stand in an event.
    said_in_event: &'static str,
    /// What the last event holds.
    last: &'static str,
}

const SPEECHES: [Speech; 4] = [
    Speech {
        provider: "custom",
        path: "/v1/chat/completions",
        stream_path: "/v1/chat/completions",
        request: r#"{"model":"$M","stream":$S,"max_tokens":50,"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]}"#,
        asked: "/messages/1/content",
        answer: r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
        said: "/choices/0/message/content",
        stream: &[
            r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"hel"},"finish_reason":null}]}"#,
            r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}"#,
            r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            "data: [DONE]",
        ],
        said_in_event: "/choices/0/delta/content",
        last: "data: [DONE]",
    },
    Speech {
        provider: "openai",
        path: "/v1/responses",
        stream_path: "/v1/responses",
        request: r#"{"model":"$M","stream":$S,"store":false,"max_output_tokens":50,"instructions":"be brief","input":[{"role":"user","content":"hi"}]}"#,
        asked: "/input/0/content",
        answer: r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hello","annotations":[]}]}],"usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":5}}"#,
        said: "/output/0/content/0/text",
        stream: &[
            r#"event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}"#,
            r#"event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"type":"message","id":"msg_1","status":"in_progress","role":"assistant","content":[]}}"#,
            r#"event: response.content_part.added
data: {"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}"#,
            r#"event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"hel"}"#,
            r#"event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"lo"}"#,
            r#"event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":5,"item_id":"msg_1","output_index":0,"content_index":0,"text":"hello"}"#,
            r#"event: response.content_part.done
data: {"type":"response.content_part.done","sequence_number":6,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"hello","annotations":[]}}"#,
            r#"event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":7,"output_index":0,"item":{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hello","annotations":[]}]}}"#,
            r#"event: response.completed
data: {"type":"response.completed","sequence_number":8,"response":{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{"type":"message","id":"msg_1","status":"completed","role":"assistant","content":[{"type":"output_text","text":"hello","annotations":[]}]}],"usage":{"input_tokens":3,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":5}}}"#,
        ],
        said_in_event: "/delta",
        last: r#""type":"response.completed""#,
    },
    Speech {
        provider: "anthropic",
        path: "/v1/messages",
        stream_path: "/v1/messages",
        request: r#"{"model":"$M","stream":$S,"max_tokens":50,"system":"be brief","messages":[{"role":"user","content":"hi"}]}"#,
        asked: "/messages/0/content",
        answer: r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}"#,
        said: "/content/0/text",
        stream: &[
            r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}}"#,
            r#"event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            r#"event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hel"}}"#,
            r#"event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo"}}"#,
            r#"event: content_block_stop
data: {"type":"content_block_stop","index":0}"#,
            r#"event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}}"#,
            r#"event: message_stop
data: {"type":"message_stop"}"#,
        ],
        said_in_event: "/delta/text",
        last: r#""type":"message_stop""#,
    },
    Speech {
        provider: "gemini",
        path: "/v1beta/models/$M:generateContent",
        stream_path: "/v1beta/models/$M:streamGenerateContent?alt=sse",
        request: r#"{"systemInstruction":{"parts":[{"text":"be brief"}]},"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"maxOutputTokens":50}}"#,
        asked: "/contents/0/parts/0/text",
        answer: r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hello"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5},"modelVersion":"m","responseId":"r"}"#,
        said: "/candidates/0/content/parts/0/text",
        stream: &[
            r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":"hel"}]},"index":0}],"modelVersion":"m","responseId":"r"}"#,
            r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":"lo"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5},"modelVersion":"m","responseId":"r"}"#,
        ],
        said_in_event: "/candidates/0/content/parts/0/text",
        last: r#""finishReason":"STOP""#,
    },
];

impl Speech {
    fn path(&self, stream: bool, model: &str) -> String {
        let path = if stream { self.stream_path } else { self.path };
        path.replace("$M", &model.replace('/', "%2F"))
    }

    fn request(&self, stream: bool, model: &str) -> String {
        let request = self.request.replace("$M", model);
        request.replace("$S", &stream.to_string())
    }

    /// The stream as it goes over the wire.
    fn streamed(&self) -> String {
        self.stream.iter().map(|event| format!("{event}\n\n")).collect()
    }

    fn play_stream(&self) -> Play {
        let events = self.stream.iter();
        Play::stream(events.map(|event| format!("{event}\n\n").into_bytes()))
    }

    /// The text of a stream.
    fn said_in(&self, stream: &str) -> String {
        let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
        let events = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
        let said = events.filter_map(|event| Some(event.pointer(self.said_in_event)?.as_str()?.to_owned()));
        said.collect()
    }
}

/// The text at a place, which may be spelt as a list of one part.
fn text_at(value: &Value, pointer: &str) -> Value {
    let found = value.pointer(pointer).cloned().unwrap_or(Value::Null);
    match found.pointer("/0/text") {
        Some(text) => text.clone(),
        None => found,
    }
}

/// By where it is asked, the vendor knows which dialect it has to speak.
fn scripted(seen: &Seen) -> Play {
    match asked_in(seen) {
        Some((speech, true)) => speech.play_stream(),
        Some((speech, false)) => Play::json(200, speech.answer),
        None => Play::json(404, r#"{"error":{"message":"nobody asks here"}}"#),
    }
}

/// In which dialect a vendor is asked, and whether for a stream.
fn asked_in(seen: &Seen) -> Option<(&'static Speech, bool)> {
    let streams = read(&seen.body)["stream"] == true || seen.path.contains(":stream");
    let asked_at = |speech: &&Speech| seen.path == speech.path(streams, "m").replace("/v1beta", "/v1");
    Some((SPEECHES.iter().find(asked_at)?, streams))
}

#[test]
fn each_face_reaches_each_provider_in_its_own_words() {
    for database in TestDatabase::each() {
        let vendor = Vendor::start(scripted);
        let world = World::of_all(database, &vendor);
        let mut calls = Vec::new();
        for client in &SPEECHES {
            for provider in &SPEECHES {
                for stream in [false, true] {
                    let name = format!("{} to {}, stream {stream}", client.path, provider.path);
                    let model = format!("{}/m", provider.provider);
                    let request = client.request(stream, &model);
                    let answer = world.post(&client.path(stream, &model), &request);
                    let told = String::from_utf8_lossy(&answer.body).into_owned();
                    assert_eq!(answer.status, 200, "{name}: {told}");
                    assert_eq!(answer.header("x-tollgate-lossy"), "", "{name}");
                    let seen = vendor.last();
                    // OpenAI takes both of its dialects, and what it is not asked in Responses goes to the other.
                    let is_openais = provider.provider == "openai" && client.provider != "openai";
                    let spoken = if is_openais { &SPEECHES[0] } else { provider };
                    let passes = spoken.path == client.path;
                    let asked_at = spoken.path(stream, "m").replace("/v1beta", "/v1");
                    assert_eq!(seen.path, asked_at, "{name}");
                    if !passes {
                        assert_eq!(text_at(&read(&seen.body), spoken.asked), json!("hi"), "{name}");
                    }
                    match (passes, stream) {
                        (true, false) => assert_eq!(told, client.answer, "{name}"),
                        // What was not asked for is left out: the chunk with nothing but usage.
                        (true, true) if client.provider == "custom" => {
                            assert_eq!(told.matches("data: ").count(), client.stream.len() - 1, "{name}");
                        }
                        (true, true) => assert_eq!(told, client.streamed(), "{name}"),
                        (false, false) => {
                            assert_eq!(text_at(&answer.json(), client.said), json!("hello"), "{name}");
                        }
                        (false, true) => {
                            assert_eq!(client.said_in(&told), "hello", "{name}: {told}");
                            let last = told.trim_end().rsplit("\n\n").next().unwrap_or_default();
                            assert!(last.contains(client.last), "{name}: {told}");
                            assert_eq!(answer.header("content-type"), "text/event-stream", "{name}");
                        }
                    }
                    calls.push((answer.header("x-request-id").to_owned(), name));
                }
            }
        }
        let ledger = world.ledger(calls.len());
        for (call_id, name) in calls {
            let row = &ledger[&call_id];
            let usage = row.usage.unwrap_or_default();
            assert_eq!((usage.input_tokens, usage.output_tokens), (3, 2), "{name}");
            assert_eq!(row.outcome, "ok", "{name}");
        }
    }
}

/// A stream that calls itself something else, an answer that calls itself a stream, and each in the place of the other.
#[test]
fn p54_an_answer_is_what_its_first_bytes_say() {
    let swapped = Arc::new(AtomicBool::new(false));
    let swaps = swapped.clone();
    let vendor = Vendor::start(move |seen| {
        let (speech, streams) = asked_in(seen).unwrap();
        if streams != swaps.load(Ordering::SeqCst) {
            speech
                .play_stream()
                .header("content-type", "application/octet-stream")
        } else {
            Play::json(200, speech.answer).header("content-type", "text/event-stream")
        }
    });
    let world = World::of_all(TestDatabase::sqlite(), &vendor);
    for swap in [false, true] {
        swapped.store(swap, Ordering::SeqCst);
        for (client, provider, stream) in ways() {
            let name = format!("{} to {}, {stream}, {swap}", client.path, provider.path);
            let model = format!("{}/m", provider.provider);
            let answer = world.post(&client.path(stream, &model), &client.request(stream, &model));
            let told = String::from_utf8_lossy(&answer.body).into_owned();
            let (spoken, _) = asked_in(&vendor.last()).unwrap();
            let passes = spoken.path == client.path;
            // Between equals nothing is made of the provider's words, so that a stream is no answer.
            if passes && swap && !stream {
                assert_eq!(answer.status, 502, "{name}: {told}");
                assert!(told.contains("JSON"), "{name}: {told}");
                continue;
            }
            assert_eq!(answer.status, 200, "{name}: {told}");
            let is_stream = stream && !(passes && swap);
            if is_stream {
                assert_eq!(answer.header("content-type"), "text/event-stream", "{name}");
                assert_eq!(client.said_in(&told), "hello", "{name}: {told}");
                assert!(told.contains(client.last), "{name}: {told}");
            } else {
                assert_eq!(answer.header("content-type"), "application/json", "{name}");
                assert_eq!(text_at(&answer.json(), client.said), json!("hello"), "{name}");
            }
        }
    }
}

/// All pairs, whole and as a stream.
fn ways() -> impl Iterator<Item = (&'static Speech, &'static Speech, bool)> {
    let pairs = SPEECHES
        .iter()
        .flat_map(|client| SPEECHES.iter().map(move |provider| (client, provider)));
    pairs.flat_map(|(client, provider)| [false, true].map(|stream| (client, provider, stream)))
}

/// One that may take long comes as a stream, over a connection on which something moves, though its client wants it whole.
/// Between equals the client's words go as they are.
#[test]
fn p59_a_long_answer_is_asked_for_as_a_stream_and_told_whole() {
    let vendor = Vendor::start(scripted);
    let world = World::of_all(TestDatabase::sqlite(), &vendor);
    let mut calls = Vec::new();
    for (client, provider, _) in ways().filter(|(_, _, stream)| !stream) {
        for (tokens, is_long) in [(21_333, false), (21_334, true)] {
            let name = format!("{} to {}, {tokens}", client.path, provider.path);
            let model = format!("{}/m", provider.provider);
            let request = client
                .request(false, &model)
                .replace(":50", &format!(":{tokens}"));
            let answer = world.post(&client.path(false, &model), &request);
            let told = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.status, 200, "{name}: {told}");
            let (spoken, streamed) = asked_in(&vendor.last()).unwrap();
            assert_eq!(streamed, is_long && spoken.path != client.path, "{name}");
            assert_eq!(answer.header("content-type"), "application/json", "{name}");
            assert_eq!(text_at(&answer.json(), client.said), json!("hello"), "{name}");
            calls.push((answer.header("x-request-id").to_owned(), name));
        }
    }
    let ledger = world.ledger(calls.len());
    for (call_id, name) in calls {
        let usage = ledger[&call_id].usage.unwrap_or_default();
        assert_eq!((usage.input_tokens, usage.output_tokens), (3, 2), "{name}");
        assert_eq!(ledger[&call_id].outcome, "ok", "{name}");
    }
}
