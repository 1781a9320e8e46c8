//! Agents that people use, unmodified, doing a task through the gateway with a model that speaks another dialect.
//!
//! Each is told to read two files and to write what it finds into a third. The model is scripted: it calls the agent's own
//! tools, and takes note of whatever reaches it out of place. `cargo xtask test` installs the agents and says where:
//! `TOLLGATE_TEST_AGENTS`. Without it these tests are skipped, and say so.

mod gemini;
mod heard;
mod messages;
mod model;
mod openai_chat;

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::database::TestDatabase;
use testkit::vendor::Vendor;

use crate::sdk::setting;
use crate::world::{TENANT, World};
use heard::Voice;
use model::{ANSWER, FINAL, Model, NOTES};

const AGENTS: &str = "TOLLGATE_TEST_AGENTS";

/// Far more than any of them needs, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an agent is run in: folders of its own, in which nothing is set up but what the test has put there.
struct Desk {
    folder: TempDir,
    packages: String,
}

/// An agent that runs. Whatever it has started ends with it.
struct Running(Child);

/// For a tenant who wants nothing left out, of whose calls none is refused for that.
#[test]
fn claude_code_works_on_openai() {
    does_its_task(
        claude_code,
        "gpt-5.6",
        "openai/gpt-5.6",
        &openai_chat::VOICE,
        true,
    );
}

/// The same.
#[test]
fn claude_code_works_on_gemini() {
    does_its_task(
        claude_code,
        "gemini-3-pro",
        "gemini/gemini-3-pro",
        &gemini::VOICE,
        true,
    );
}

#[test]
fn codex_works_on_anthropic() {
    does_its_task(
        codex,
        "claude-opus-4-8",
        "anthropic/claude-opus-4-8",
        &messages::VOICE,
        false,
    );
}

/// By the name of a model that writes code: its tools come late, in namespaces, and take free text.
#[test]
fn codex_writes_code_on_anthropic() {
    does_its_task(
        codex,
        "gpt-6-sol",
        "anthropic/claude-opus-4-8",
        &messages::VOICE,
        false,
    );
}

#[test]
fn codex_works_on_gemini() {
    does_its_task(
        codex,
        "gemini-3-pro",
        "gemini/gemini-3-pro",
        &gemini::VOICE,
        false,
    );
}

#[test]
fn gemini_cli_works_on_anthropic() {
    does_its_task(
        gemini_cli,
        "claude-opus-4-8",
        "anthropic/claude-opus-4-8",
        &messages::VOICE,
        false,
    );
}

/// To one of the models that refuse a call without the thoughts that led to it.
#[test]
fn gemini_cli_gives_thoughts_back() {
    does_its_task(
        gemini_cli,
        "claude-sonnet-4-5",
        "anthropic/claude-sonnet-4-5",
        &messages::VOICE,
        false,
    );
}

#[test]
fn gemini_cli_works_on_openai() {
    does_its_task(
        gemini_cli,
        "gpt-5.6",
        "openai/gpt-5.6",
        &openai_chat::VOICE,
        false,
    );
}

/// As its users run it, without a terminal: <https://docs.claude.com/en/docs/claude-code/llm-gateway>.
fn claude_code(desk: &Desk, url: &str, key: &str, model: &str, task: &str) -> Command {
    let mut command = desk.node("@anthropic-ai/claude-code/cli-wrapper.cjs");
    command
        .env("ANTHROPIC_BASE_URL", url)
        .env("ANTHROPIC_AUTH_TOKEN", key)
        .env("ANTHROPIC_MODEL", model)
        .env("ANTHROPIC_DEFAULT_HAIKU_MODEL", model)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .args(["--print", task, "--allowedTools", "Read", "Write"]);
    command
}

fn codex(desk: &Desk, url: &str, key: &str, model: &str, task: &str) -> Command {
    let settings = format!(
        "model = \"{model}\"\n\
         model_provider = \"tollgate\"\n\
         web_search = \"disabled\"\n\
         approval_policy = \"never\"\n\
         sandbox_mode = \"danger-full-access\"\n\
         check_for_update_on_startup = false\n\
         [features]\n\
         plugins = false\n\
         [analytics]\n\
         enabled = false\n\
         [model_providers.tollgate]\n\
         name = \"Tollgate\"\n\
         base_url = \"{url}/v1\"\n\
         env_key = \"TOLLGATE_KEY\"\n\
         wire_api = \"responses\"\n"
    );
    desk.set_up(".codex/config.toml", &settings);
    let mut command = desk.node("@openai/codex/bin/codex.js");
    command
        .env("TOLLGATE_KEY", key)
        .args(["exec", "--skip-git-repo-check", task]);
    command
}

fn gemini_cli(desk: &Desk, url: &str, key: &str, model: &str, task: &str) -> Command {
    let settings = r#"{
        "security": {"auth": {"selectedType": "gemini-api-key"}},
        "general": {"enableAutoUpdate": false, "enableAutoUpdateNotification": false},
        "privacy": {"usageStatisticsEnabled": false},
        "telemetry": {"enabled": false}
    }"#;
    desk.set_up(".gemini/settings.json", settings);
    let mut command = desk.node("@google/gemini-cli/bundle/gemini.js");
    command
        .env("GEMINI_API_KEY", key)
        .env("GOOGLE_GEMINI_BASE_URL", url)
        .env("GEMINI_CLI_TRUST_WORKSPACE", "true")
        .env("GEMINI_CLI_NO_RELAUNCH", "1")
        .args(["--prompt", task, "--model", model, "--approval-mode", "auto_edit"]);
    command
}

/// The task is done, the model saw nothing out of place, and each of its answers is booked.
fn does_its_task(
    agent: impl Fn(&Desk, &str, &str, &str, &str) -> Command,
    model_name: &str,
    target: &str,
    voice: &'static Voice,
    is_strict: bool,
) {
    let Some(packages) = setting(AGENTS) else { return };
    for database in TestDatabase::each() {
        let desk = Desk::new(&packages);
        let model = Arc::new(Model::new(&desk.work()));
        let answering = model.clone();
        let vendor = Vendor::start(move |seen| answering.answer(voice, seen));
        let (provider, _) = target.split_once('/').unwrap();
        let providers = [(provider, &*voice.base_url(&vendor))];
        let world = World::of(database, &providers, |installation| installation);

        let route = ["route", "set", model_name, "--to", target, "--tenant", TENANT];
        world.installation.ask(&route);
        let strict = ["tenant", "set", TENANT, "--strict", &is_strict.to_string()];
        world.installation.ask(&strict);

        let mut command = agent(&desk, world.serving.url(), &world.key, model_name, &model.task());
        let status = desk.run(&mut command);

        let told = || format!("{status}\n{}\n{}", desk.said(), world.serving.log());
        assert_eq!(model.wrong(), Vec::<String>::new(), "{}", told());
        assert!(status.success(), "{}", told());
        assert_eq!(
            fs::read_to_string(desk.work().join("answer.txt")).ok().as_deref(),
            Some(ANSWER),
            "{}",
            told()
        );
        assert!(desk.said().contains(FINAL), "{}", told());
        assert!(
            !(is_strict && world.serving.log().contains("cannot_translate")),
            "{}",
            told()
        );
        let rows = world.ledger(vendor.seen().len());
        for row in rows.values() {
            let usage = row.usage.map(|usage| (usage.input_tokens, usage.output_tokens));
            assert_eq!((row.outcome.as_str(), usage), ("ok", Some(voice.usage)));
        }
    }
}

impl Desk {
    fn new(packages: &str) -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
            packages: packages.to_owned(),
        };
        for folder in ["home", "work", "scratch"] {
            fs::create_dir(desk.folder.path().join(folder)).unwrap();
        }
        for (name, text) in NOTES {
            fs::write(desk.work().join(name), text).unwrap();
        }
        desk
    }

    fn work(&self) -> PathBuf {
        // Agents name files by the path that leads there in truth.
        fs::canonicalize(self.folder.path().join("work")).unwrap()
    }

    fn set_up(&self, path: &str, text: &str) {
        let path = self.folder.path().join("home").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A program of the packages, with nothing of this process's environment but the path. What it may want to ask
    /// of anybody but the gateway ends at a proxy that is not there.
    fn node(&self, program: &str) -> Command {
        let mut command = Command::new("node");
        command
            .arg(Path::new(&self.packages).join("node_modules").join(program))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path().join("home"))
            .env("TMPDIR", self.folder.path().join("scratch"))
            .env("LANG", "C.UTF-8");
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        for name in ["NO_PROXY", "no_proxy"] {
            command.env(name, "127.0.0.1");
        }
        command
    }

    /// Runs it to its end, or until nobody would wait any longer.
    fn run(&self, command: &mut Command) -> ExitStatus {
        let out = File::create(self.folder.path().join("out")).unwrap();
        let child = command
            .current_dir(self.work())
            .stdin(Stdio::null())
            .stderr(out.try_clone().unwrap())
            .stdout(out)
            .process_group(0)
            .spawn()
            .unwrap();
        let mut running = Running(child);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = running.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it never ended: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the agent has said so far.
    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("out")).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _waited = self.0.wait();
    }
}
