//! Debian's packages.

use std::process::Command;

use anyhow::Context as _;

use crate::command::{is_root, output, run};

/// A program that is in a package of the same name, installed where it is not there: where it does not answer to `asked`.
pub(crate) fn program(name: &str, asked: &str) -> anyhow::Result<()> {
    if output(Command::new(name).arg(asked)).is_ok() {
        return Ok(());
    }
    install(name)
}

/// Installs a package: as the superuser, or by a `sudo` that asks nothing.
pub(super) fn install(package: &str) -> anyhow::Result<()> {
    let install = ["install", "--yes", "--no-install-recommends", "-qq", package];
    // The lists of a fresh machine are empty or old.
    apt_get(&["update", "-qq"])
        .and_then(|()| apt_get(&install))
        .with_context(|| format!("Debian's package {package} cannot be installed"))
}

fn apt_get(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = if is_root() {
        Command::new("apt-get")
    } else {
        let mut command = Command::new("sudo");
        command.args(["--non-interactive", "apt-get"]);
        command
    };
    run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}
