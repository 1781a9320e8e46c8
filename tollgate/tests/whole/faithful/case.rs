//! One recorded exchange, and what is to be expected of it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use store::AttemptUsage;
use testkit::vendor::Play;

use super::Manner;

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Events,
    /// A stream as one JSON array, which only Google has.
    Array,
}

pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) request: Vec<u8>,
    pub(crate) status: u16,
    /// Those of the answer that were recorded.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) answer: Vec<u8>,
    pub(crate) form: Form,
}

impl Case {
    /// The recorded answer, in pieces of this many bytes.
    pub(crate) fn play(&self, size: usize) -> Play {
        let pieces = self.answer.chunks(size.max(1)).map(<[u8]>::to_vec);
        let play = match self.form {
            Form::Whole => Play::json(self.status, self.answer.clone()),
            Form::Events => Play::stream(pieces),
            Form::Array => Play::stream(pieces).header("content-type", "application/json"),
        };
        self.with_headers(play)
    }

    /// The play with the headers that were recorded.
    pub(crate) fn with_headers(&self, play: Play) -> Play {
        let headers = self.headers.iter();
        headers.fold(play, |play, (name, value)| play.header(name, value))
    }

    /// The answer without the events that are not for this client, and without one that broke off.
    pub(crate) fn expected_answer(&self, manner: &dyn Manner) -> Vec<u8> {
        if self.form != Form::Events {
            return self.answer.clone();
        }
        let ends = self.is_complete(manner);
        let request = serde_json::from_slice(&self.request).unwrap();
        let events = events(&self.answer);
        let kept = events
            .iter()
            .filter(|event| (is_whole(event) || ends) && manner.keeps(&request, &data(event)));
        kept.flat_map(|event| event.iter().copied()).collect()
    }

    /// Whether the recorded answer came to its end.
    pub(crate) fn is_complete(&self, manner: &dyn Manner) -> bool {
        self.form == Form::Whole || self.said().iter().any(|data| manner.is_last(data))
    }

    /// The same stream, cut off after one of its events: another one for each number.
    pub(crate) fn cut(&self, number: usize, manner: &dyn Manner) -> Option<Self> {
        let events = events(&self.answer);
        let whole = events
            .iter()
            .take_while(|event| !manner.is_last(&data(event)))
            .count();
        if self.form != Form::Events || whole == 0 {
            return None;
        }
        let kept = 1 + number * 7 % whole;
        Some(Self {
            name: format!("{} cut after {kept} of {}", self.name, events.len()),
            model: self.model.clone(),
            request: self.request.clone(),
            headers: self.headers.clone(),
            answer: events.into_iter().take(kept).flatten().collect(),
            ..*self
        })
    }

    /// By how many of its events, of those that have ended, the model said something.
    pub(crate) fn said_events(&self, manner: &dyn Manner) -> i64 {
        let ended = events(&self.answer).into_iter().filter(|event| is_whole(event));
        let says = ended.filter(|event| manner.says(&data(event)));
        i64::try_from(says.count()).unwrap()
    }

    pub(crate) fn is_refusal(&self, manner: &dyn Manner) -> bool {
        self.form == Form::Whole && manner.is_refusal(self.status, &json(&self.answer))
    }

    /// What the recording says was used.
    pub(crate) fn usage(&self, manner: &dyn Manner) -> Option<AttemptUsage> {
        if self.is_refusal(manner) {
            return None;
        }
        manner.usage(&self.said())
    }

    /// Where the ledger has to have the usage from: what a vendor told of an answer that came to its end is its own word. Of one
    /// that broke off, or ended with an error after the last word on it, and where nothing was told, it is a guess, if anything
    /// was heard; an error costs nothing.
    pub(crate) fn usage_source(&self, manner: &dyn Manner) -> &'static str {
        let is_told = self.usage(manner).is_some();
        let is_named = self.said().iter().any(|data| manner.names_a_call(data));
        let is_heard =
            self.form == Form::Whole && self.status < 300 || is_named || self.said_events(manner) > 0;
        let is_whole = self.is_complete(manner) && self.tells_at_last(manner);
        match (is_told, is_whole) {
            (true, true) => "provider",
            (true, false) => "estimated",
            (false, _) if self.status >= 300 => "none",
            (false, _) if !self.shows() => "unknown",
            (false, true) if !self.fails() => "estimated",
            (false, _) if is_heard => "estimated",
            (false, _) => "unknown",
        }
    }

    /// Whether the length of what was sent shows: what a vendor's own tools add to it does not.
    fn shows(&self) -> bool {
        let request = json(&self.request);
        let mut tools = request["tools"].as_array().into_iter().flatten();
        tools.all(|tool| matches!(tool["type"].as_str(), None | Some("function" | "custom")))
    }

    /// Whether it tells of an error.
    fn fails(&self) -> bool {
        self.said().iter().any(is_error)
    }

    /// Whether what was used is told by an error, or after it, where there is one.
    fn tells_at_last(&self, manner: &dyn Manner) -> bool {
        let said = self.said();
        let error = said.iter().position(is_error);
        error.is_none_or(|error| manner.usage(&said[error..]).is_some())
    }

    /// All that it says, event by event.
    pub(crate) fn said(&self) -> Vec<Value> {
        match self.form {
            Form::Whole => vec![json(&self.answer)],
            Form::Events => events(&self.answer).iter().map(|event| data(event)).collect(),
            Form::Array => json(&self.answer).as_array().cloned().unwrap_or_default(),
        }
    }
}

fn is_error(said: &Value) -> bool {
    said["error"].is_object() || said["response"]["error"].is_object()
}

/// Whether the member at this path is a text with something in it.
pub(crate) fn has_text(data: &Value, path: &str) -> bool {
    data.pointer(path)
        .and_then(Value::as_str)
        .is_some_and(|text| !text.is_empty())
}

/// The member at this path as a count, zero where there is none.
pub(crate) fn count(usage: &Value, path: &str) -> i64 {
    usage.pointer(path).and_then(Value::as_i64).unwrap_or(0)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or(Value::Null)
}

/// A stream, divided after each blank line.
pub(crate) fn events(stream: &[u8]) -> Vec<Vec<u8>> {
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

fn is_whole(event: &[u8]) -> bool {
    event.ends_with(b"\n\n") || event.ends_with(b"\r\n\r\n")
}

/// What an event says; a string where it is no JSON.
fn data(event: &[u8]) -> Value {
    let event = text(event);
    let line = event.lines().find_map(|line| line.strip_prefix("data:"));
    let line = line.unwrap_or_default().trim();
    serde_json::from_str(line).unwrap_or_else(|_| Value::from(line))
}

/// All that is there of this dialect; `None` where there is nothing of any.
pub(crate) fn cases(manner: &dyn Manner) -> Option<Vec<Case>> {
    let folder = fixtures()?;
    let index = json(&fs::read(folder.join("index.json")).unwrap());
    let cases = index.as_array().or_else(|| index["cases"].as_array()).unwrap();
    let cases = cases.iter().filter(|case| case["dialect"] == manner.folder());
    Some(
        cases
            .flat_map(|case| read_case(&folder.join(manner.folder()), case, manner))
            .collect(),
    )
}

/// A case may hold an answer, a stream, or both: two exchanges then.
fn read_case(folder: &Path, case: &Value, manner: &dyn Manner) -> Vec<Case> {
    let files = &case["files"];
    let read = |name: &str| {
        let file = files[name].as_str()?;
        Some((file, fs::read(folder.join(file)).unwrap()))
    };
    let told = u16::try_from(case["status"].as_u64().unwrap_or(200)).unwrap();
    let exchange = |answer: Vec<u8>, form: Form| {
        // A stream begins with 200, whatever it then tells.
        let status = if form == Form::Whole { told } else { 200 };
        // Where an error was answered, it does not matter what else had been asked for.
        let is_suited = |request: &Vec<u8>| {
            let form = if status == 200 || json(request)["stream"] != true {
                form
            } else {
                Form::Events
            };
            manner.asks_for(&json(request), form)
        };
        let recorded = read("request").map(|(_, request)| request).filter(is_suited);
        Case {
            name: format!("{} {form:?}", case["case"].as_str().unwrap_or_default()),
            model: case["model"].as_str().unwrap_or("recorded-1").to_owned(),
            request: recorded.unwrap_or_else(|| manner.own_request(form)),
            status,
            headers: headers_of(case, form),
            answer,
            form,
        }
    };
    let whole = read("response").map(|(_, answer)| exchange(answer, Form::Whole));
    let stream = read("stream").map(|(file, answer)| {
        let is_array = Path::new(file).extension().is_some_and(|suffix| suffix == "json");
        exchange(answer, if is_array { Form::Array } else { Form::Events })
    });
    whole.into_iter().chain(stream).collect()
}

/// Where an answer and a stream were recorded apart, only one of them had these headers: the one whose type they tell.
fn headers_of(case: &Value, form: Form) -> Vec<(String, String)> {
    let headers = case["response_headers"].as_object().into_iter().flatten();
    let headers: Vec<_> = headers
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    let kind = headers.iter().find(|(name, _)| name == "content-type");
    let is_stream = kind.is_some_and(|(_, kind)| kind.starts_with("text/event-stream"));
    let is_its_own = kind.is_none() || is_stream == (form == Form::Events);
    if is_its_own { headers } else { Vec::new() }
}

fn fixtures() -> Option<PathBuf> {
    let shared = std::env::var_os("TOLLGATE_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    Some(shared.unwrap_or(beside).join("fixtures")).filter(|folder| folder.is_dir())
}
