//! How a process reaches Google: itself, with the token, or by the relay, with a capability.

use std::ffi::OsStr;
use std::sync::Arc;

use super::credential::Login;
use super::environment::{Variable, environment};
use super::fault::Failure;
use super::home::Home;
use super::process::Process;
use super::relay::{Admitted, Relay};
use super::settings::Program;

/// The way of one process.
pub(super) struct Way<'a> {
    pub(super) login: &'a Login,
    /// Where Google's service is.
    pub(super) endpoint: &'a str,
    pub(super) relay: Option<&'a Arc<Relay>>,
}

impl Way<'_> {
    /// Starts a process that goes it. Its right to do so is to be kept as long as it lives.
    pub(super) fn start(
        &self,
        program: &Program,
        home: &Home,
        arguments: &[&OsStr],
        wants_errors: bool,
    ) -> Result<(Process, Option<Admitted>), Failure> {
        let (environment, admitted) = self.environment(program, home)?;
        let confined = self.relay.and_then(|relay| relay.confined());
        let started = Process::start(program, home, &environment, arguments, wants_errors, confined);
        let process = started.map_err(|_| Failure::Program("it cannot be started"))?;
        Ok((process, admitted))
    }

    fn environment(
        &self,
        program: &Program,
        home: &Home,
    ) -> Result<(Vec<Variable>, Option<Admitted>), Failure> {
        let Some(relay) = self.relay else {
            return Ok((environment(program, home, self.login, self.endpoint), None));
        };
        let admitted = relay.admit(&self.login.access_token, self.endpoint);
        let admitted = admitted.ok_or(Failure::Program("it can be given no capability"))?;
        // All else that it wants to reach it asks of its proxy, which is the relay too, and refuses.
        let program = Program {
            proxy: Some(admitted.url()),
            ..program.clone()
        };
        let login = Login {
            access_token: admitted.capability().clone(),
            project_id: self.login.project_id.clone(),
            lasting: self.login.lasting.clone(),
            expires_at_ms: None,
        };
        Ok((
            environment(&program, home, &login, &admitted.url()),
            Some(admitted),
        ))
    }
}
