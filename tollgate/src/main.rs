//! The binary: what people type, what they have set, and how the parts are put together.
//!
//! [`verb`] has one file for each thing that can be asked for, [`settings`] reads what can be set, [`serve`] wires the
//! running gateway.

mod arguments;
mod desk;
mod failure;
mod master_key;
mod output;
#[cfg(test)]
mod reference;
mod serve;
mod settings;
mod time;
mod verb;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::Arguments;

/// A call makes and drops some hundred small things, which this allocator does for a third of what the system's takes.
/// Huge pages are off (`no_thp`): with them an idle gateway takes 14 MiB more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match verb::run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
