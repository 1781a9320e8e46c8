//! `cargo xtask serve`.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

/// Builds and becomes the gateway: a signal to this process is one to it.
pub(crate) fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let mut command = Command::new("cargo");
    command
        .args([
            "run",
            "--release",
            "--locked",
            "--package",
            "tollgate",
            "--",
            "serve",
        ])
        .args(arguments);
    Err(command.exec()).context("cannot start cargo")
}
