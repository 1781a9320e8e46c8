//! One file for each verb.

pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod credential;
mod doctor;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod limit;
mod migrate;
pub(crate) mod prices;
pub(crate) mod route;
pub(crate) mod tenant;
pub(crate) mod usage;
pub(crate) mod vault;

use clap::CommandFactory as _;
use tokio::runtime::{Builder, Runtime};

use crate::arguments::{Arguments, Verb};
use crate::desk::Desk;
use crate::failure::Failure;
use crate::serve::serve;
use crate::settings::{Settings, Source};

/// Does what was typed.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { config, output, verb } = arguments;
    if let Verb::Completions(arguments) = verb {
        return completions::run(&arguments, &mut Arguments::command());
    }
    if let Verb::Vault(vault::Verb::Generate) = verb {
        return vault::generate(output);
    }
    if matches!(verb, Verb::Doctor) {
        return runtime()?.block_on(doctor::run(config.as_deref(), output));
    }
    let source = Source::of_process(config.as_deref())?;
    if let Verb::Serve(arguments) = verb {
        return serve(&source, &arguments);
    }
    runtime()?.block_on(async {
        if matches!(verb, Verb::Migrate) {
            return migrate::run(&Settings::read(&source)?, output).await;
        }
        let desk = Desk::open(&source, output).await?;
        let done = at_desk(&desk, verb).await;
        desk.store.close().await;
        done
    })
}

fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::other(format!("no runtime: {error}")))
}

async fn at_desk(desk: &Desk, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Tenant(verb) => tenant::run(desk, verb).await,
        Verb::Key(verb) => key::run(desk, verb).await,
        Verb::Credential(verb) => credential::run(desk, verb).await,
        Verb::Route(verb) => route::run(desk, verb).await,
        Verb::Limit(verb) => limit::run(desk, verb).await,
        Verb::Ledger(verb) => ledger::run(desk, &verb).await,
        Verb::Prices(verb) => prices::run(desk, verb).await,
        Verb::Usage(arguments) => usage::run(desk, &arguments).await,
        Verb::Vault(verb) => vault::run(desk, &verb).await,
        Verb::Audit(arguments) => audit::run(desk, &arguments).await,
        // These need no desk and are done before.
        Verb::Serve(_) | Verb::Doctor | Verb::Migrate | Verb::Completions(_) => Ok(()),
    }
}
