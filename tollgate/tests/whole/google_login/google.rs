//! The OAuth server in Google's place: a process of its own, that ends with this.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use provider::gemini_cli::VERSION;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::process::Installation;

use crate::sdk::{client, setting};

/// A folder with the packages of `xtask/needs/browser.json`.
pub(super) const PACKAGES: &str = "TOLLGATE_TEST_BROWSER";

pub(super) struct Google {
    child: Child,
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    pub(super) url: String,
    /// Where its front with TLS is, and the proxy by which others come to it by Google's names.
    pub(super) front: Option<String>,
    pub(super) proxy: Option<String>,
    folder: TempDir,
}

impl Google {
    /// None, with a printed line, where its package is missing.
    pub(super) fn start() -> Option<Self> {
        Self::run(|_| Vec::new())
    }

    /// The same, with a front.
    pub(super) fn with_front() -> Option<Self> {
        Self::run(|folder| {
            let names = ["localhost", "oauth2.googleapis.com", "www.googleapis.com"].map(str::to_owned);
            let made = rcgen::generate_simple_self_signed(names).unwrap();
            let files = [
                ("CERT", made.cert.pem()),
                ("KEY", made.signing_key.serialize_pem()),
            ];
            let written = files.map(|(name, pem)| {
                let file = folder.join(name);
                fs::write(&file, pem).unwrap();
                (name, file)
            });
            written.to_vec()
        })
    }

    fn run(files: impl FnOnce(&Path) -> Vec<(&'static str, PathBuf)>) -> Option<Self> {
        let packages = setting(PACKAGES)?;
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("node")
            .arg(client("google.mjs"))
            .env("PACKAGES", packages)
            .envs(files(folder.path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let begun = read(&mut stdout);
        let text = |name: &str| begun[name].as_str().map(str::to_owned);
        Some(Self {
            child,
            url: text("url").unwrap(),
            front: text("front"),
            proxy: text("proxy"),
            talk: Mutex::new((stdin, stdout)),
            folder,
        })
    }

    /// Where the front leads to.
    pub(super) fn lead_to(&self, url: &str) {
        self.say(&json!({"front": url}));
    }

    /// The certificate of the front, which stands for itself.
    pub(super) fn ca_file(&self) -> String {
        self.folder.path().join("CERT").display().to_string()
    }

    /// How it answers from now on.
    pub(super) fn next(&self, how: Value) {
        self.say(&json!({"next": how}));
    }

    /// What it was asked so far.
    pub(super) fn asked(&self) -> Value {
        self.say(&json!({"tell": true}))
    }

    /// How often it was asked for tokens by this grant.
    pub(super) fn grants(&self, grant: &str) -> usize {
        self.asked()[grant].as_array().unwrap().len()
    }

    /// The settings by which a gateway takes it for Google.
    pub(super) fn settings(&self, installation: Installation) -> Installation {
        let program = no_program(&installation);
        installation
            .set("TOLLGATE_GEMINI_CLI", &program)
            .set("GOOGLE_CLIENT_ID", "client-of-tests")
            .set("GOOGLE_CLIENT_SECRET", CLIENT_SECRET)
            .set("TOLLGATE_GOOGLE_AUTH_URL", &format!("{}/authorize", self.url))
            .set("TOLLGATE_GOOGLE_TOKEN_URL", &format!("{}/token", self.url))
            .set("TOLLGATE_GOOGLE_USERINFO_URL", &format!("{}/userinfo", self.url))
    }

    fn say(&self, line: &Value) -> Value {
        let mut talk = self.talk.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(talk.0, "{line}").unwrap();
        read(&mut talk.1)
    }
}

/// Something in the gemini CLI's place: these tests make no call, and so never run it.
pub(super) fn no_program(installation: &Installation) -> String {
    let package = installation.folder().join("gemini-cli");
    fs::create_dir_all(package.join("bundle")).unwrap();
    fs::write(
        package.join("package.json"),
        json!({"version": VERSION}).to_string(),
    )
    .unwrap();
    let script = package.join("bundle/gemini.js");
    fs::write(&script, "process.exit(1);\n").unwrap();
    script.display().to_string()
}

pub(super) const CLIENT_SECRET: &str = "GOCSPX-client-canary-9Lw4";

impl Drop for Google {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}

fn read(stdout: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("the OAuth server says {line}"))
}
