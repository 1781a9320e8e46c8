//! The relay of the Gemini CLI, where it is wanted: an address on loopback that its processes are told.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use gateway::Vitals;
use provider::gemini_cli::GeminiCli;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::supervise::supervise;
use crate::failure::Failure;

/// A free port.
pub(super) fn listener() -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| Failure::other(format!("no port for the relay of the Gemini CLI: {error}")))
}

/// Answers those who come there.
pub(super) fn answer(
    control: &Handle,
    vitals: &Arc<Vitals>,
    listener: TcpListener,
    cli: GeminiCli,
) -> JoinHandle<()> {
    let listener = Arc::new(listener);
    supervise(control, vitals, "relay", move || {
        let (listener, cli) = (listener.clone(), cli.clone());
        async move {
            let answer = move |request| {
                let cli = cli.clone();
                async move { cli.relay(request).await }
            };
            if let Err(error) = server::serve_loopback(listener, answer).await {
                tracing::error!(%error, "the processes of the Gemini CLI have no relay");
            }
        }
    })
}
