//! The relay: what a process can reach by it, what it never holds, and what is seen of answers on their way.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};
use testkit::client;
use testkit::process::Installation;

use super::desk::Desk;
use super::life::{children, files_with, holds};
use super::trace::{instead_of_node, lines, traced_node};

/// Which no other test's processes have.
const TOKEN: &str = "ya29.fine-r3lay7Qcanary";

fn desk() -> Option<Desk> {
    Desk::with(&[TOKEN], relayed)
}

fn relayed(installation: Installation) -> Installation {
    installation
        .set("TOLLGATE_GEMINI_CLI_RELAY", "true")
        .set("TOLLGATE_GEMINI_CLI_PER_TENANT_MAX", "1")
}

/// What stands in the environment of the gateway's processes.
fn environments(desk: &Desk) -> Vec<Vec<u8>> {
    let processes = children(desk.serving.process_id()).into_iter();
    processes
        .map(|process| fs::read(format!("/proc/{process}/environ")).unwrap())
        .collect()
}

fn variable(environment: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(environment).into_owned();
    let mut pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(found, _)| *found == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {text}"))
        .1
        .to_owned()
}

#[test]
fn by_the_relay_the_true_end_and_usage_of_an_answer_are_known() {
    let Some(desk) = desk() else { return };
    let answered = |prompt: &str| {
        let answer = desk.chat(prompt);
        assert_eq!(answer.status, 200, "{}", answer.json());
        let told: Value = answer.json();
        let choice = told["choices"][0].clone();
        (
            choice["message"]["content"].clone(),
            choice["finish_reason"].clone(),
            told["usage"].clone(),
        )
    };
    let (said, reason, usage) = answered("one two three ((play think=1))");
    assert_eq!((said, reason), (json!("one two three"), json!("stop")));
    assert_eq!(
        usage["completion_tokens_details"]["reasoning_tokens"], 7,
        "{usage}"
    );
    // Neither of these the program tells apart from an end in good order.
    let (said, reason, _) = answered("one two three ((play finish=MAX_TOKENS))");
    assert_eq!((said, reason), (json!("one two three"), json!("length")));
    let (said, reason, _) = answered("one two three ((play finish=SAFETY))");
    assert_eq!((said, reason), (json!("one two three"), json!("content_filter")));
    let (_, reason, _) = answered("hello ((play finish=MAX_TOKENS nothing=1))");
    assert_eq!(reason, "length");
    let empty = desk.chat("hello ((play nothing=1))");
    assert_eq!(empty.json()["error"]["code"], "provider_empty_or_blocked");
    let limited = desk.chat("hello ((play status=429))");
    assert_eq!((limited.status, limited.header("retry-after")), (429, "7"));
    // A stream that is given up is given up at Google too.
    let open = desk.hanging("one two three");
    drop(open);
    assert!(desk.google.wait_until_gone(1));
    assert!(desk.google.generations().iter().all(|asked| asked.token == TOKEN));
}

#[test]
fn a_process_holds_no_token_and_reaches_nothing_but_what_a_model_needs() {
    let Some(desk) = desk() else { return };
    let open = desk.hanging("one two three");
    let environments = environments(&desk);
    assert!(!environments.is_empty());
    for environment in &environments {
        assert!(!holds(environment, TOKEN));
    }
    let state = desk.installation.folder().join("data/gemini");
    assert!(
        !files_with(&state, "one two three").is_empty(),
        "the test looks where files are"
    );
    assert!(files_with(&state, TOKEN).is_empty());
    let relay = variable(&environments[0], "CODE_ASSIST_ENDPOINT");
    let capability = variable(&environments[0], "GOOGLE_CLOUD_ACCESS_TOKEN");
    assert_eq!(variable(&environments[0], "HTTPS_PROXY"), relay);
    // What the program wanted to reach besides, it did not.
    assert!(desk.google.tunnels().is_empty());
    let before = desk.google.seen().len();
    let ask = |method: &str, path: &str, bearer: &str| {
        let bearer = format!("Bearer {bearer}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let answer = client::open(method, &format!("{relay}{path}"), &headers, b"{}").finish();
        answer.status
    };
    let load = "/v1internal:loadCodeAssist";
    for bearer in ["", "x", TOKEN, &capability[1..]] {
        assert_eq!(ask("POST", load, bearer), 401, "{bearer}");
    }
    for path in [
        "/",
        "/oauth2/v2/userinfo",
        "/v1internal:recordCodeAssistMetrics",
        "/v1internal:loadCodeAssist?key=x",
    ] {
        assert_eq!(ask("POST", path, &capability), 403, "{path}");
    }
    assert_eq!(ask("GET", load, &capability), 403);
    assert_eq!(desk.google.seen().len(), before, "none of this came to Google");
    assert_eq!(ask("POST", load, &capability), 200);
    assert_eq!(tunnel(&relay), "HTTP/1.1 403 Forbidden");
    // With the process its capability ends.
    drop(open);
    assert!(desk.google.wait_until_gone(1));
}

#[test]
fn the_program_connects_to_the_relay_and_to_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let Some(node) = traced_node(folder.path(), "connect,bind,sendto,sendmsg,sendmmsg") else {
        return;
    };
    let traced = |installation: Installation| relayed(installation).set("TOLLGATE_GEMINI_CLI_NODE", &node);
    let Some(desk) = Desk::with(&[TOKEN], traced) else {
        return;
    };
    for prompt in [
        "hello",
        "again ((play status=500))",
        "@https://example.test/ and on",
    ] {
        desk.chat(prompt);
    }
    assert_eq!(desk.google.generations().len(), 3);
    let relay = variable(&environments(&desk)[0], "CODE_ASSIST_ENDPOINT");
    drop(desk);
    let (_, port) = relay.rsplit_once(':').unwrap();
    let relay = format!("sin_port=htons({port}), sin_addr=inet_addr(\"127.0.0.1\")");
    let lines = lines(folder.path());
    let (to_relay, others): (Vec<&String>, Vec<&String>) = lines
        .iter()
        .filter(|line| line.contains("sa_family="))
        .partition(|line| line.contains(" connect(") && line.contains(&relay));
    assert!(!to_relay.is_empty(), "the trace shows who is connected to");
    assert!(others.is_empty(), "besides the relay: {others:#?}");
}

/// A process that does not keep to its proxy.
#[test]
fn the_kernel_keeps_a_process_from_anybody_but_the_relay() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    for (settings, expected) in [
        (relayed as fn(Installation) -> Installation, "kept"),
        (|installation| installation, "reached"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let node = instead_of_node(
            folder.path(),
            &format!(
                "(exec 3<>/dev/tcp/127.0.0.1/{port}) && told=reached || told=kept\necho $told >> {}\nexec",
                told.display()
            ),
        );
        let by_node =
            |installation: Installation| settings(installation).set("TOLLGATE_GEMINI_CLI_NODE", &node);
        let Some(desk) = Desk::with(&[TOKEN], by_node) else {
            return;
        };
        assert_eq!(desk.chat("hello").status, 200);
        if desk.serving.log().contains("this kernel does not keep") {
            println!("skipped: this kernel keeps nobody from connecting");
            return;
        }
        let told = fs::read_to_string(&told).unwrap();
        assert!(
            !told.is_empty() && told.lines().all(|line| line == expected),
            "{expected}: {told}"
        );
    }
}

/// What is answered to who wants a way to somebody else.
fn tunnel(relay: &str) -> String {
    use std::io::{BufRead as _, BufReader, Write as _};
    let address = relay.strip_prefix("http://").unwrap();
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    let host = "www.googleapis.com:443";
    write!(connection, "CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\n").unwrap();
    let mut line = String::new();
    BufReader::new(connection).read_line(&mut line).unwrap();
    line.trim().to_owned()
}
