//! Whether the program works here: for whoever sets it up. Google is not asked, but a stand-in for it.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::process::Command;
use tokio::time::{self, timeout};
use vault::Secret;

use super::acp::{Acp, Broken, Message};
use super::checks::{self, Check};
use super::credential::Login;
use super::environment::environment;
use super::home::{Home, State};
use super::plain;
use super::process::{Process, setpriv};
use super::settings::GeminiCliSettings;
use super::stand_in::StandIn;

/// What was found.
#[derive(Debug)]
pub struct Examined {
    /// As Node.js tells it.
    pub node_version: String,
    /// As the program itself tells it.
    pub version: String,
    pub ready_in: Duration,
    pub resident_bytes: u64,
    /// Whether its processes are killed by the kernel when the gateway is.
    pub is_bound: bool,
    /// Of what Tollgate relies on.
    pub checks: Vec<Check>,
}

const MODEL: &str = "gemini-2.5-flash";
const NODE_TIMEOUT: Duration = Duration::from_secs(10);
/// For the end of a process to which nobody speaks any more.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// For all of the checks. They start the program eight times.
const CHECKS_TIMEOUT: Duration = Duration::from_secs(300);
const ENDS: &str = "warm: a process ends when nobody speaks with it any more";

/// Starts the program as it is started for calls, in folders under this one, has it say who it is, and goes through all that
/// is relied on. Takes half a minute. `google` has to answer at `url`, an address on loopback.
///
/// # Errors
/// Why it does not work at all.
pub async fn examine(
    settings: &GeminiCliSettings,
    folder: &Path,
    google: &StandIn,
    url: &str,
) -> Result<Examined, String> {
    let deadline = time::Instant::now() + CHECKS_TIMEOUT;
    let mut settings = settings.clone();
    // Whatever else it wants to reach it asks of the stand-in, which refuses.
    settings.program.proxy = Some(url.to_owned());
    let mut examined = converse(&settings, folder, url).await;
    if let Ok(examined) = &mut examined {
        match checks::all(&settings, folder, (google, url), deadline).await {
            Ok(checks) => examined.checks.extend(checks),
            Err(why) => examined.checks.push(Check {
                what: "the program can be given calls",
                outcome: Err(why),
            }),
        }
    }
    let _never_made = fs::remove_dir_all(folder);
    examined
}

async fn converse(settings: &GeminiCliSettings, folder: &Path, url: &str) -> Result<Examined, String> {
    let node_version = node_version(settings).await?;
    let said = |error: std::io::Error| error.to_string();
    let state = Arc::new(State::open(folder).map_err(said)?);
    let home = Home::make(&state, &plain::settings(MODEL, &Map::new())).map_err(said)?;
    let login = Login::read(&Secret::new(json!({"access_token": "none"}).to_string()));
    let login = login.ok_or("it can be given no login")?;
    let environment = environment(&settings.program, &home, &login, url);
    let begun = Instant::now();
    let arguments = ["--acp", "-m", MODEL].map(OsStr::new);
    let mut process =
        Process::start(&settings.program, &home, &environment, &arguments, false, None).map_err(said)?;
    let pipes = process.stdout().zip(process.stdin());
    let (stdout, stdin) = pipes.ok_or("it has no pipes")?;
    let mut acp = Acp::new(stdout, stdin);
    let hello = async {
        let id = acp
            .ask(
                "initialize",
                json!({"protocolVersion": 1, "clientCapabilities": {}}),
            )
            .await?;
        loop {
            match acp.next().await? {
                Message::Answer { id: of, result } if of == id => return Ok(result),
                Message::Error { .. } => return Err(Broken("it refuses to begin")),
                _ => {}
            }
        }
    };
    let said = timeout(settings.start_timeout, hello).await;
    let said = said.map_err(|_| "it does not become ready")?;
    let said: Value = said.map_err(|Broken(why)| why)?;
    let ready_in = begun.elapsed();
    let loads = said
        .pointer("/agentCapabilities/loadSession")
        .and_then(Value::as_bool);
    if loads != Some(true) {
        return Err("it cannot be given a conversation".to_owned());
    }
    let version = said.pointer("/agentInfo/version").and_then(Value::as_str);
    let resident_bytes = process.resident_bytes().unwrap_or(0);
    // Its pipes go with it.
    drop(acp);
    let ended = timeout(END_TIMEOUT, process.ended()).await;
    Ok(Examined {
        node_version,
        version: version.unwrap_or("unknown").to_owned(),
        ready_in,
        resident_bytes,
        is_bound: setpriv().is_some(),
        checks: vec![Check {
            what: ENDS,
            outcome: ended
                .map(drop)
                .map_err(|_| format!("it went on for {} s", END_TIMEOUT.as_secs())),
        }],
    })
}

async fn node_version(settings: &GeminiCliSettings) -> Result<String, String> {
    let mut command = Command::new(&settings.program.node);
    command
        .arg("--version")
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(NODE_TIMEOUT, command.output()).await;
    let output = output.map_err(|_| "Node.js does not answer")?;
    let output = output.map_err(|error| format!("Node.js cannot be started: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major = text.trim_start_matches('v').split('.').next();
    match major.and_then(|major| major.parse::<u32>().ok()) {
        Some(20..) => Ok(text),
        Some(_) => Err(format!("Node.js is {text}, and the program needs 20 or later")),
        None => Err("what is named as Node.js is something else".to_owned()),
    }
}
