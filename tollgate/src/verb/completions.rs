//! `tollgate completions SHELL`.

use clap::Command;
use clap_complete::{Shell, generate};

use crate::failure::Failure;
use crate::output::print;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Such as bash, zsh or fish.
    #[arg(value_enum)]
    shell: Shell,
}

/// `command` is the whole program's.
pub(super) fn run(arguments: &Arguments, command: &mut Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, command, "tollgate", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}
