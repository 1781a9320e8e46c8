//! The Gemini CLI as a provider: the real program `gemini`, run as the tenant whose login the credential is.
//!
//! A request in the dialect gemini_generate ([`request`]) becomes a conversation in a file ([`session`]) and a settings file
//! ([`plain`]), in folders of its own ([`home`]), for a process ([`process`]) with an environment of its own
//! ([`environment`]) that is kept warm ([`worker`], over [`acp`]; [`pool`]) or run once ([`headless`]). What it says becomes
//! an answer in the same dialect ([`answer`]). What is known of the program was found out with version [`VERSION`].

mod account;
mod acp;
mod answer;
mod body;
mod caps;
mod checks;
mod confined;
mod credential;
mod environment;
mod examine;
mod fault;
mod headless;
mod home;
mod login;
mod models;
mod plain;
mod pool;
mod process;
mod relay;
mod request;
mod seen;
mod session;
mod settings;
mod stand_in;
mod stop;
mod wait;
mod warden;
mod way;
mod worker;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use vault::Secret;

use crate::base_url::{BaseUrl, Trust};
use crate::upstream::{Answer, AnswerBody, Courier, SendFault, UpstreamSettings};
use answer::Writer;
use confined::Confined;
use credential::Login;
use fault::Failure;
use home::State;
use pool::{Pool, WorkerKey};
use relay::Relay;
use request::Asked;
use stop::StopCutter;
use worker::Job;

pub use account::Account;
pub use answer::Framing;
pub use checks::Check;
pub use examine::{Examined, examine};
pub use fault::AccountRefusal;
pub use login::{CliLogin, CliLoginFault};
pub use models::MODELS;
pub use relay::RelayBody;
pub use settings::{GeminiCliSettings, Mode, Program};
pub use stand_in::{StandIn, StandInBody};

pub(crate) use body::Body;

/// The version of the program for which all of this is true. Its files are its own business, and change.
pub const VERSION: &str = "0.61.0";

/// The program, for all tenants. Copies share its processes.
#[derive(Clone)]
pub struct GeminiCli(Arc<Pool>);

/// A call to be made.
pub struct Commission<'a> {
    pub tenant_id: &'a Arc<str>,
    pub credential_id: &'a str,
    /// The login.
    pub secret: Option<&'a Secret>,
    /// Where the program is to look for Google's service.
    pub base_url: &'a BaseUrl,
    pub model: &'a str,
    /// A request in the dialect gemini_generate.
    pub body: &'a [Bytes],
    pub framing: Framing,
    pub attempt_id: &'a str,
}

/// Pieces that wait for the client. When it takes none, the program is not listened to either.
const PIECES_WAITING: usize = 16;

impl GeminiCli {
    /// Makes its folder, without what a killed gateway left there. Its processes live on `runtime`, whose threads must live
    /// as long as this process.
    ///
    /// # Errors
    /// When the folder cannot be used, or the certificate authorities of the upstreams cannot be read.
    pub fn open(
        settings: GeminiCliSettings,
        runtime: Handle,
        upstream: &UpstreamSettings,
    ) -> io::Result<Self> {
        let state = State::open(&settings.state_dir)?;
        let relay = match settings.relay {
            Some(address) => {
                let courier = Courier::new(upstream).map_err(io::Error::other)?;
                // Their proxy refuses all else that they ask it for; with this they can ask nobody else.
                let confined = Confined::to(address.port(), runtime.clone());
                Some(Arc::new(Relay::new(address, courier, confined)))
            }
            None => None,
        };
        Ok(Self(Arc::new(Pool::new(settings, state, relay, runtime))))
    }

    /// Has the program answer, and waits for the beginning.
    ///
    /// # Errors
    /// When there is no answer, not even an error of Google's.
    pub async fn answer(&self, commission: Commission<'_>) -> Result<Answer, SendFault> {
        match self.begin(commission).await {
            Ok(answer) => Ok(answer),
            Err(failure) => failure.answer(),
        }
    }

    async fn begin(&self, commission: Commission<'_>) -> Result<Answer, Failure> {
        let Commission { model, framing, .. } = commission;
        let mut asked = Asked::read(&commission.body.concat())?;
        if caps::are_there(model) {
            asked.cap_at_most(caps::at_most);
        }
        models::check(model).map_err(Failure::Unsayable)?;
        // The program would go wherever a tenant sends it, past all that keeps others from being reached.
        if commission.base_url.trust() == Trust::Tenant {
            return Err(Failure::NoLogin);
        }
        let secret = commission.secret.ok_or(Failure::NoLogin)?;
        let login = Login::read(secret).ok_or(Failure::NoLogin)?;
        let (says, said) = mpsc::channel(PIECES_WAITING);
        let writer = Writer {
            framing,
            model: model.to_owned(),
            id: commission.attempt_id.to_owned(),
            shows_thoughts: asked.shows_thoughts,
            max_tokens: asked.max_tokens,
            stop: StopCutter::new(asked.stop.clone()),
            thoughts: String::new(),
            text: String::new(),
            has_begun: false,
        };
        let config = asked.config_of_process(model);
        let parameters = if config.is_empty() {
            String::new()
        } else {
            plain::settings(model, &config)
        };
        let key = WorkerKey {
            tenant_id: commission.tenant_id.clone(),
            credential_id: commission.credential_id.into(),
            // By the relay a process is given each new token of its login.
            secret: match self.0.relay() {
                Some(_) => login.lasting.clone(),
                None => secret.clone(),
            },
            endpoint: commission
                .base_url
                .uri()
                .to_string()
                .trim_end_matches('/')
                .to_owned(),
            parameters,
            model: model.to_owned(),
            is_capped: asked.max_tokens.is_some(),
        };
        let job = Job {
            asked: Arc::new(asked),
            model: model.to_owned(),
            said: says,
        };
        self.0.serve(key, login, job);
        let mut body = Body::new(said, writer);
        body.begin().await?;
        let content_type = match framing {
            Framing::Events => "text/event-stream",
            Framing::Whole | Framing::Array => "application/json",
        };
        let mut answer = Answer::ready(StatusCode::OK, content_type, Vec::new());
        answer.body = AnswerBody::of_gemini_cli(body);
        Ok(answer)
    }
}
