//! The gemini CLI's own login: the program says where to sign in, and waits for the code that Google shows there.
//!
//! It waits on this replica, so the code has to come here too. A tenant has one such login at a time, and there are few of
//! them at once: each is a process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use provider::gemini_cli::{CliLogin, CliLoginFault};
use vault::Secret;

use super::begin::actor;
use super::{CONSENT_TEXT, LoginFault, Logins, Wish};
use crate::sessions::SignedIn;

/// Those that wait, by tenant.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<String, One>>);

struct One {
    session_id: String,
    wish: Wish,
    /// After that it is over, whatever becomes of it.
    until: Instant,
    /// None while it is begun, or a code is being tried.
    login: Option<CliLogin>,
}

/// What became of a code.
pub enum CodeTried {
    Done,
    /// It was wrong, and there is another try, at this address.
    Again {
        url: String,
        why: String,
    },
}

const WAITING_MAX: usize = 4;
/// With the start of the program and its last answer a little longer than the program itself waits.
const LIFE: Duration = Duration::from_secs(400);

impl Logins {
    /// Begins a login of the gemini CLI: where to sign in.
    ///
    /// # Errors
    /// When the program is not there, too many wait, or it says nothing of use.
    pub async fn begin_cli(&self, who: &SignedIn, wish: &Wish) -> Result<String, LoginFault> {
        let wish = self.checked(wish)?;
        let cli = self.cli.as_ref().ok_or(LoginFault::Disabled)?;
        let one = One {
            session_id: who.session_id.clone(),
            wish,
            until: Instant::now() + LIFE,
            login: None,
        };
        if !self.waiting.enter(&who.tenant.id, one) {
            let why = "too many logins are waiting for their code on this gateway; try again in five minutes";
            return Err(LoginFault::Invalid(why.to_owned()));
        }
        match cli.begin_login().await {
            Ok(login) => {
                let url = login.url().to_owned();
                self.waiting.put_back(who, login);
                Ok(url)
            }
            Err(fault) => {
                self.waiting.leave(who);
                Err(told(fault))
            }
        }
    }

    /// Tries the code that Google has shown.
    ///
    /// # Errors
    /// When no login of this session waits for one here, or it is of no use and there is no other try.
    pub async fn try_code(&self, who: &SignedIn, code: &Secret) -> Result<CodeTried, LoginFault> {
        let code = Secret::new(code.expose().trim().to_owned());
        let Some((login, wish)) = self.waiting.take(who) else {
            let why = "no login waits here for a code: it is over, or was begun on another replica";
            return Err(LoginFault::Invalid(why.to_owned()));
        };
        match login.finish(&code).await {
            Ok(mut tokens) => {
                self.waiting.leave(who);
                tokens.project_id = wish.project_id;
                self.add(&who.tenant.id, &actor(who), &wish.name, &tokens, CONSENT_TEXT)
                    .await?;
                Ok(CodeTried::Done)
            }
            Err((fault, Some(login))) => {
                let url = login.url().to_owned();
                self.waiting.put_back(who, login);
                Ok(CodeTried::Again {
                    url,
                    why: fault.to_string(),
                })
            }
            Err((fault, None)) => {
                self.waiting.leave(who);
                Err(told(fault))
            }
        }
    }
}

impl One {
    fn lasts(&self) -> bool {
        Instant::now() < self.until && self.login.as_ref().is_none_or(|login| !login.is_over())
    }
}

impl Waiting {
    /// Takes a place, in place of an older login of the tenant.
    fn enter(&self, tenant_id: &str, one: One) -> bool {
        let mut waiting = self.all();
        waiting.retain(|_, one| one.lasts());
        if waiting.len() >= WAITING_MAX && !waiting.contains_key(tenant_id) {
            return false;
        }
        waiting.insert(tenant_id.to_owned(), one);
        true
    }

    /// Puts the login where it waits, unless another has taken its place.
    fn put_back(&self, who: &SignedIn, login: CliLogin) {
        if let Some(one) = self.all().get_mut(&*who.tenant.id)
            && one.session_id == who.session_id
        {
            one.login = Some(login);
        }
    }

    fn take(&self, who: &SignedIn) -> Option<(CliLogin, Wish)> {
        let mut waiting = self.all();
        let one = waiting.get_mut(&*who.tenant.id)?;
        if one.session_id != who.session_id {
            return None;
        }
        one.login.take().map(|login| (login, one.wish.clone()))
    }

    fn leave(&self, who: &SignedIn) {
        let mut waiting = self.all();
        if waiting
            .get(&*who.tenant.id)
            .is_some_and(|one| one.session_id == who.session_id)
        {
            waiting.remove(&*who.tenant.id);
        }
    }

    /// Ends those for which it is too late.
    pub(super) fn end_over(&self) {
        self.all().retain(|_, one| one.lasts());
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, One>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told(fault: CliLoginFault) -> LoginFault {
    match fault {
        CliLoginFault::NoStart | CliLoginFault::NoUrl => LoginFault::Google(fault.to_string()),
        _ => LoginFault::Invalid(fault.to_string()),
    }
}
