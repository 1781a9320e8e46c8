//! `cargo xtask`: what is done to this repository, in one place, the same for people and for CI.

mod bench;
mod command;
mod fuzz;
mod needs;
mod scale;
mod serve;
mod simulate;
mod test;

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
    /// Builds the gateway and runs it: on 127.0.0.1:8080, on SQLite, unless something else is set.
    Serve {
        /// For `tollgate serve`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Installs what the tests need, and runs all of them, documentation examples included.
    Test {
        /// For `cargo test`: names of tests, and after `--` options of the test program.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Fuzzes what reads bytes from outside, beginning with `fuzz/corpus/`.
    Fuzz(fuzz::Arguments),
    /// Measures the gateway beside nginx. Needs root, nginx, and the rig.
    Bench(bench::Arguments),
    /// Measures what many tenants cost that nobody calls.
    Scale(scale::Arguments),
    /// Plays many replicas over one database, with all that can go wrong, and looks for a limit that was passed.
    Simulate(simulate::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Serve { arguments } => serve::serve(&arguments),
        Task::Test { arguments } => test::test(&arguments),
        Task::Fuzz(arguments) => fuzz::fuzz(&arguments),
        Task::Bench(arguments) => bench::bench(&arguments),
        Task::Scale(arguments) => scale::scale(&arguments),
        Task::Simulate(arguments) => simulate::simulate(&arguments),
    }
}
