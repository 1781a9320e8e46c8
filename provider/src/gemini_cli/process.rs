//! A process of the program: in a group of its own, with nothing of our environment, and ended with all below it.
//!
//! It dies with the gateway, whichever way that dies: the kernel kills it when its parent goes (`setpriv` of util-linux
//! asks for that, where it is installed), it ends by itself when its standard input does, and the warden of its folder
//! ends its group.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::confined::Confined;
use super::environment::Variable;
use super::home::Home;
use super::settings::Program;

/// A running one. It is killed when dropped, and all that it has started.
pub(super) struct Process {
    child: Child,
}

/// Open files, and bytes of a file that it writes: more than it has ever needed.
const FILES_MAX: u64 = 1024;
const FILE_BYTES_MAX: u64 = 64 << 20;
const BINDING: [&str; 4] = ["--pdeathsig", "KILL", "--no-new-privs", "--"];

impl Process {
    /// Starts one, by who keeps it from reaching others, where somebody does. Its standard error is kept only where it is
    /// asked for: it holds prompts.
    pub(super) fn start(
        program: &Program,
        home: &Home,
        environment: &[Variable],
        arguments: &[&OsStr],
        wants_errors: bool,
        confined: Option<&Confined>,
    ) -> io::Result<Self> {
        let mut command = bound_to_us(&program.node);
        command
            .arg(&program.script)
            .args(arguments)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .current_dir(home.work())
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if wants_errors {
                Stdio::piped()
            } else {
                Stdio::null()
            });
        let child = match confined {
            Some(confined) => confined.start(command)?,
            None => command.spawn()?,
        };
        let process = Self { child };
        process.limit();
        if let Some(number) = process.child.id() {
            home.note_group(number)?;
        }
        Ok(process)
    }

    pub(super) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    pub(super) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(super) fn stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Whether it is still there.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it holds in memory, where the system tells.
    pub(super) fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kibibytes << 10)
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).ok()?)
    }

    fn limit(&self) {
        let pid = self.pid();
        for (resource, most) in [
            (Resource::Core, 0),
            (Resource::Nofile, FILES_MAX),
            (Resource::Fsize, FILE_BYTES_MAX),
        ] {
            let limit = Rlimit {
                current: Some(most),
                maximum: Some(most),
            };
            // It may have ended already, which is noticed elsewhere.
            if let Some(pid) = pid {
                let _gone = prlimit(Some(pid), resource, limit);
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It leads its group. As long as it has not been waited for, its number is nobody else's.
        if let Some(pid) = self.pid() {
            let _gone = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// A program that ends when we do, and gains no rights.
fn bound_to_us(program: &Path) -> Command {
    let Some(setpriv) = setpriv() else {
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    command.args(BINDING).arg(program);
    command
}

/// Where `setpriv` is, if it can do here what is asked of it. Not looked for by name: the process's `PATH` is not ours.
pub(super) fn setpriv() -> Option<&'static str> {
    static FOUND: OnceLock<Option<&str>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        ["/usr/bin/setpriv", "/bin/setpriv"].into_iter().find(|path| {
            let tried = std::process::Command::new(path)
                .args(BINDING)
                .arg("/bin/true")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            tried.is_ok_and(|status| status.success())
        })
    })
}
