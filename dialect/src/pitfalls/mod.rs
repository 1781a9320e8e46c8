//! Mistakes that gateways make in translation, numbered. For each there is one small case that goes the whole public way
//! and shows that it is not made here; its number is in the test's name.
//!
//! Some are not, or not only, this crate's, which has neither headers nor a clock:
//! - 54, headers of an answer that do not fit its body: `provider` refuses one that is compressed, and `gateway` goes by the
//!   first bytes, of which the reader of events ([`sse::is_stream`]) knows whether they begin a stream.
//! - 55, signs of life: those of a provider are passed on, as is shown here; where it gives none, `gateway` does when it is
//!   told to.
//! - 59, long answers that nobody asked to be streamed: fetched as streams and told whole where a call crosses. Between
//!   equals the client's words go as they are, and so does the answer: its bytes could not be kept otherwise.

mod caching;
mod calls;
mod content;
mod limits;
mod reasoning;
mod schemas;
mod streams;

use serde_json::{Value, json};

use crate::Dialect;
use crate::Dialect::{AnthropicMessages, GeminiGenerate, OpenaiChat, OpenaiResponses};
use crate::codec::InPath;
use crate::json::Limits;
use crate::neutral::{OwnedHeading, Profile, Target};
use crate::refusal::Refusal;
use crate::sse::{self, Events, StreamLimits};
use crate::translate::{Crossing, Sent};

const ALL: [Dialect; 4] = [OpenaiChat, OpenaiResponses, AnthropicMessages, GeminiGenerate];
const IN_PATH: InPath<'static> = InPath {
    model: "asked",
    stream: false,
    is_array: false,
};

/// A request for a model with this profile, and what its answer is put through.
fn sent(
    client: Dialect,
    provider: Dialect,
    profile: &Profile,
    body: &str,
) -> Result<(Crossing, String), Refusal> {
    sent_by(false, client, provider, profile, body)
}

/// The same for a tenant that may be a strict one.
fn sent_by(
    strict: bool,
    client: Dialect,
    provider: Dialect,
    profile: &Profile,
    body: &str,
) -> Result<(Crossing, String), Refusal> {
    let heading = OwnedHeading {
        id: format!("{}ours", client.id_prefix()),
        created_s: 1_700_000_000,
        model: "asked".to_owned(),
    };
    let sent = Sent {
        tenant: "tenant",
        dialect: client,
        body: body.as_bytes(),
        in_path: IN_PATH,
    };
    let target = Target {
        model: "theirs",
        profile,
    };
    let (crossing, body) = Crossing::of(sent, provider, &target, heading, strict)?;
    Ok((crossing, String::from_utf8(body).unwrap()))
}

/// The request that a provider gets.
fn asked(client: Dialect, provider: Dialect, body: &Value) -> Value {
    asked_of(client, provider, &Profile::default(), body)
}

fn asked_of(client: Dialect, provider: Dialect, profile: &Profile, body: &Value) -> Value {
    let (_, body) = sent(client, provider, profile, &body.to_string()).unwrap();
    serde_json::from_str(&body).unwrap()
}

/// What a request loses on its way.
fn lost(client: Dialect, provider: Dialect, profile: &Profile, body: &Value) -> String {
    let (crossing, _) = sent(client, provider, profile, &body.to_string()).unwrap();
    crossing.lossy().unwrap_or_default().to_owned()
}

fn refused(client: Dialect, provider: Dialect, profile: &Profile, body: &Value) -> Refusal {
    match sent(client, provider, profile, &body.to_string()) {
        Ok((_, body)) => panic!("{body}"),
        Err(refusal) => refusal,
    }
}

/// A short request with these members as well.
fn request(dialect: Dialect, members: Value) -> Value {
    let message = json!([{"role": "user", "content": "Hi"}]);
    let mut request = match dialect {
        OpenaiChat => json!({"model": "asked", "messages": message}),
        OpenaiResponses => json!({"model": "asked", "input": message}),
        AnthropicMessages => json!({"model": "asked", "max_tokens": 5_000, "messages": message}),
        GeminiGenerate => json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}),
    };
    let Value::Object(members) = members else {
        panic!("{members}");
    };
    request.as_object_mut().unwrap().extend(members);
    request
}

fn crossing(client: Dialect, provider: Dialect, profile: &Profile) -> Crossing {
    let body = request(client, json!({})).to_string();
    sent(client, provider, profile, &body).unwrap().0
}

/// The answer that a client gets.
fn answered(client: Dialect, provider: Dialect, answer: &Value) -> Value {
    answered_by(&crossing(client, provider, &Profile::default()), answer)
}

fn answered_by(crossing: &Crossing, answer: &Value) -> Value {
    let answer = crossing.reply(answer.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&answer.body).unwrap()
}

/// A whole answer, as these dialects write one.
fn answer(dialect: Dialect, said: Value, finish: &str) -> Value {
    match dialect {
        OpenaiChat => json!({"id": "theirs", "object": "chat.completion", "created": 1, "model": "theirs",
            "choices": [{"index": 0, "message": said, "finish_reason": finish}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}),
        OpenaiResponses => {
            json!({"id": "resp_theirs", "object": "response", "created_at": 1, "model": "theirs",
            "status": finish, "output": said,
            "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}})
        }
        AnthropicMessages => json!({"id": "msg_theirs", "type": "message", "role": "assistant",
            "model": "theirs", "content": said, "stop_reason": finish, "stop_sequence": null,
            "usage": {"input_tokens": 10, "output_tokens": 5}}),
        GeminiGenerate => json!({"responseId": "theirs", "modelVersion": "theirs",
            "candidates": [{"index": 0, "content": {"role": "model", "parts": said}, "finishReason": finish}],
            "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}}),
    }
}

/// These events as a stream.
fn stream(events: &[Value]) -> String {
    let events = events.iter().map(|event| format!("data: {event}\n\n"));
    events.collect()
}

/// The stream that a client gets, event by event; what is no JSON in it is a string.
fn streamed(client: Dialect, provider: Dialect, events: &[Value]) -> Vec<Value> {
    streamed_by(
        client,
        provider,
        &Profile::default(),
        &[stream(events).as_bytes()],
    )
}

fn streamed_by(client: Dialect, provider: Dialect, profile: &Profile, chunks: &[&[u8]]) -> Vec<Value> {
    let mut members = json!({"stream": true});
    if client == OpenaiChat {
        members["stream_options"] = json!({"include_usage": true});
    }
    let body = request(client, members).to_string();
    let envelope = client.look(body.as_bytes(), IN_PATH, &Limits::default()).unwrap();
    let mut translation = crossing(client, provider, profile).stream(&envelope, IN_PATH);
    let mut out = Vec::new();
    for chunk in chunks {
        translation.push(chunk, &mut out).unwrap();
    }
    translation.finish(&mut out);
    told(&out.concat())
}

fn told(stream: &[u8]) -> Vec<Value> {
    let mut events = Events::new(StreamLimits::default());
    events.push(stream).unwrap();
    let mut told = Vec::new();
    while let Some(event) = events.next_event() {
        let data = sse::data(event);
        if !data.is_empty() {
            let text = || Value::String(String::from_utf8_lossy(&data).into_owned());
            told.push(serde_json::from_slice(&data).unwrap_or_else(|_| text()));
        }
    }
    assert!(events.rest().is_empty());
    told
}

/// A stream of Anthropic's around these events.
fn anthropic_stream(events: Vec<Value>, stop_reason: &str) -> Vec<Value> {
    let message = json!({"id": "msg_theirs", "type": "message", "role": "assistant", "model": "theirs",
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 10, "output_tokens": 1}});
    let mut all = vec![json!({"type": "message_start", "message": message})];
    all.extend(events);
    all.push(
        json!({"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": null},
        "usage": {"output_tokens": 5}}),
    );
    all.push(json!({"type": "message_stop"}));
    all
}

/// A block of such a stream: how it begins, and what is added.
fn anthropic_block(index: u64, block: Value, deltas: Vec<Value>) -> Vec<Value> {
    let mut all = vec![json!({"type": "content_block_start", "index": index, "content_block": block})];
    let deltas = deltas.into_iter();
    all.extend(deltas.map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})));
    all.push(json!({"type": "content_block_stop", "index": index}));
    all
}

/// A chunk of a Chat Completions stream.
fn chunk(delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "theirs", "object": "chat.completion.chunk", "created": 1, "model": "theirs",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

/// The texts at this place of all events that have one there, joined.
fn joined(events: &[Value], place: &str) -> String {
    let texts = events.iter().filter_map(|event| event.pointer(place));
    texts.filter_map(Value::as_str).collect()
}

/// Those values that are not null at this place.
fn at(events: &[Value], place: &str) -> Vec<Value> {
    let values = events.iter().filter_map(|event| event.pointer(place));
    values.filter(|value| !value.is_null()).cloned().collect()
}
