//! Vendors that understand what they are asked, one for each dialect: for clients that are real.
//!
//! A request is read by its dialect's file into [`Heard`], and whatever is wrong with it is kept, for a test to fail on.
//! [`Said`] is what is answered, the same in all dialects: what was heard, said back; a call of the first tool, or two
//! where the prompt says `both`; what the tools gave; JSON as a schema wants it. Where thinking is asked for and the prompt
//! says `think`, a sealed thought comes before that, whose seal has to come back. The dialect's file writes it down, whole
//! or as a stream in small pieces, always with the same usage.
//!
//! Where a request names a [`Recording`], that is played instead, once the request has been held against the document and
//! against what the recording wants to see again.
//!
//! A model named `status-…` answers with that error; one named `hangs` begins a stream and says nothing more, one named
//! `cut` is gone in the middle of it, and one named `nothing` before it has said a word. `slow` thinks before it answers, and
//! before each piece of it; `slow-to-fail` thinks before it fails.

#![expect(
    clippy::indexing_slicing,
    reason = "of JSON, where a member that is not there is null, and one that is set is made"
)]

mod anthropic_messages;
mod gemini_generate;
mod heard;
mod openai_chat;
mod openai_responses;
mod recording;
mod said;
mod spec;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::vendor::{End, Play, Seen, Vendor};
use heard::Heard;
pub use recording::Recording;
use said::Said;

/// All of them, at one address. They stop when this is dropped.
pub struct Vendors {
    vendor: Vendor,
    wrong: Arc<Mutex<Vec<String>>>,
}

/// One dialect, as its vendor speaks it.
struct Voice {
    name: &'static str,
    /// How the vendor's own seals begin and end; none where it has none.
    seal: Option<&'static str>,
    /// What the vendor wants in the head beside the body.
    headers: &'static [&'static str],
    hear: fn(&Seen, &Value, &mut Heard),
    /// What is wrong by the vendor's document, where that is at hand.
    by_document: fn(&Value) -> Vec<String>,
    whole: fn(&Said) -> Value,
    /// The events of a stream.
    stream: fn(&Said) -> Vec<String>,
    error: fn(u16) -> Value,
}

/// How much of a stream is sent at once: less than an event, and sometimes half a letter.
const PIECE_BYTES: usize = 23;
/// How long one that is slow takes before an answer, and before each piece of it.
const THOUGHT: Duration = Duration::from_millis(100);
const HESITATION: Duration = Duration::from_millis(15);
/// What the gateway lets seals travel in. It is nobody's business but its own.
const CARRIED: [&str; 2] = ["--tlg1-", "dGxnMW"];

impl Vendors {
    pub fn start() -> Self {
        Self::replaying(Vec::new())
    }

    /// The same, with what was recorded of real ones.
    pub fn replaying(recordings: Vec<Recording>) -> Self {
        let wrong = Arc::new(Mutex::new(Vec::new()));
        let noting = wrong.clone();
        let vendor = Vendor::start(move |seen| {
            let (play, found) = answer(seen, &recordings);
            let mut wrong = noting.lock().unwrap_or_else(PoisonError::into_inner);
            wrong.extend(found);
            play
        });
        Self { vendor, wrong }
    }

    /// As the base URL of a credential for a provider whose paths begin so: `/v1`, or Google's `/v1beta`.
    pub fn base_url(&self, root: &str) -> String {
        self.vendor.base_url().replace("/v1", root)
    }

    /// What they were asked in the meantime, byte by byte.
    pub fn vendor(&self) -> &Vendor {
        &self.vendor
    }

    /// What was wrong with what they were asked.
    pub fn wrong(&self) -> Vec<String> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is answered, and what is wrong with what was asked.
fn answer(seen: &Seen, recordings: &[Recording]) -> (Play, Vec<String>) {
    let path = seen.path.split('?').next().unwrap_or_default();
    if seen.method == "GET" {
        return (list(path, seen), Vec::new());
    }
    let voice = match path {
        "/v1/chat/completions" => &openai_chat::VOICE,
        "/v1/responses" => &openai_responses::VOICE,
        "/v1/messages" => &anthropic_messages::VOICE,
        _ if path.starts_with("/v1beta/models/") => &gemini_generate::VOICE,
        _ => return (Play::json(404, "{}"), vec![format!("{path} is no endpoint")]),
    };
    let Ok(body) = serde_json::from_slice::<Value>(&seen.body) else {
        return (
            Play::json(400, (voice.error)(400).to_string()),
            vec![format!("{}: the body is no JSON", voice.name)],
        );
    };
    let text = body.to_string();
    let recording = Recording::asked_for(recordings, &text);
    let mut heard = Heard::default();
    match recording {
        Some(recording) => {
            let stream = body["stream"] == true || seen.path.contains(":streamGenerateContent");
            heard.wrong.extend(recording.problems(voice.name, stream, &body));
        }
        None => {
            (voice.hear)(seen, &body, &mut heard);
            heard.end(voice.seal);
        }
    }
    heard.wrong.extend((voice.by_document)(&body));
    let missing = voice
        .headers
        .iter()
        .filter(|name| seen.headers.iter().all(|(known, _)| known != *name));
    heard
        .wrong
        .extend(missing.map(|name| format!("there is no header {name}")));
    if CARRIED.iter().any(|mark| text.contains(mark)) {
        heard.wrong.push("it holds what is the gateway's own".to_owned());
    }
    let found = heard
        .wrong
        .iter()
        .map(|wrong| format!("{}: {wrong}, in {text}", voice.name))
        .collect();
    let play = match recording {
        Some(recording) if heard.wrong.is_empty() => recording.play.clone(),
        _ => play(voice, &heard),
    };
    (play, found)
}

fn play(voice: &Voice, heard: &Heard) -> Play {
    let status = heard.model.strip_prefix("status-");
    if let Some(status) = status.and_then(|status| status.parse().ok()) {
        return Play::json(status, (voice.error)(status).to_string()).header("retry-after", "7");
    }
    if heard.model.starts_with("slow") {
        thread::sleep(THOUGHT);
    }
    if heard.model == "slow-to-fail" {
        return Play::json(429, (voice.error)(429).to_string());
    }
    // The real ones refuse what is wrong, too.
    if !heard.wrong.is_empty() {
        return Play::json(400, (voice.error)(400).to_string());
    }
    if heard.model == "nothing" {
        return Play::stream([]).end(End::Cut);
    }
    let said = Said::to(heard);
    if !heard.stream {
        return Play::json(200, (voice.whole)(&said).to_string());
    }
    let events = (voice.stream)(&said);
    let end = match heard.model.as_str() {
        "hangs" => End::Hang,
        "cut" => End::Cut,
        _ => End::Whole,
    };
    if end != End::Whole {
        let begun = events.iter().position(|event| event.contains(said::FIRST));
        let begun = events.into_iter().take(begun.map_or(0, |at| at + 1));
        return Play::stream(begun.map(String::into_bytes)).end(end);
    }
    let stream = events.concat().into_bytes();
    let pieces = Play::stream(stream.chunks(PIECE_BYTES).map(<[u8]>::to_vec));
    if heard.model == "slow" {
        return pieces.pause(HESITATION);
    }
    pieces
}

fn list(path: &str, seen: &Seen) -> Play {
    let is_anthropic = seen.headers.iter().any(|(name, _)| name == "x-api-key");
    let list = match path {
        "/v1beta/models" => gemini_generate::models(),
        "/v1/models" if is_anthropic => anthropic_messages::models(),
        "/v1/models" => openai_chat::models(),
        _ => return Play::json(404, "{}"),
    };
    Play::json(200, list.to_string())
}
