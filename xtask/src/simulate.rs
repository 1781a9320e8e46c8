//! `cargo xtask simulate`: many runs of many replicas over one database, in made-up time.

use std::process::Command;

use clap::Args;

use crate::command::run;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many runs, each told by a number of its own.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// Just this one, by its number.
    #[arg(long)]
    seed: Option<u64>,
}

/// Plays them; fails if in any of them a window was over-spent.
pub(crate) fn simulate(arguments: &Arguments) -> anyhow::Result<()> {
    let (first, count) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (0, arguments.seeds),
    };
    run(Command::new("cargo")
        .args(["run", "--release", "--package", "policy"])
        .args(["--features", "simulation", "--example", "simulate", "--"])
        .args([first.to_string(), count.to_string()]))
}
