//! Whether the program works here: for whoever sets it up. Google is not asked.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::process::Command;
use tokio::time::timeout;
use vault::Secret;

use super::acp::{Acp, Broken, Message};
use super::credential::Login;
use super::environment::environment;
use super::home::{Home, State};
use super::plain;
use super::process::{Process, setpriv};
use super::settings::GeminiCliSettings;

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
}

/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9";
const MODEL: &str = "gemini-2.5-flash";
const NODE_TIMEOUT: Duration = Duration::from_secs(10);

/// Starts the program as it is started for calls, in folders under this one, and has it say who it is.
///
/// # Errors
/// Why it does not work.
pub async fn examine(settings: &GeminiCliSettings, folder: &Path) -> Result<Examined, String> {
    let examined = converse(settings, folder).await;
    let _never_made = fs::remove_dir_all(folder);
    examined
}

async fn converse(settings: &GeminiCliSettings, folder: &Path) -> Result<Examined, String> {
    let node_version = node_version(settings).await?;
    let said = |error: std::io::Error| error.to_string();
    let state = Arc::new(State::open(folder).map_err(said)?);
    let home = Home::make(&state, &plain::settings(MODEL, &Map::new())).map_err(said)?;
    let login = Login::read(&Secret::new(json!({"access_token": "none"}).to_string()));
    let login = login.ok_or("it can be given no login")?;
    let environment = environment(&settings.program, &home, &login, NOWHERE);
    let begun = Instant::now();
    let arguments = ["--acp", "-m", MODEL].map(OsStr::new);
    let mut process =
        Process::start(&settings.program, &home, &environment, &arguments, false).map_err(said)?;
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
    Ok(Examined {
        node_version,
        version: version.unwrap_or("unknown").to_owned(),
        ready_in,
        resident_bytes: process.resident_bytes().unwrap_or(0),
        is_bound: setpriv().is_some(),
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
