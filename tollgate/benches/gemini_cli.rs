//! What a call by the Gemini CLI costs, with a process of it waiting and without, and what ten tenants' processes hold in
//! memory: `cargo bench -p tollgate --bench gemini_cli`. Fails where one of its promises is not kept.
//!
//! By the real program, for which `TOLLGATE_TEST_AGENTS` is looked at as in the tests, or else the folder in which
//! `cargo xtask test` keeps it, against the testkit's Google, which answers at once: all of the time is the gateway's and the
//! program's.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops at the first thing that is wrong"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::client;
use testkit::code_assist::CodeAssist;
use testkit::database::TestDatabase;
use testkit::process::{Installation, Serving};

const TENANTS: usize = 10;
const CALLS: usize = 60;
/// What is promised.
const WARM_MAX: Duration = Duration::from_millis(150);
const COLD_MAX: Duration = Duration::from_secs(6);
const MEMORY_MAX: u64 = 3 << 30;

fn main() {
    let Some(script) = script() else {
        return println!("skipped: TOLLGATE_TEST_AGENTS is not set");
    };
    let google = CodeAssist::start();
    let database = TestDatabase::sqlite();
    let installation = Installation::new(env!("CARGO_BIN_EXE_tollgate"), database.url())
        .set("TOLLGATE_GEMINI_CLI", &script.display().to_string())
        .set("TOLLGATE_GEMINI_CLI_PROXY", &google.base_url());
    installation.ask(&["migrate"]);
    let keys: Vec<String> = (0..TENANTS)
        .map(|number| tenant(&installation, number, &google))
        .collect();
    let serving = installation.serve();
    let mut cold: Vec<Duration> = keys.iter().map(|key| call(&serving, key).0).collect();
    cold.sort_unstable();
    let (first, whole): (Vec<_>, Vec<_>) = (0..CALLS)
        .filter_map(|number| Some(call(&serving, keys.get(number % TENANTS)?)))
        .unzip();
    let (processes, bytes) = resident(serving.process_id());
    let (cold, first, whole) = (median(cold), median(first), median(whole));
    println!("cold: {cold:?} to the first word, at the median of {TENANTS}");
    println!("warm: {first:?} to the first word, {whole:?} to the last, at the median of {CALLS}");
    println!(
        "memory: {} MiB in {processes} processes of {TENANTS} tenants",
        bytes >> 20
    );
    assert!(cold < COLD_MAX && whole < WARM_MAX, "as fast as promised");
    assert!(processes == TENANTS && bytes < MEMORY_MAX, "as small as promised");
}

fn script() -> Option<PathBuf> {
    let given = std::env::var_os("TOLLGATE_TEST_AGENTS").map(PathBuf::from);
    let kept = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/tollgate/agents"));
    let script = given
        .or_else(kept)?
        .join("node_modules/@google/gemini-cli/bundle/gemini.js");
    script.is_file().then_some(script)
}

/// A tenant with a login; its gateway key.
fn tenant(installation: &Installation, number: usize, google: &CodeAssist) -> String {
    let name = format!("tenant-{number}");
    installation.ask(&["tenant", "create", &name]);
    let login = json!({
        "access_token": format!("ya29.fine-{number}"), "refresh_token": "1//never-used",
        "expiry_date": 4_102_444_800_000_i64,
    });
    let base_url = google.base_url();
    let add = [
        "credential",
        "add",
        "--tenant",
        &name,
        "--provider",
        "gemini-cli",
        "--base-url",
        &base_url,
        "--agree",
    ];
    installation.ask_with(&add, &login.to_string());
    let key = installation.ask(&["key", "create", "--tenant", &name, "--name", "bench"]);
    let secret = key.get("secret").and_then(|secret| secret.as_str());
    secret.unwrap().to_owned()
}

/// How long it took to the first word, and to the last.
fn call(serving: &Serving, key: &str) -> (Duration, Duration) {
    let turns = [json!({"role": "user", "content": "one two three"})];
    let body = json!({"model": "gemini-cli/gemini-2.5-flash", "stream": true, "messages": turns}).to_string();
    let begun = Instant::now();
    let mut open = client::open_post(&serving.endpoint("/v1/chat/completions"), key, body.as_bytes());
    assert_eq!(open.status, 200);
    open.read();
    let first = begun.elapsed();
    open.finish();
    (first, begun.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The processes below one, and what they hold.
fn resident(parent: u32) -> (usize, u64) {
    let status = |entry: fs::DirEntry| fs::read_to_string(Path::new(&entry.path()).join("status")).ok();
    let number = |status: &str, name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(status);
    let below = processes.filter(|status| number(status, "PPid:") == Some(u64::from(parent)));
    let sizes: Vec<u64> = below
        .filter_map(|status| number(&status, "VmRSS:"))
        .map(|kibibytes| kibibytes << 10)
        .collect();
    (sizes.len(), sizes.iter().sum())
}
