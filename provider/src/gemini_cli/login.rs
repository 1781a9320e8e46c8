//! The program's own login, and the renewal of what it gave: both belong to a client of Google's whose secret only the
//! program has.
//!
//! Without a browser the program prints where to sign in, and reads on its standard input what Google shows there. With a
//! login in its folder it renews it when it starts. Either way it writes the login down; it is read from there, the process
//! is ended, and its folder goes.

use std::ffi::OsStr;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use vault::Secret;

use super::acp::Lines;
use super::home::Home;
use super::process::Process;
use super::{GeminiCli, environment, plain};
use crate::google::{OAuthFault, TokenFile, TokenKind};

/// A login that waits for what Google shows to whoever signs in.
pub struct CliLogin {
    url: String,
    tries_left: u32,
    until: Instant,
    running: Running,
}

/// Why there is no login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CliLoginFault {
    #[error("the gemini CLI does not start")]
    NoStart,
    #[error("the gemini CLI does not say where to sign in")]
    NoUrl,
    #[error("this is no code: paste exactly what Google shows")]
    NoCode,
    #[error("Google does not take this code: begin again")]
    WrongCode,
    #[error("the login has taken too long: begin again")]
    TooLate,
}

/// The process and its folders, which go with it in this order.
struct Running {
    _process: Process,
    stdin: ChildStdin,
    lines: Lines<ChildStdout>,
    home: Home,
}

/// From the beginning of a login to its end; the program gives up after the same time.
const LIFE: Duration = Duration::from_secs(300);
/// How often the program lets somebody try.
const TRIES: u32 = 2;
/// For Google to take a code, or to renew a token.
const PATIENCE: Duration = Duration::from_secs(30);
const ACCOUNT_PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const URL: &str = "https://accounts.google.com/";
const CODE_LEN_MAX: usize = 1_024;

impl GeminiCli {
    /// Begins a login.
    ///
    /// # Errors
    /// When the program does not start, or says nothing that would lead to Google.
    pub async fn begin_login(&self) -> Result<CliLogin, CliLoginFault> {
        let until = Instant::now() + LIFE;
        let ready = Instant::now() + self.0.settings().start_timeout;
        let mut running = self.start(None).ok_or(CliLoginFault::NoStart)?;
        let url = running.url(ready).await.ok_or(CliLoginFault::NoUrl)?;
        Ok(CliLogin {
            url,
            tries_left: TRIES,
            until,
            running,
        })
    }

    /// Has the program renew a login of its own.
    ///
    /// # Errors
    /// When no new token comes; [`OAuthFault::Revoked`] when it wants somebody to sign in.
    pub async fn renew_login(&self, old: &TokenFile) -> Result<TokenFile, OAuthFault> {
        let passing = |why: &str| OAuthFault::Passing(why.to_owned());
        let in_line = timeout(PATIENCE, self.0.renewals().acquire()).await;
        let Ok(Ok(_renewal)) = in_line else {
            return Err(passing("too many logins are renewed by the gemini CLI at once"));
        };
        let mut expired = old.clone();
        // It renews only what has ended.
        expired.expiry_date = 1;
        let ready = Instant::now() + self.0.settings().start_timeout;
        let mut running = self
            .start(Some(expired.write().expose()))
            .ok_or_else(|| passing("the gemini CLI does not start"))?;
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
            {"protocolVersion": 1, "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}}}});
        running
            .say(&hello.to_string())
            .await
            .ok_or_else(|| passing("the gemini CLI takes nothing"))?;
        loop {
            let line = timeout_at(ready, running.lines.next()).await;
            let line = line.map_err(|_| passing("the gemini CLI does not become ready"))?;
            let Ok(Some(line)) = line else {
                return Err(passing("the gemini CLI has ended without a token"));
            };
            if serde_json::from_slice::<Value>(&line).is_ok_and(|line| line.get("id") == Some(&json!(1))) {
                break;
            }
            if url_in(&line).is_some() {
                return Err(OAuthFault::Revoked(
                    "the gemini CLI asks to sign in again".to_owned(),
                ));
            }
        }
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(new) = running
                .written()
                .filter(|new| new.access_token != old.access_token)
            {
                return Ok(completed(new, old));
            }
            if Instant::now() >= until {
                return Err(passing("the gemini CLI has not renewed the token"));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    fn start(&self, login: Option<&str>) -> Option<Running> {
        let program = &self.0.settings().program;
        let home = Home::make(self.0.state(), &plain::settings("", &Map::new())).ok()?;
        if let Some(login) = login {
            home.put_login(login).ok()?;
        }
        let variables = environment::of_login(program, &home);
        let arguments = [OsStr::new("--acp")];
        let mut process = Process::start(program, &home, &variables, &arguments, false, None).ok()?;
        Some(Running {
            stdin: process.stdin()?,
            lines: Lines::new(process.stdout()?),
            _process: process,
            home,
        })
    }
}

impl CliLogin {
    /// Where to sign in.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is too late for it.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Shows the program the code that Google has shown. Of a wrong one the login is left, as long as it may be tried again.
    ///
    /// # Errors
    /// When it is none, or it is too late.
    pub async fn finish(mut self, code: &Secret) -> Result<TokenFile, (CliLoginFault, Option<Self>)> {
        if self.is_over() {
            return Err((CliLoginFault::TooLate, None));
        }
        let is_code = (1..=CODE_LEN_MAX).contains(&code.expose().len())
            && code.expose().bytes().all(|byte| byte.is_ascii_graphic());
        if !is_code {
            return Err((CliLoginFault::NoCode, Some(self)));
        }
        self.tries_left = self.tries_left.saturating_sub(1);
        if self.running.say(code.expose()).await.is_none() {
            return Err((CliLoginFault::WrongCode, None));
        }
        let until = self.until.min(Instant::now() + PATIENCE);
        loop {
            if let Some(mut tokens) = self.running.written() {
                tokens.kind = TokenKind::CliLogin;
                // It asks for the account right after, and may not be told.
                let told_by = Instant::now() + ACCOUNT_PATIENCE;
                while tokens.email.is_none() && Instant::now() < told_by {
                    tokens.email = self.running.email();
                    sleep(LOOK_AGAIN).await;
                }
                return Ok(tokens);
            }
            let again = Instant::now() + LOOK_AGAIN;
            match timeout_at(again, self.running.lines.next()).await {
                Err(_) if Instant::now() >= until => return Err((CliLoginFault::TooLate, None)),
                // It has written nothing yet, or something of no interest.
                Err(_) => {}
                Ok(Ok(Some(line))) => {
                    if let Some(url) = url_in(&line) {
                        self.url = url;
                        let left = (self.tries_left > 0).then_some(self);
                        return Err((CliLoginFault::WrongCode, left));
                    }
                }
                Ok(_) => return Err((CliLoginFault::WrongCode, None)),
            }
        }
    }
}

impl Running {
    async fn url(&mut self, until: Instant) -> Option<String> {
        loop {
            let line = timeout_at(until, self.lines.next()).await.ok()?.ok()??;
            if let Some(url) = url_in(&line) {
                return Some(url);
            }
        }
    }

    async fn say(&mut self, line: &str) -> Option<()> {
        let line = Secret::new(format!("{line}\n"));
        self.stdin.write_all(line.expose().as_bytes()).await.ok()?;
        self.stdin.flush().await.ok()
    }

    /// The login that the program has written down, once it is whole.
    fn written(&self) -> Option<TokenFile> {
        TokenFile::read_lasting(&self.home.login()?)
            .ok()
            .filter(|file| file.expiry_date > 1)
    }

    fn email(&self) -> Option<String> {
        let accounts: Value = serde_json::from_str(&self.home.account()?).ok()?;
        let active = accounts.get("active")?.as_str()?;
        let is_one = active.contains('@') && active.bytes().all(|byte| byte.is_ascii_graphic());
        is_one.then(|| active.to_owned())
    }
}

/// What the program keeps of a login, with what it does not know of it.
fn completed(mut new: TokenFile, old: &TokenFile) -> TokenFile {
    new.kind = old.kind;
    new.client_id = old.client_id.clone();
    new.email = old.email.clone();
    new.project_id = old.project_id.clone();
    new
}

/// Google's address in a line, which may be coloured.
fn url_in(line: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?;
    let (_, rest) = text.split_once(URL)?;
    let rest = rest
        .split(|letter: char| !letter.is_ascii_graphic() || letter == '"')
        .next()?;
    Some([URL, rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_what_the_program_prints() {
        let plain = b"https://accounts.google.com/o/oauth2/v2/auth?a=b&c=d";
        let expected = Some("https://accounts.google.com/o/oauth2/v2/auth?a=b&c=d".to_owned());
        assert_eq!(url_in(plain), expected);
        assert_eq!(url_in(&[&b"\x1b[1m"[..], plain, b"\x1b[0m\r"].concat()), expected);
        assert_eq!(url_in(b"Please visit the following URL:"), None);
        assert_eq!(url_in(b"http://accounts.google.com/"), None);
    }
}
