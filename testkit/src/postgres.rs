//! A Postgres server of one test alone, which may be stopped and started again.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::clock::FakeClock;

/// A server on a port of its own. It is ended when dropped, and by the kernel when the test's thread ends.
pub struct PostgresServer {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
    /// Variables by which it sees another clock than the machine's.
    clock: Vec<String>,
    running: Option<Child>,
}

/// Where its programs are is known by this one of them.
const PG_DUMP: &str = "TOLLGATE_TEST_PG_DUMP";
const USER: &str = "postgres";
const PATIENCE: Duration = Duration::from_secs(30);

#[expect(clippy::expect_used, reason = "a test without its database has failed")]
impl PostgresServer {
    /// Starts one; `None`, with a printed line, when there are no programs for it.
    pub fn start() -> Option<Self> {
        Self::start_with(Vec::new())
    }

    /// The same, by a clock of its own.
    pub fn start_by(clock: &FakeClock) -> Option<Self> {
        let variables = clock.variables();
        Self::start_with(variables.map(|(name, value)| format!("{name}={value}")).to_vec())
    }

    fn start_with(clock: Vec<String>) -> Option<Self> {
        let Some(pg_dump) = std::env::var_os(PG_DUMP) else {
            crate::skip(&format!("for want of a Postgres server: {PG_DUMP} is not set"));
            return None;
        };
        let programs = Path::new(&pg_dump).parent().expect("a folder").to_owned();
        let folder = tempfile::Builder::new()
            .prefix("tollgate-postgres-")
            .tempdir()
            .expect("a folder");
        if is_root() {
            done(Command::new("chown").arg(USER).arg(folder.path()));
        }
        let init = [
            "--auth",
            "trust",
            "--username",
            USER,
            "--encoding",
            "UTF8",
            "--no-sync",
        ];
        done(
            as_its_user(&programs.join("initdb"))
                .args(init)
                .arg("--pgdata")
                .arg(folder.path().join("data"))
                .stdout(Stdio::null()),
        );
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let mut server = Self {
            programs,
            folder,
            port: port.expect("a free port").port(),
            clock,
            running: None,
        };
        server.go();
        Some(server)
    }

    /// The URL of a database that is there from the start.
    pub fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it again, and waits until it answers.
    pub fn go(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"));
        let server = as_its_user(Path::new("env"))
            .args(&self.clock)
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(self.folder.path())
            .args(["-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(log.expect("a log file"))
            .spawn();
        self.running = Some(server.expect("Postgres starts"));
        let started = Instant::now();
        let port = self.port.to_string();
        let mut ask = Command::new(self.programs.join("pg_isready"));
        ask.args(["--quiet", "--host", "127.0.0.1", "--port", &port]);
        while !ask.status().is_ok_and(|status| status.success()) {
            assert!(started.elapsed() < PATIENCE, "Postgres does not become ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Keeps a copy of it as it is on disk, as a backup would. It is stopped for that.
    pub fn copy(&mut self) {
        self.stop();
        self.copy_folder("data", "copy");
        self.go();
    }

    /// Puts the copy in its place: whatever was written since then is lost, and the server does not know of it. It is
    /// stopped.
    pub fn put_back(&mut self) {
        self.stop();
        done(Command::new("rm").arg("-r").arg(self.folder.path().join("data")));
        self.copy_folder("copy", "data");
    }

    fn copy_folder(&self, from: &str, to: &str) {
        let (from, to) = (self.folder.path().join(from), self.folder.path().join(to));
        done(Command::new("cp").arg("-a").arg(from).arg(to));
    }

    /// Stops it at once, connections and all.
    pub fn stop(&mut self) {
        let Some(mut server) = self.running.take() else {
            return;
        };
        // SIGQUIT: what Postgres calls an immediate shutdown.
        let told = Command::new("kill")
            .args(["-QUIT", &server.id().to_string()])
            .status();
        if !told.is_ok_and(|status| status.success()) {
            let _gone = server.kill();
        }
        let _waited = server.wait();
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program of Postgres, as a user that it accepts, which ends when this thread does.
fn as_its_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "INT", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}

#[expect(clippy::panic, reason = "a test without its database has failed")]
fn done(command: &mut Command) {
    let status = command.status();
    if !status.as_ref().is_ok_and(|status| status.success()) {
        panic!("{:?}: {status:?}", command.get_program());
    }
}
