//! The gateway as people run it: a process of its own, on a port of its own, in a folder of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// An installation: a folder, settings, and the program to run with them.
pub struct Installation {
    program: PathBuf,
    folder: TempDir,
    settings: BTreeMap<String, String>,
}

/// A gateway that serves. It is ended when dropped.
pub struct Serving {
    child: Child,
    url: String,
    /// What it printed before it listened.
    said: String,
    log: PathBuf,
}

/// Nothing in a test takes longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test without its gateway has failed"
)]
impl Installation {
    /// A fresh one, of the program at this path, on this database.
    pub fn new(program: &str, database_url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = [
            ("TOLLGATE_LISTEN", "127.0.0.1:0".to_owned()),
            (
                "TOLLGATE_DATA_DIR",
                folder.path().join("data").display().to_string(),
            ),
            ("TOLLGATE_DATABASE_URL", database_url.to_owned()),
            ("TOLLGATE_WORKERS", "2".to_owned()),
        ];
        Self {
            program: PathBuf::from(program),
            settings: settings
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            folder,
        }
    }

    /// Sets something, as a variable of the environment.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same installation, run by another program.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file with the master key.
    pub fn master_key_file(&self) -> PathBuf {
        self.folder.path().join("data/master.key")
    }

    /// Starts it and waits until it listens.
    pub fn serve(&self) -> Serving {
        self.serve_as(&["serve"])
    }

    /// The same, in place of the one that serves at the same address.
    pub fn take_over(&self) -> Serving {
        self.serve_as(&["serve", "--take-over"])
    }

    fn serve_as(&self, arguments: &[&str]) -> Serving {
        let log = self.folder.path().join("serve.log");
        let errors = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log file");
        let mut command = self.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("the gateway starts");
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let mut said = String::new();
        let url = loop {
            let mut line = String::new();
            if out.read_line(&mut line).unwrap_or(0) == 0 {
                let status = child.wait();
                panic!(
                    "the gateway ended ({status:?}): {}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            said.push_str(&line);
            if let Some(url) = line.trim_end().strip_prefix("listening on ") {
                break url.to_owned();
            }
        };
        Serving {
            child,
            url,
            said,
            log,
        }
    }

    /// Runs a verb to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// Runs a verb to its end, with this on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.expect("the program starts");
        if let Some(mut stdin) = child.stdin.take() {
            // A verb that reads nothing may have closed it.
            let _unread = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output().expect("the program ends")
    }

    /// What a verb answers, as JSON. The verb has to succeed.
    pub fn ask(&self, arguments: &[&str]) -> Value {
        self.ask_with(arguments, "")
    }

    /// The same, with this on its standard input.
    pub fn ask_with(&self, arguments: &[&str], input: &str) -> Value {
        let arguments = [arguments, &["--output", "json"]].concat();
        let output = self.run_with(&arguments, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Asks for usage until it is as it should be: it is written a moment after a call has ended.
    pub fn usage_until(&self, by: &str, is_right: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let usage = self.ask(&["usage", "--by", by]);
            let lines = usage.as_array().cloned().unwrap_or_default();
            if is_right(&lines) {
                return lines;
            }
            assert!(Instant::now() < deadline, "usage never became right: {lines:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The program with these arguments, in the folder, with nothing of this process's environment but the path.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(&self.settings);
        command.stdin(Stdio::null());
        command
    }
}

#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test without its gateway has failed"
)]
impl Serving {
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of an endpoint.
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// What it printed before it listened.
    pub fn said(&self) -> &str {
        &self.said
    }

    /// Where metrics are, as was printed.
    pub fn metrics(&self) -> String {
        let mut lines = self.said.lines();
        let url = lines.find_map(|line| line.strip_prefix("metrics on "));
        url.unwrap_or_else(|| panic!("no metrics in {}", self.said))
            .to_owned()
    }

    /// The key that begins like this among what was printed at the first start.
    pub fn printed_key(&self, prefix: &str) -> String {
        let found = self
            .said
            .split(|letter: char| letter.is_whitespace() || letter == '\'');
        let found = found.into_iter().find(|word| word.starts_with(prefix));
        found
            .unwrap_or_else(|| panic!("no key {prefix}… in {}", self.said))
            .to_owned()
    }

    /// The gateway key of the tenant `default`, printed at the first start.
    pub fn key(&self) -> String {
        self.printed_key("sk-tg-")
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The first line of the log with this text, once it is there: lines of calls are written a moment after the calls.
    #[expect(clippy::panic, reason = "a test whose line never comes has failed")]
    pub fn logged(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            if Instant::now() > deadline {
                panic!("never logged: {text}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// How long its threads have run on a processor.
    pub fn processor_time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process_id()));
        let ran = tasks.expect("its threads").flatten().map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
            nanos.map_or(Duration::ZERO, Duration::from_nanos)
        });
        ran.sum()
    }

    /// Its resident memory now.
    pub fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// The most that its resident memory has been.
    pub fn most_resident_kib(&self) -> u64 {
        self.memory_kib("VmHWM:")
    }

    /// Lets the most begin anew with what there is now, where the kernel allows it.
    pub fn forget_most_resident(&self) {
        let _kept = fs::write(format!("/proc/{}/clear_refs", self.process_id()), "5");
    }

    fn memory_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process_id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kib.expect("what the kernel says of its memory")
    }

    /// Sends it a signal, such as `-TERM`.
    pub fn signal(&self, signal: &str) {
        let told = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(
            told.is_ok_and(|status| status.success()),
            "the gateway can be told {signal}"
        );
    }

    /// Tells it to stop, and waits until it has.
    pub fn stop(self) -> ExitStatus {
        self.signal("-TERM");
        self.ended()
    }

    /// Waits until it has ended by itself.
    pub fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the gateway does not stop: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // One that was stopped is gone already.
        let _gone = self.child.kill();
        let _waited = self.child.wait();
    }
}
