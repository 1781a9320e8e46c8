//! `cargo xtask test`.

use std::process::Command;

use anyhow::Context as _;

use crate::command::run;
use crate::needs::{Cache, Postgres, agents, browser, node, program, python};

/// Where Debian's package puts it; what drives it wants a path.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Gets what the tests need, tells them where it is, and runs them. What cannot be had is said, and what needs it is
/// skipped; under CI (`CI` is set) it is a failure.
pub(crate) fn test(arguments: &[String]) -> anyhow::Result<()> {
    let cache = Cache::open()?;
    let mut command = Command::new("cargo");
    command
        .args(["test", "--workspace", "--locked", "--no-fail-fast"])
        .args(arguments);
    // A test runs the line that the first start prints.
    had("curl", program("curl", "--version"))?;
    if had("slowhttptest", program("slowhttptest", "-h"))?.is_some() {
        command.env("TOLLGATE_TEST_SLOWHTTPTEST", "slowhttptest");
    }
    // Shows which files a program opens; what needs it looks for it, and says when it is not there.
    had("strace", program("strace", "--version"))?;
    // Shows a process another clock than the machine's; looked for in the same way.
    had("faketime", program("faketime", "--version"))?;
    // Held until the tests are done.
    let postgres = had("Postgres", Postgres::start())?;
    if let Some(postgres) = &postgres {
        command.env("TOLLGATE_TEST_POSTGRES_URL", postgres.url());
        command.env("TOLLGATE_TEST_PG_DUMP", postgres.pg_dump());
    }
    if let Some(interpreter) = had("the Python packages", python(&cache))? {
        command.env("TOLLGATE_TEST_PYTHON", interpreter);
    }
    if let Some(folder) = had("the npm packages", node(&cache))? {
        command.env("TOLLGATE_TEST_PACKAGES", folder);
    }
    if let Some(folder) = had("the agents", agents(&cache))? {
        command.env("TOLLGATE_TEST_AGENTS", folder);
    }
    if let Some(folder) = had("the packages for the browser", browser(&cache))? {
        command.env("TOLLGATE_TEST_BROWSER", folder);
    }
    if had("Chromium", program("chromium", "--version"))?.is_some() {
        command.env("TOLLGATE_TEST_CHROMIUM", CHROMIUM);
    }
    run(&mut command)
}

fn had<T>(what: &str, got: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match got {
        Ok(thing) => Ok(Some(thing)),
        Err(error) if std::env::var_os("CI").is_some() => {
            Err(error).with_context(|| format!("{what} cannot be had"))
        }
        Err(error) => {
            tell(&format!("skipped: what needs {what}: {error:#}"));
            Ok(None)
        }
    }
}

fn tell(line: &str) {
    use std::io::Write as _;
    let _unheard = writeln!(std::io::stderr(), "{line}");
}
