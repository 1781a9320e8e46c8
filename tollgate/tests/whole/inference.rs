//! Real completions: an unmodified SDK, through the gateway, from an inference server that nobody here wrote.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testkit::database::TestDatabase;

use crate::sdk::{PYTHON, check, client, setting};
use crate::world::{TENANT, World};

/// llama.cpp's server with a tiny model. It ends with its standard input, that is, when dropped.
struct InferenceServer {
    child: Child,
    url: String,
}

#[test]
fn real_completions_come_through_whole_and_streamed() {
    let Some(python) = setting(PYTHON) else { return };
    let server = InferenceServer::start(&python);
    for database in TestDatabase::each() {
        let world = World::with(database, "http://127.0.0.1:1/v1", |installation| installation);
        let add = [
            "credential",
            "add",
            "--tenant",
            TENANT,
            "--provider",
            "llamacpp",
            "--no-secret",
            "--base-url",
        ];
        let base_url = format!("{}/v1", server.url);
        world.installation.ask(&[&add[..], &[&base_url]].concat());
        let output = Command::new(&python)
            .arg(client("openai_completions.py"))
            .env("DIRECT", &server.url)
            .env("BASE_URL", world.serving.url())
            .env("KEY", &world.key)
            .output()
            .unwrap();
        check(&output, &world);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let usage = world
            .installation
            .usage_until("provider", |lines| lines.iter().any(|line| line["calls"] == 2));
        let line = usage.iter().find(|line| line["provider"] == "llamacpp").unwrap();
        assert_eq!(line["input_tokens"], told["input_tokens"]);
        assert_eq!(line["output_tokens"], told["output_tokens"]);
        assert_eq!(line["output_tokens"], 48);
    }
}

impl InferenceServer {
    fn start(python: &str) -> Self {
        let mut command = Command::new(python);
        command
            .arg(client("inference_server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let url = line
            .trim_end()
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("no server: {line}"));
        Self {
            url: url.to_owned(),
            child,
        }
    }
}

impl Drop for InferenceServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}
