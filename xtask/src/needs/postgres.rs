//! A Postgres server for the tests alone: Debian's program, on a free port, in a folder that goes with it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::debian;
use crate::command::{is_root, run};

/// A running server. It is stopped when dropped, and by the kernel when this process dies.
pub(crate) struct Postgres {
    server: Child,
    programs: PathBuf,
    port: u16,
    /// Held for its drop, which comes after the server's end.
    _folder: TempDir,
}

/// Where Debian puts each version's programs.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Whom Debian's package makes, and as whom the server runs when we are the superuser: it refuses to run as that.
const USER: &str = "postgres";
const PATIENCE: Duration = Duration::from_secs(30);

impl Postgres {
    /// Starts one, installing the program first where it is not there.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let programs = match newest_programs() {
            Some(programs) => programs,
            None => {
                debian::install("postgresql")?;
                newest_programs().context("Debian's postgresql brought no server")?
            }
        };
        let folder = tempfile::Builder::new().prefix("tollgate-postgres-").tempdir()?;
        let data = folder.path().join("data");
        if is_root() {
            run(Command::new("chown").arg(USER).arg(folder.path()))?;
        }
        let init = [
            "--auth",
            "trust",
            "--username",
            USER,
            "--encoding",
            "UTF8",
            "--no-sync",
            "--pgdata",
        ];
        run(as_its_user(&programs.join("initdb"))
            .args(init)
            .arg(&data)
            .stdout(Stdio::null()))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = as_its_user(&programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(folder.path())
            // The data lives as long as the tests; many of them have a pool of their own.
            .args(["-c", "fsync=off", "-c", "max_connections=300"])
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log"))?)
            .spawn()
            .context("cannot start Postgres")?;
        let mut postgres = Self {
            server,
            programs,
            port,
            _folder: folder,
        };
        postgres.wait_until_ready()?;
        Ok(postgres)
    }

    /// As an administrator.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/postgres", self.port)
    }

    /// The program that writes a database out as text.
    pub(crate) fn pg_dump(&self) -> PathBuf {
        self.programs.join("pg_dump")
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let port = self.port.to_string();
        let mut ask = Command::new(self.programs.join("pg_isready"));
        ask.args(["--quiet", "--host", "127.0.0.1", "--port", &port]);
        while !ask.status()?.success() {
            if let Some(status) = self.server.try_wait()? {
                bail!("Postgres ended with {status}");
            }
            if started.elapsed() > PATIENCE {
                bail!("Postgres does not become ready");
            }
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT: what Postgres calls a fast shutdown.
        let told = Command::new("kill")
            .args(["-INT", &self.server.id().to_string()])
            .status();
        if !told.is_ok_and(|status| status.success()) {
            let _gone = self.server.kill();
        }
        let _waited = self.server.wait();
    }
}

/// A program of Postgres, as a user that it accepts, which ends when this process does.
fn as_its_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "INT", "--"]).arg(program);
    command
}

/// The folder with the programs of the newest version that is there.
fn newest_programs() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.flatten();
    let versions = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let programs = entry.path().join("bin");
        programs.join("postgres").exists().then_some((version, programs))
    });
    versions.max().map(|(_, programs)| programs)
}
