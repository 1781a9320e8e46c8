//! A process that is kept warm, and the calls that it serves, one after the other.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::acp::{Acp, Broken, Message, RpcError, Update};
use super::answer::{Counts, Said};
use super::caps;
use super::credential::Login;
use super::fault::{AccountRefusal, Failure};
use super::home::{Home, State};
use super::plain;
use super::process::Process;
use super::relay::Admitted;
use super::request::Asked;
use super::seen::Seen;
use super::settings::GeminiCliSettings;
use super::way::Way;

/// One of them, between two calls.
pub(super) struct Worker {
    acp: Acp<ChildStdout, ChildStdin>,
    process: Process,
    /// After the process, which must not find it gone.
    home: Arc<Home>,
    session_id: String,
    /// Where it goes by the relay, which knows of each of its answers what the program does not tell.
    admitted: Option<Admitted>,
    /// Its token's; with another it is another.
    ends_at: Option<SystemTime>,
    /// With which it was started.
    model: String,
    calls: u32,
}

/// A call, and who waits for what comes of it.
pub(super) struct Job {
    pub(super) asked: Arc<Asked>,
    pub(super) model: String,
    pub(super) said: mpsc::Sender<Said>,
}

/// How a call went, for the process, and the last that is said of it.
enum End {
    /// It can serve another.
    Good(Said),
    /// It is not to be trusted any more.
    Odd(Failure),
    /// It can serve another, and nobody waits.
    Left,
}

/// What is to be done at the end of a call.
pub(super) struct Served {
    /// Whether another may come to the process.
    pub(super) is_fit: bool,
    /// To be said once that is settled, so that the client's next call finds the process free.
    pub(super) last: Option<Said>,
}

/// The method of a call to the program was not authorised: its word for an account that is refused.
const REFUSED: i64 = -32_000;
/// For what a process does without asking Google.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// For a process to give up what it was told to.
const GRACE: Duration = Duration::from_secs(2);

impl Worker {
    /// Starts one, and waits until it is ready.
    pub(super) async fn start(
        settings: &GeminiCliSettings,
        state: &Arc<State>,
        way: &Way<'_>,
        model: &str,
        config: &Map<String, Value>,
    ) -> Result<Self, Failure> {
        let plain = plain::settings_with_caps(model, config);
        let home = Home::make(state, &plain).map_err(|_| Failure::Program("it can have no folder"))?;
        let arguments = ["--acp", "-m", model].map(OsStr::new);
        let (mut process, admitted) = way.start(&settings.program, &home, &arguments, false)?;
        let pipes = process.stdout().zip(process.stdin());
        let (stdout, stdin) = pipes.ok_or(Failure::Program("it has no pipes"))?;
        let mut worker = Self {
            acp: Acp::new(stdout, stdin),
            process,
            home: Arc::new(home),
            session_id: session_id(),
            ends_at: admitted.is_none().then(|| way.login.ends_at()).flatten(),
            admitted,
            model: model.to_owned(),
            calls: 0,
        };
        let files = json!({"readTextFile": false, "writeTextFile": false});
        let hello = json!({"protocolVersion": 1, "clientCapabilities": {"fs": files}});
        match timeout(settings.start_timeout, worker.call("initialize", hello)).await {
            Ok(Ok(Ok(_))) => Ok(worker),
            Ok(Ok(Err(error))) => Err(worker.failure(error).await),
            Ok(Err(Broken(why))) => Err(Failure::Program(why)),
            Err(_) => Err(Failure::Program("it does not become ready")),
        }
    }

    /// Goes on with this token of its login, where it need not know.
    pub(super) fn take_token(&self, login: &Login) {
        if let Some(admitted) = &self.admitted {
            admitted.renew(&login.access_token);
        }
    }

    fn seen(&self) -> Seen {
        self.admitted.as_ref().map(Admitted::seen).unwrap_or_default()
    }

    /// Serves a call, up to its last word.
    pub(super) async fn serve(&mut self, job: &Job, settings: &GeminiCliSettings) -> Served {
        self.calls += 1;
        let end = match timeout(settings.call_timeout, self.converse(job, settings)).await {
            Ok(Ok(end)) => end,
            Ok(Err(Broken(why))) => End::Odd(Failure::Program(why)),
            Err(_) => End::Odd(Failure::TimedOut),
        };
        let (is_good, last) = match end {
            End::Good(said) => (true, Some(said)),
            End::Odd(failure) => (false, Some(Said::Failed(failure))),
            End::Left => (true, None),
        };
        let home = self.home.clone();
        let cleared = tokio::task::spawn_blocking(move || home.clear()).await;
        let is_fit = is_good && matches!(cleared, Ok(Ok(()))) && self.is_fit(settings);
        Served { is_fit, last }
    }

    /// Whether another call may come to it.
    pub(super) fn is_fit(&mut self, settings: &GeminiCliSettings) -> bool {
        let has_room = self.process.resident_bytes();
        self.calls < settings.calls_max
            && has_room.is_none_or(|bytes| bytes <= settings.resident_bytes_max)
            && self.ends_at.is_none_or(|at| SystemTime::now() < at)
            && self.process.is_alive()
    }

    pub(super) fn acp(&mut self) -> &mut Acp<ChildStdout, ChildStdin> {
        &mut self.acp
    }

    pub(super) fn home(&self) -> &Home {
        &self.home
    }

    async fn converse(&mut self, job: &Job, settings: &GeminiCliSettings) -> Result<End, Broken> {
        let asked = job.asked.clone();
        let (home, session_id) = (self.home.clone(), self.session_id.clone());
        let put = tokio::task::spawn_blocking(move || {
            home.put(&asked.system, &session_id, &asked.session.write(&session_id))
        });
        if !matches!(put.await, Ok(Ok(_))) {
            return Ok(End::Odd(Failure::Program("its folder cannot be written")));
        }
        match timeout(READ_TIMEOUT, self.load(job)).await {
            Ok(loaded) => {
                if let Err(error) = loaded? {
                    let failure = self.failure(error).await;
                    return Ok(End::Odd(failure));
                }
            }
            Err(_) => return Ok(End::Odd(Failure::Program("it does not read the conversation"))),
        }
        if job.said.is_closed() {
            return Ok(End::Left);
        }
        self.prompt(job, settings).await
    }

    /// Has it read the conversation, and waits until it has repeated all of it: what comes then is new.
    async fn load(&mut self, job: &Job) -> Result<Result<(), RpcError>, Broken> {
        let session = json!({"sessionId": self.session_id, "cwd": self.home.work(), "mcpServers": []});
        let id = self.acp.ask("session/load", session).await?;
        let (mut is_loaded, mut repeated) = (false, 0);
        while !is_loaded || repeated < job.asked.session.user_turns() {
            match self.acp.next().await? {
                Message::Answer { id: of, .. } if of == id => is_loaded = true,
                Message::Error { id: of, error } if of == id => return Ok(Err(error)),
                Message::Update(Update::User) => repeated += 1,
                Message::Update(_) | Message::Other => {}
                Message::Answer { .. } | Message::Error { .. } => return Err(Broken("it answered twice")),
            }
        }
        let wanted = match job.asked.max_tokens.filter(|_| caps::are_there(&job.model)) {
            Some(cap) => caps::name(&job.model, cap),
            None => job.model.clone(),
        };
        if wanted == self.model {
            return Ok(Ok(()));
        }
        let model = json!({"sessionId": self.session_id, "modelId": wanted});
        let set = self.call("session/set_model", model).await?;
        Ok(set.map(|_| ()))
    }

    async fn prompt(&mut self, job: &Job, settings: &GeminiCliSettings) -> Result<End, Broken> {
        let prompt = json!({"sessionId": self.session_id, "prompt": [{"type": "text", "text": "\n"}]});
        let _of_the_call_before = self.seen();
        let id = self.acp.ask("session/prompt", prompt).await?;
        let (mut bytes, mut is_told) = (0_usize, false);
        let mut give_up_at = None;
        loop {
            let far = Instant::now() + settings.call_timeout;
            let message = tokio::select! {
                biased;
                () = job.said.closed(), if give_up_at.is_none() => {
                    let session = json!({"sessionId": self.session_id});
                    self.acp.notify("session/cancel", session).await?;
                    give_up_at = Some(Instant::now() + GRACE);
                    continue;
                }
                () = sleep_until(give_up_at.unwrap_or(far)), if give_up_at.is_some() => {
                    return Ok(End::Odd(Failure::Program("it does not give up")));
                }
                message = self.acp.next() => message?,
            };
            let said = match message {
                Message::Update(Update::Thought(thought)) => Said::Thought(thought),
                Message::Update(Update::Text(text)) => {
                    is_told |= !text.is_empty();
                    Said::Text(text)
                }
                Message::Answer { id: of, result } if of == id => {
                    return Ok(ended(&result, is_told, self.seen()));
                }
                Message::Error { id: of, error } if of == id => {
                    let wait_s = self.seen().wait_s;
                    let failure = self.failure(error).await.with_wait(wait_s);
                    let is_account = matches!(failure, Failure::Account(_) | Failure::Told(401, _));
                    if is_account {
                        return Ok(End::Odd(failure));
                    }
                    return Ok(End::Good(Said::Failed(failure)));
                }
                Message::Answer { .. } | Message::Error { .. } => return Err(Broken("it answered twice")),
                Message::Update(_) | Message::Other => continue,
            };
            if let Said::Thought(text) | Said::Text(text) = &said {
                bytes = bytes.saturating_add(text.len());
                if bytes > settings.answer_bytes_max {
                    return Ok(End::Odd(Failure::TooLarge));
                }
            }
            // Whoever is gone is noticed above.
            let _gone = job.said.send(said).await;
        }
    }

    /// What an error of the program means.
    async fn failure(&mut self, error: RpcError) -> Failure {
        if let Ok(status @ 400..=599) = u16::try_from(error.code) {
            return Failure::told(status, &error.message);
        }
        if error.code != REFUSED {
            return Failure::Program("it told of an error of its own");
        }
        let mut words = words(&error);
        if AccountRefusal::read(&words) == AccountRefusal::Other {
            // Why, it says only when it is asked for a new session.
            let session = json!({"cwd": self.home.work(), "mcpServers": []});
            if let Ok(Ok(Err(error))) = timeout(READ_TIMEOUT, self.call("session/new", session)).await {
                words = self::words(&error);
            }
        }
        if words.contains("invalid authentication credentials") {
            return Failure::Told(401, "Google refused the access token.".to_owned());
        }
        Failure::Account(AccountRefusal::read(&words))
    }

    /// Asks for something, and waits for nothing but the answer.
    pub(super) async fn call(
        &mut self,
        method: &str,
        params: Value,
    ) -> Result<Result<Value, RpcError>, Broken> {
        let id = self.acp.ask(method, params).await?;
        loop {
            match self.acp.next().await? {
                Message::Answer { id: of, result } if of == id => return Ok(Ok(result)),
                Message::Error { id: of, error } if of == id => return Ok(Err(error)),
                _ => {}
            }
        }
    }
}

/// The program says that the model's turn is over, but not why; where its answers can be seen, that is known.
fn ended(result: &Value, is_told: bool, seen: Seen) -> End {
    let counts = seen.counts.or_else(|| counts(result));
    let reason = seen.reason;
    // That nothing was said is an answer where it has a reason.
    let is_told = is_told || reason.as_deref().is_some_and(|reason| reason != "STOP");
    End::Good(match result.get("stopReason").and_then(Value::as_str) {
        Some("cancelled") => return End::Left,
        Some("end_turn") if is_told => Said::Done(counts, reason),
        Some("end_turn" | "refusal") => Said::Failed(Failure::Nothing),
        // Said before anything was sent, by the program's own estimate.
        Some("max_tokens") if !is_told => Said::Failed(Failure::TooLong),
        Some("max_tokens") => Said::Done(counts, reason),
        _ => return End::Odd(Failure::Program("it ended its turn in a way of its own")),
    })
}

pub(super) fn words(error: &RpcError) -> String {
    let data = error.data.as_ref().map(Value::to_string).unwrap_or_default();
    format!("{} {data}", error.message)
}

fn counts(result: &Value) -> Option<Counts> {
    let tokens = result.get("_meta")?.get("quota")?.get("token_count")?;
    Some(Counts {
        input: tokens.get("input_tokens")?.as_u64()?,
        output: tokens.get("output_tokens")?.as_u64()?,
        thoughts: None,
        cached: None,
    })
}

/// An id that no other process has. Google is told it: it must not tell tenants' calls to belong together.
fn session_id() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let (high, low) = (RandomState::new().hash_one(0), RandomState::new().hash_one(1));
    let text = format!("{high:016x}{low:016x}");
    let part = |from, to| text.get(from..to).unwrap_or_default();
    // As a UUID of version 4.
    format!(
        "{}-{}-4{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}
