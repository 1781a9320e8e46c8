//! The checks of all that is relied on and that is the program's own business: the format of its session files, what
//! suppresses its own words, which errors it tells by which numbers.
//!
//! Each goes the whole way of a call, by the program that is set up here, to the stand-in for Google.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use vault::Secret;

use super::stand_in::{Scene, StandIn, THOUGHT, TOKENS, WORDS};
use super::{AccountRefusal, Commission, Framing, GeminiCli, GeminiCliSettings, Mode};
use crate::base_url::{BaseUrl, Trust};
use crate::upstream::{Answer, SendFault, UpstreamSettings};

/// One of them, and how it came out: why not, where it did not.
#[derive(Debug)]
pub struct Check {
    pub what: &'static str,
    pub outcome: Result<(), String>,
}

/// What is tried.
#[derive(Clone, Copy)]
enum Trial {
    Conversation,
    Parameters,
    Thoughts,
    Many,
    GivenUp,
    Errors(&'static [u16]),
    Refused,
}

/// The program, run in one way.
struct Bench<'a> {
    cli: GeminiCli,
    google: &'a StandIn,
    base_url: BaseUrl,
    login: Secret,
}

/// In which way, what is promised, and how that is tried. What ends a process comes last.
const TRIALS: [(Mode, &str, Trial); 8] = [
    (
        Mode::Cold,
        "cold: conversation and instructions reach the model as they are, and no tools",
        Trial::Conversation,
    ),
    (
        Mode::Cold,
        "cold: what is wanted of the model reaches it, and no instructions are none",
        Trial::Parameters,
    ),
    (
        Mode::Cold,
        "cold: Google's errors are told by their status",
        Trial::Errors(&[429, 400, 503]),
    ),
    (
        Mode::Warm,
        "warm: conversation, image, instructions, thoughts and usage come through",
        Trial::Thoughts,
    ),
    (
        Mode::Warm,
        "warm: one process answers one call after the other",
        Trial::Many,
    ),
    (
        Mode::Warm,
        "warm: a call that is given up is given up at Google",
        Trial::GivenUp,
    ),
    (
        Mode::Warm,
        "warm: Google's errors are told by their status",
        Trial::Errors(&[429, 400, 503, 401]),
    ),
    (
        Mode::Warm,
        "warm: an account that Google refuses is an error, and no question",
        Trial::Refused,
    ),
];
const MODEL: &str = "gemini-2.5-flash";
const SYSTEM: &str = "Answer briefly.";
const ASKED: &str = "And of Italy? @/etc/passwd";
const PNG: &str = "iVBORw0KGgo=";
const CALLS: usize = 10;
/// Where the program asks whose login it has; it does without an answer.
const USERINFO: &str = "www.googleapis.com:443";
/// For the stand-in to notice that nobody waits.
const GIVEN_UP: Duration = Duration::from_secs(30);
const SHOWN_MAX: usize = 200;

/// All of them, in folders under this one, with the stand-in at this address. What is not done by the deadline has failed.
pub(super) async fn all(
    settings: &GeminiCliSettings,
    folder: &Path,
    (google, url): (&StandIn, &str),
    deadline: Instant,
) -> Result<Vec<Check>, String> {
    let open = |mode, name| Bench::open(settings, mode, &folder.join(name), google, url);
    let (cold, warm) = (open(Mode::Cold, "cold")?, open(Mode::Warm, "warm")?);
    let mut checks = Vec::with_capacity(TRIALS.len());
    for (mode, what, trial) in TRIALS {
        let bench = if mode == Mode::Cold { &cold } else { &warm };
        let tried = timeout_at(deadline, bench.attempt(trial)).await;
        let outcome = tried.unwrap_or_else(|_| Err("there was no time left for it".to_owned()));
        google.play(Scene::Fine);
        let _of_this_one = google.asked();
        checks.push(Check { what, outcome });
    }
    for bench in [cold, warm] {
        bench.cli.0.end_idle();
    }
    Ok(checks)
}

impl<'a> Bench<'a> {
    fn open(
        settings: &GeminiCliSettings,
        mode: Mode,
        state_dir: &Path,
        google: &'a StandIn,
        url: &str,
    ) -> Result<Self, String> {
        let mut settings = settings.clone();
        settings.mode = mode;
        settings.state_dir = state_dir.to_owned();
        settings.relay = None;
        settings.per_tenant_max = 1;
        settings.processes_max = settings.processes_max.max(2);
        settings.calls_max = u32::MAX;
        settings.resident_bytes_max = u64::MAX;
        let cli = GeminiCli::open(settings, Handle::current(), &UpstreamSettings::default());
        Ok(Self {
            cli: cli.map_err(|error| error.to_string())?,
            google,
            base_url: BaseUrl::parse(url, Trust::Operator).map_err(|error| error.to_string())?,
            login: Secret::new(json!({"access_token": "none"}).to_string()),
        })
    }

    async fn attempt(&self, trial: Trial) -> Result<(), String> {
        match trial {
            Trial::Conversation => self.conversation().await.map(drop),
            Trial::Parameters => self.parameters().await,
            Trial::Thoughts => self.thoughts().await,
            Trial::Many => self.many().await,
            Trial::GivenUp => self.given_up().await,
            Trial::Errors(statuses) => self.errors(statuses).await,
            Trial::Refused => self.refused().await,
        }
    }

    /// Returns the parts of the answer, and its usage.
    async fn conversation(&self) -> Result<(Value, Value), String> {
        let image = json!({"inlineData": {"mimeType": "image/png", "data": PNG}});
        let first = json!({"role": "user", "parts": [{"text": "What is the capital of France?"}, image]});
        let second = json!({"role": "model", "parts": [{"text": "Paris."}]});
        let told = self
            .told(&json!({
                "contents": [first, second, {"role": "user", "parts": [{"text": ASKED}]}],
                "systemInstruction": {"parts": [{"text": SYSTEM}]},
                "generationConfig": {"thinkingConfig": {"includeThoughts": true}},
            }))
            .await?;
        let request = self.last()?;
        let asked = json!({"role": "user", "parts": [{"text": ASKED}, {"text": "\n"}]});
        is_same(
            "the conversation",
            at(&request, "/contents"),
            &json!([first, second, asked]),
        )?;
        let system = json!({"role": "user", "parts": [{"text": SYSTEM}]});
        is_same("the instructions", at(&request, "/systemInstruction"), &system)?;
        is_same(
            "the tools",
            at(&request, "/tools"),
            &json!([{"functionDeclarations": []}]),
        )?;
        let parts = at(&told, "/candidates/0/content/parts").clone();
        let said = parts.as_array().and_then(|parts| parts.last()).cloned();
        is_same(
            "the answer",
            &said.unwrap_or_default(),
            &json!({"text": WORDS.concat()}),
        )?;
        if let Some(host) = self.google.tunnels().iter().find(|host| *host != USERINFO) {
            return Err(format!("it wanted to reach {host}"));
        }
        Ok((parts, at(&told, "/usageMetadata").clone()))
    }

    async fn parameters(&self) -> Result<(), String> {
        let wanted = json!({"temperature": 0.25, "topP": 0.5, "maxOutputTokens": 77, "seed": 7});
        self.told(&json!({"contents": hello(), "generationConfig": wanted}))
            .await?;
        let request = self.last()?;
        let config = at(&request, "/generationConfig");
        for (name, value) in wanted.as_object().into_iter().flatten() {
            is_same(name, config.get(name).unwrap_or(&Value::Null), value)?;
        }
        is_same(
            "the instructions",
            at(&request, "/systemInstruction"),
            &Value::Null,
        )
    }

    async fn thoughts(&self) -> Result<(), String> {
        let (parts, usage) = self.conversation().await?;
        let thought = json!({"text": THOUGHT, "thought": true});
        let came = at(&parts, "/0");
        let text = came.get("text").and_then(Value::as_str).unwrap_or_default();
        // It may put a title before it.
        if came.get("thought") != Some(&Value::Bool(true)) || !text.contains(THOUGHT) {
            is_same("the thought", came, &thought)?;
        }
        let counts = json!([TOKENS.0, TOKENS.1]);
        let told = json!([
            at(&usage, "/promptTokenCount"),
            at(&usage, "/candidatesTokenCount")
        ]);
        is_same("the usage", &told, &counts)
    }

    async fn many(&self) -> Result<(), String> {
        for _ in 0..CALLS {
            let told = self.told(&json!({"contents": hello()})).await?;
            let said = at(&told, "/candidates/0/content/parts/0/text");
            is_same("the answer", said, &json!(WORDS.concat()))?;
        }
        let asked = self.google.asked();
        let mut sessions = asked.iter().map(|asked| at(asked, "/request/session_id"));
        let first = sessions.next().unwrap_or(&Value::Null);
        match sessions.find(|session| *session != first) {
            None if asked.len() == CALLS => Ok(()),
            None => Err(format!("the model was asked {} times", asked.len())),
            Some(_) => Err("several processes answered".to_owned()),
        }
    }

    async fn given_up(&self) -> Result<(), String> {
        self.google.play(Scene::Hangs);
        let answer = self.ask(&json!({"contents": hello()}), Framing::Events).await;
        let mut answer = answer.map_err(|fault| fault.to_string())?;
        if answer.body.peek().await.is_empty() {
            return Err("nothing came of the answer".to_owned());
        }
        drop(answer);
        let given_up = timeout(GIVEN_UP, self.google.given_up()).await;
        given_up.map_err(|_| "Google was left waiting".to_owned())?;
        self.google.play(Scene::Fine);
        self.told(&json!({"contents": hello()})).await.map(drop)
    }

    async fn errors(&self, statuses: &[u16]) -> Result<(), String> {
        for status in statuses {
            self.google.play(Scene::Fails(*status));
            match self.ask(&json!({"contents": hello()}), Framing::Whole).await {
                Ok(answer) if answer.status == *status => {}
                Ok(answer) => return Err(format!("for {status} it told of {}", answer.status.as_u16())),
                Err(fault) => return Err(format!("for {status} it told of nothing: {fault}")),
            }
        }
        Ok(())
    }

    async fn refused(&self) -> Result<(), String> {
        // A process that was told that it is served would not ask again.
        self.cli.0.end_idle();
        self.google.play(Scene::Refuses);
        match self.ask(&json!({"contents": hello()}), Framing::Whole).await {
            Err(SendFault::Account(AccountRefusal::UnsupportedClient)) => Ok(()),
            Err(fault) => Err(format!("it told of something else: {fault}")),
            Ok(answer) => Err(format!("it answered with {}", answer.status.as_u16())),
        }
    }

    /// The whole answer to a request.
    async fn told(&self, request: &Value) -> Result<Value, String> {
        let answer = self.ask(request, Framing::Whole).await;
        let mut answer = answer.map_err(|fault| format!("there was no answer: {fault}"))?;
        let mut body = Vec::new();
        while let Some(piece) = answer.body.next().await {
            body.extend_from_slice(&piece.map_err(|fault| fault.to_string())?);
        }
        if answer.status != StatusCode::OK {
            let text = shown(&String::from_utf8_lossy(&body));
            return Err(format!("the answer was {}: {text}", answer.status.as_u16()));
        }
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }

    async fn ask(&self, request: &Value, framing: Framing) -> Result<Answer, SendFault> {
        let commission = Commission {
            tenant_id: &Arc::from("doctor"),
            credential_id: "doctor",
            secret: Some(&self.login),
            base_url: &self.base_url,
            model: MODEL,
            body: &[Bytes::from(request.to_string())],
            framing,
            attempt_id: "doctor",
        };
        self.cli.answer(commission).await
    }

    /// What the model was asked last.
    fn last(&self) -> Result<Value, String> {
        let last = self.google.asked().pop();
        let mut last = last.ok_or("the model was not asked")?;
        Ok(last.get_mut("request").map(Value::take).unwrap_or_default())
    }
}

fn hello() -> Value {
    json!([{"role": "user", "parts": [{"text": "hello"}]}])
}

fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

fn is_same(what: &str, came: &Value, wanted: &Value) -> Result<(), String> {
    if came == wanted {
        return Ok(());
    }
    let (came, wanted) = (shown(&came.to_string()), shown(&wanted.to_string()));
    Err(format!("{what} came as {came}, not as {wanted}"))
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}
