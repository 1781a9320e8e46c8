//! The pages, and the logins with Google that are begun on them.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway::google::{LoginSettings, Logins};
use gateway::{Sessions, Vitals};
use server::{Origin, Ui, UiParts};
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;

use super::Control;
use super::supervise::supervise;
use crate::failure::{Failure, Kind};
use crate::settings::Settings;

/// What was made ready of them.
pub(super) struct Pages {
    /// None where there is no address under which a key may be sent to them.
    ui: Option<Ui>,
    logins: Arc<Logins>,
}

impl Pages {
    pub(super) fn prepare(
        settings: &Settings,
        parts: &Control,
        control: &Runtime,
        address: SocketAddr,
    ) -> Result<Self, Failure> {
        let url = settings.public_url.clone();
        let url = url.unwrap_or_else(|| format!("http://{address}"));
        let origin = Origin::parse(&url)
            .inspect_err(|error| tracing::info!(%url, "there are no pages: {error}; set TOLLGATE_PUBLIC_URL"))
            .ok();
        let google = &settings.google;
        let login_settings = LoginSettings {
            client: google.client(origin.as_ref().map_or(url.as_str(), Origin::as_str)),
            ahead: google.ahead,
        };
        let directory = parts.gateway.directory();
        let logins = Logins::open(
            parts.store.clone(),
            directory.clone(),
            login_settings,
            &settings.upstream,
            control.handle().clone(),
        );
        let logins =
            logins.map_err(|error| Failure::new(Kind::Settings, format!("GOOGLE_CLIENT_ID: {error}")))?;
        let logins = Arc::new(logins);
        let ui = origin.map(|origin| {
            let parts = UiParts {
                origin,
                sessions: Sessions::new(parts.store.clone(), directory.clone()),
                logins: logins.clone(),
            };
            Ui::new(parts, control.handle().clone())
        });
        Ok(Self { ui, logins })
    }

    pub(super) fn ui(&self) -> Option<Ui> {
        self.ui.clone()
    }

    /// Renews tokens ahead of their end.
    pub(super) fn renew(&self, control: &Handle, vitals: &Arc<Vitals>) -> JoinHandle<()> {
        let logins = self.logins.clone();
        supervise(control, vitals, "logins", move || logins.clone().run())
    }
}
