//! `cargo xtask`: what is done to this repository, in one place, the same for people and for CI.

use std::process::Command;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};

/// Tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every test of the workspace, documentation examples included.
    Test,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Test => test(),
    }
}

fn test() -> anyhow::Result<()> {
    run(Command::new("cargo").args(["test", "--workspace", "--locked", "--no-fail-fast"]))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{:?} ended with {status}", command.get_program());
    }
    Ok(())
}
