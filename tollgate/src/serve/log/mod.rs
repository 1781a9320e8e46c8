//! Where log lines go, and how they look.

mod line;
mod sink;
mod writer;

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::failure::{Failure, Kind};
use crate::settings::{LogFormat, Settings};
use line::Line;
pub(super) use sink::Sink;

/// Starts logging, to standard error: standard output is for what the program answers.
pub(super) fn start(settings: &Settings) -> Result<Sink, Failure> {
    let filter = EnvFilter::try_new(&settings.log)
        .map_err(|error| Failure::new(Kind::Settings, format!("TOLLGATE_LOG: {error}")))?;
    let line = match settings.log_format {
        LogFormat::Json => Line::Json,
        LogFormat::Human => Line::Human {
            coloured: stderr().is_terminal(),
        },
    };
    let sink = Sink::new(stderr()).map_err(|error| Failure::other(format!("no log: {error}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .event_format(line)
        .with_writer(sink.clone())
        .try_init()
        .map_err(|error| Failure::other(format!("no log: {error}")))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(sink)
}

/// Where it happened, without its message: that may quote what the program was working on.
fn log_panic(panicked: &std::panic::PanicHookInfo<'_>) {
    let place = panicked.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(place, "a panic");
}
