//! The login of a tenant, as far as running the program needs it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use vault::Secret;

/// An access token, and what belongs to it.
pub(super) struct Login {
    pub(super) access_token: Secret,
    pub(super) project_id: Option<String>,
    /// In milliseconds since the Unix epoch.
    expires_at_ms: Option<i64>,
}

/// The names are those of the program's own `oauth_creds.json`.
#[derive(Deserialize)]
struct File {
    access_token: String,
    project_id: Option<String>,
    expiry_date: Option<i64>,
}

/// Before its end, a token is not given to a process any more: it keeps the one that it was started with.
const AHEAD: Duration = Duration::from_secs(300);

impl Login {
    /// None when the secret is no login.
    pub(super) fn read(secret: &Secret) -> Option<Self> {
        let file: File = serde_json::from_str(secret.expose()).ok()?;
        // A variable of the environment ends at a NUL, and a header at a line's end.
        let is_odd = |text: &str| text.is_empty() || text.contains(|letter: char| !letter.is_ascii_graphic());
        let has_odd = is_odd(&file.access_token) || file.project_id.as_deref().is_some_and(is_odd);
        (!has_odd).then_some(Self {
            access_token: Secret::new(file.access_token),
            project_id: file.project_id,
            expires_at_ms: file.expiry_date,
        })
    }

    /// When a process that has this token is to be used no more; none for never.
    pub(super) fn ends_at(&self) -> Option<SystemTime> {
        let at_ms = u64::try_from(self.expires_at_ms?).unwrap_or(0);
        UNIX_EPOCH
            .checked_add(Duration::from_millis(at_ms))?
            .checked_sub(AHEAD)
    }
}
