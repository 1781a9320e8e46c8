//! Where log lines go, and how they look.

use std::io::stderr;

use tracing_subscriber::EnvFilter;

use crate::failure::{Failure, Kind};
use crate::settings::{LogFormat, Settings};

/// Starts logging, to standard error: standard output is for what the program answers.
pub(super) fn start(settings: &Settings) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&settings.log)
        .map_err(|error| Failure::new(Kind::Settings, format!("TOLLGATE_LOG: {error}")))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    let started = match settings.log_format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
        LogFormat::Human => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&stderr()))
            .try_init(),
    };
    started.map_err(|error| Failure::other(format!("no log: {error}")))
}
