//! What a call by the Gemini CLI costs when a process of it is waiting: `cargo bench -p tollgate --bench gemini_cli`.
//!
//! By the real program, for which `TOLLGATE_TEST_AGENTS` is looked at as in the tests, against the testkit's Google, which
//! answers at once: all of the time is the gateway's and the program's.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops at the first thing that is wrong"
)]

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;
use testkit::client;
use testkit::code_assist::CodeAssist;
use testkit::database::TestDatabase;
use testkit::process::Installation;

const CALLS: usize = 60;

fn main() {
    let Ok(folder) = std::env::var("TOLLGATE_TEST_AGENTS") else {
        return println!("skipped: TOLLGATE_TEST_AGENTS is not set");
    };
    let script = PathBuf::from(folder).join("node_modules/@google/gemini-cli/bundle/gemini.js");
    let google = CodeAssist::start();
    let database = TestDatabase::sqlite();
    let installation = Installation::new(env!("CARGO_BIN_EXE_tollgate"), database.url())
        .set("TOLLGATE_GEMINI_CLI", &script.display().to_string())
        .set("TOLLGATE_GEMINI_CLI_PROXY", &google.base_url());
    installation.ask(&["migrate"]);
    installation.ask(&["tenant", "create", "acme"]);
    let key = installation.ask(&["key", "create", "--tenant", "acme", "--name", "bench"]);
    let login = json!({"access_token": "ya29.fine-bench"}).to_string();
    let add = [
        "credential",
        "add",
        "--tenant",
        "acme",
        "--provider",
        "gemini-cli",
    ];
    installation.ask_with(&[&add[..], &["--base-url", &google.base_url()]].concat(), &login);
    let serving = installation.serve();
    let endpoint = serving.endpoint("/v1/chat/completions");
    let key = key.get("secret").and_then(|secret| secret.as_str()).unwrap();
    let turns = [json!({"role": "user", "content": "one two three"})];
    let body = json!({"model": "gemini-cli/gemini-2.5-flash", "stream": true, "messages": turns}).to_string();
    let call = || {
        let begun = Instant::now();
        let mut open = client::open_post(&endpoint, key, body.as_bytes());
        assert_eq!(open.status, 200);
        open.read();
        let first = begun.elapsed();
        open.finish();
        (first, begun.elapsed())
    };
    println!("cold: {:?} to the first word", call().0);
    let (mut first, mut whole): (Vec<_>, Vec<_>) = (0..CALLS).map(|_| call()).unzip();
    first.sort_unstable();
    whole.sort_unstable();
    let median = |times: &[std::time::Duration]| times.get(times.len() / 2).copied().unwrap_or_default();
    println!(
        "warm: {:?} to the first word, {:?} to the last, at the median of {CALLS}",
        median(&first),
        median(&whole)
    );
}
