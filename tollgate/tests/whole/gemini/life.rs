//! How long processes live, and what ends with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::process::Installation;

use super::desk::{Desk, FINE, one_process};
use super::trace::instead_of_node;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_client_that_leaves_stops_google_and_keeps_the_process() {
    let Some(desk) = Desk::with(&[FINE], one_process) else {
        return;
    };
    let open = desk.hanging("one two three");
    drop(open);
    assert!(desk.google.wait_until_gone(1));
    assert_eq!(desk.chat("again").status, 200);
    let asked = desk.google.generations();
    let sessions = asked.iter().map(|asked| &asked.body["request"]["session_id"]);
    let sessions: Vec<_> = sessions.collect();
    assert!(sessions.len() == 2 && sessions[0] == sessions[1], "{sessions:?}");
}

#[test]
fn nothing_of_a_call_outlives_it_nor_a_process_its_time() {
    let settings = |installation: Installation| {
        installation
            .set("TOLLGATE_GEMINI_CLI_IDLE_TIMEOUT", "2s")
            .set("TOLLGATE_GEMINI_CLI_CALLS_MAX", "2")
            .set("TOLLGATE_GEMINI_CLI_PER_TENANT_MAX", "1")
            .set("TOLLGATE_GEMINI_CLI_QUEUE_MAX", "0")
    };
    let Some(desk) = Desk::with(&[FINE], settings) else {
        return;
    };
    let state = desk.installation.folder().join("data/gemini");
    for _ in 0..3 {
        assert_eq!(desk.chat("the word is xylograph").status, 200);
        assert_eq!(files_with(&state, "xylograph"), Vec::<PathBuf>::new());
    }
    let asked = desk.google.generations();
    let session = |number: usize| &asked[number].body["request"]["session_id"];
    assert!(session(0) == session(1) && session(1) != session(2));
    // The tenant's only process is busy, and nobody may wait for it.
    let open = desk.hanging("one two three");
    let answer = desk.chat("hello");
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (503, &json!("overloaded"))
    );
    drop(open);
    until("no process is left", || {
        children(desk.serving.process_id()).is_empty()
    });
    until("no folder is left", || folders(&state) == 0);
}

/// Nor anything that a process of it has started, and no file with a word or a token, also where it never starts again.
#[test]
fn a_gateway_that_is_killed_leaves_no_process_and_no_word() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("below");
    let starts_another = format!(
        "/bin/sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >> {}\nexec",
        below.display()
    );
    let node = instead_of_node(folder.path(), &starts_another);
    let by_node = |installation: Installation| installation.set("TOLLGATE_GEMINI_CLI_NODE", &node);
    let Some(desk) = Desk::with(&[FINE], by_node) else {
        return;
    };
    let state = desk.installation.folder().join("data/gemini");
    let _open = desk.hanging("the word is xylograph");
    let mut processes = children(desk.serving.process_id());
    assert!(!processes.is_empty());
    let below = fs::read_to_string(below).unwrap();
    processes.extend(below.lines().map(|line| line.parse::<u32>().unwrap()));
    assert!(processes.iter().all(|process| is_there(*process)));
    assert!(
        !files_with(&state, "xylograph").is_empty(),
        "the test looks where the words are"
    );
    desk.serving.signal("-KILL");
    until("no process is left", || {
        processes.iter().all(|process| !is_there(*process))
    });
    assert!(desk.google.wait_until_gone(1));
    until("no file is left", || {
        fs::read_dir(&state).unwrap().next().is_none()
    });
    let _again = desk.installation.serve();
}

/// Each call has a process of its own, and answers are the same.
#[test]
fn without_processes_that_are_kept_each_call_has_its_own() {
    let cold = |installation: Installation| installation.set("TOLLGATE_GEMINI_CLI_MODE", "cold");
    let Some(desk) = Desk::with(&[FINE], cold) else {
        return;
    };
    let answer = desk.chat("one two three ((play think=1))");
    let told = answer.json();
    assert_eq!(told["choices"][0]["message"]["content"], "one two three");
    // Only here the program tells all of it, from which the thoughts can be counted.
    assert_eq!(
        told["usage"]["completion_tokens_details"]["reasoning_tokens"], 7,
        "{told}"
    );
    let table = [
        ("status=429", 429, "rate_limit_exceeded"),
        ("status=503", 503, "overloaded"),
        ("nothing=1", 502, "provider_empty_or_blocked"),
    ];
    for (directions, status, code) in table {
        let answer = desk.chat(&format!("hello ((play {directions}))"));
        let told = answer.json();
        assert_eq!(
            (answer.status, &told["error"]["code"]),
            (status, &json!(code)),
            "{told}"
        );
    }
    let open = desk.hanging("one two three");
    drop(open);
    assert!(desk.google.wait_until_gone(1));
    until("no process is left", || {
        children(desk.serving.process_id()).is_empty()
    });
}

/// Waits for what will be so.
pub(super) fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}, after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The processes that a process has started and that have not ended.
pub(super) fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number| parent_of(*number) == Some(parent))
        .collect()
}

fn parent_of(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    if value("State:")?.starts_with('Z') {
        return None;
    }
    value("PPid:")?.parse().ok()
}

fn is_there(process: u32) -> bool {
    parent_of(process).is_some()
}

/// Files under a folder in which this stands.
pub(super) fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path).is_ok_and(|bytes| holds(&bytes, text)) {
            found.push(path);
        }
    }
    found
}

pub(super) fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// How many processes have folders.
fn folders(state: &Path) -> usize {
    let gateways = fs::read_dir(state).unwrap().flatten();
    gateways
        .flat_map(|gateway| fs::read_dir(gateway.path()).unwrap().flatten())
        .filter(|entry| entry.path().is_dir())
        .count()
}
