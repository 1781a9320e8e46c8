//! What can be typed after `tollgate`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::output::Form;
use crate::serve;
use crate::settings;
use crate::verb::{audit, completions, credential, key, ledger, limit, prices, route, tenant, usage, vault};

/// A gateway between many tenants and many LLM providers.
#[derive(Parser)]
#[command(name = "tollgate", version, about, max_term_width = 110)]
pub(crate) struct Arguments {
    /// The file with settings; without it `tollgate.yaml` in the current folder, if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A table for people, JSON for scripts, or CSV for spreadsheets.
    #[arg(long, global = true, value_enum, default_value_t = Form::Table)]
    pub(crate) output: Form,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Runs the gateway.
    #[command(after_help = settings::help())]
    Serve(serve::Arguments),
    /// Who owns credentials, is limited and is billed.
    #[command(subcommand)]
    Tenant(tenant::Verb),
    /// Gateway keys: what a client shows to us.
    #[command(subcommand)]
    Key(key::Verb),
    /// Credentials: what we show to a provider.
    #[command(subcommand)]
    Credential(credential::Verb),
    /// Routes: which provider a model name leads to.
    #[command(subcommand)]
    Route(route::Verb),
    /// Limits: what may be used in a minute, a day or a month.
    #[command(subcommand)]
    Limit(limit::Verb),
    /// Prices: what models cost.
    #[command(subcommand)]
    Prices(prices::Verb),
    /// What was used.
    Usage(usage::Arguments),
    /// How the ledger is: what waits to be shipped, whether its sums are right.
    #[command(subcommand)]
    Ledger(ledger::Verb),
    /// The master key, and what is sealed under it.
    #[command(subcommand)]
    Vault(vault::Verb),
    /// What was changed, when, by whom.
    Audit(audit::Arguments),
    /// Brings the database to the schema of this program.
    Migrate,
    /// Says what is wrong with this installation, and what to do about it. Changes nothing.
    Doctor,
    /// Completions for a shell.
    Completions(completions::Arguments),
}
