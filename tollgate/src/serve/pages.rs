//! The pages, and the logins with Google that are begun on them.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use gateway::google::{LoginSettings, Logins};
use gateway::{Sessions, Vitals};
use server::{Door, Listeners, Origin, Ui, UiParts};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::hand_over::Inheritance;
use super::supervise::supervise;
use super::{Control, listen_on};
use crate::failure::{Failure, Kind};
use crate::output::print;
use crate::settings::Settings;

/// What was made ready of them.
pub(super) struct Pages {
    /// None where there is no address under which a key may be sent to them.
    ui: Option<Ui>,
    logins: Arc<Logins>,
    answering: Option<JoinHandle<()>>,
    enough: watch::Sender<bool>,
    are_apart: bool,
}

/// Where they are, when that is not where clients are.
pub(super) struct OwnListener(Option<TcpListener>);

/// Takes the address that is set for them.
pub(super) fn own_listener(
    settings: &Settings,
    inheritance: &mut Inheritance,
) -> Result<OwnListener, Failure> {
    let Some(address) = settings.admin_listen else {
        return Ok(OwnListener(None));
    };
    let listeners = listen_on("TOLLGATE_ADMIN_LISTEN", address, 1, inheritance)?;
    print(&format!(
        "pages on http://{}/ui/gemini",
        Listeners::address(&listeners)
    ))?;
    Ok(OwnListener(listeners.into_each().pop()))
}

impl OwnListener {
    /// The socket, for whoever takes over.
    pub(super) fn socket(&self) -> Option<TcpListener> {
        self.0
            .as_ref()?
            .try_clone()
            .inspect_err(|error| tracing::warn!(%error, "the pages' address cannot be handed over"))
            .ok()
    }
}

impl Pages {
    pub(super) fn prepare(
        settings: &Settings,
        parts: &Control,
        control: &Runtime,
        address: SocketAddr,
        own: OwnListener,
        door: &Arc<Door>,
    ) -> Result<Self, Failure> {
        let address = own
            .0
            .as_ref()
            .and_then(|own| own.local_addr().ok())
            .unwrap_or(address);
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
        let logins = logins
            .map_err(|error| Failure::new(Kind::Settings, format!("logins with Google: {error}")))
            .map(Arc::new)?;
        let ui = origin.map(|origin| {
            let parts = UiParts {
                origin,
                sessions: Sessions::new(parts.store.clone(), directory.clone()),
                logins: logins.clone(),
            };
            Ui::new(parts, control.handle().clone())
        });
        let (enough, told) = watch::channel(false);
        let are_apart = own.0.is_some();
        let answering = own.0.zip(ui.clone()).map(|(listener, ui)| {
            let (listener, door) = (Arc::new(listener), door.clone());
            supervise(control.handle(), parts.gateway.vitals(), "pages", move || {
                answer(listener.clone(), ui.clone(), door.clone(), told.clone())
            })
        });
        Ok(Self {
            ui,
            logins,
            answering,
            enough,
            are_apart,
        })
    }

    /// The pages, for who answers clients; none where they are apart.
    pub(super) fn ui(&self) -> Option<Ui> {
        self.ui.clone().filter(|_| !self.are_apart)
    }

    /// The logins that are begun there.
    pub(super) fn logins(&self) -> &Arc<Logins> {
        &self.logins
    }

    /// Renews tokens ahead of their end.
    pub(super) fn renew(&self, control: &Handle, vitals: &Arc<Vitals>) -> JoinHandle<()> {
        let logins = self.logins.clone();
        supervise(control, vitals, "logins", move || logins.clone().run())
    }

    /// From now on another process shows them. What has begun is answered.
    pub(super) fn leave_to_another(&self) {
        self.enough.send_replace(true);
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Some(answering) = &self.answering {
            answering.abort();
        }
    }
}

async fn answer(listener: Arc<TcpListener>, ui: Ui, door: Arc<Door>, enough: watch::Receiver<bool>) {
    if let Err(error) = server::serve_ui(listener, ui, door, enough).await {
        tracing::error!(%error, "there are no pages");
    }
}
