//! `cargo xtask scale`: what many tenants cost that nobody calls, on both databases.

use std::process::Command;

use clap::Args;

use crate::command::run;
use crate::needs::Postgres;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many, each with ten keys.
    #[arg(long, default_value_t = 100_000)]
    tenants: u32,
    /// How the gateway is built: `dev` is built sooner.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Runs the test of the same name with so many.
pub(crate) fn scale(arguments: &Arguments) -> anyhow::Result<()> {
    let postgres = Postgres::start()?;
    run(Command::new("cargo")
        .args([
            "test",
            "--locked",
            "--package",
            "tollgate",
            "--profile",
            &arguments.profile,
        ])
        .args(["--test", "whole", "--", "--nocapture", "scale::"])
        .env("TOLLGATE_TEST_POSTGRES_URL", postgres.url())
        .env("TOLLGATE_TEST_SCALE_TENANTS", arguments.tenants.to_string()))
}
