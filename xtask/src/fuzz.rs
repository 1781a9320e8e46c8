//! `cargo xtask fuzz`: coverage-guided fuzzing of what reads bytes from outside.

use std::process::Command;

use clap::Args;

use crate::command::{output, run};

#[derive(Args)]
pub(crate) struct Arguments {
    /// For each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Which; all of them unless some are named.
    targets: Vec<String>,
}

const TARGETS: [&str; 8] = [
    "head",
    "body",
    "stream",
    "key",
    "openai_chat",
    "openai_responses",
    "anthropic_messages",
    "gemini_generate",
];
/// An input that takes longer is a finding.
const INPUT_S: u32 = 5;

/// Runs each target; a finding ends it, and is left in `fuzz/artifacts/`.
///
/// The sanitizers need a nightly compiler, and would find what the language rules out anyway: the coverage does not.
pub(crate) fn fuzz(arguments: &Arguments) -> anyhow::Result<()> {
    if output(Command::new("cargo").args(["fuzz", "--version"])).is_err() {
        run(Command::new("cargo").args(["install", "--locked", "cargo-fuzz"]))?;
    }
    let named = arguments.targets.iter().map(String::as_str);
    let targets: Vec<&str> = if arguments.targets.is_empty() {
        TARGETS.to_vec()
    } else {
        named.collect()
    };
    // What leads to new coverage goes here: the corpus that is kept is chosen by hand.
    let found = tempfile::Builder::new().prefix("tollgate-fuzz-").tempdir()?;
    for target in targets {
        let begin = found.path().join(target);
        std::fs::create_dir_all(&begin)?;
        run(Command::new("cargo")
            .args(["fuzz", "run", "--sanitizer", "none", target])
            .arg(&begin)
            .arg(format!("fuzz/corpus/{target}"))
            .arg("--")
            .arg(format!("-max_total_time={}", arguments.seconds))
            .arg(format!("-timeout={INPUT_S}")))?;
    }
    Ok(())
}
