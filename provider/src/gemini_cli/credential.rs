//! The login of a tenant, as far as running the program needs it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vault::Secret;

use crate::google::TokenFile;

/// An access token, and what belongs to it.
pub(super) struct Login {
    pub(super) access_token: Secret,
    pub(super) project_id: Option<String>,
    /// What stays when the access token is renewed: with another one it is another account, or another project.
    pub(super) lasting: Secret,
    /// In milliseconds since the Unix epoch; none where nobody has said.
    pub(super) expires_at_ms: Option<u64>,
}

/// Before its end, a token is not given to a process any more: it keeps the one that it was started with. Whoever makes a
/// call has asked for another long before.
const AHEAD: Duration = Duration::from_secs(30);

impl Login {
    /// None when the secret is no login.
    pub(super) fn read(secret: &Secret) -> Option<Self> {
        let file = TokenFile::read(secret).ok()?;
        // A variable of the environment ends at a NUL.
        let is_odd = |text: &str| text.is_empty() || text.contains(|letter: char| !letter.is_ascii_graphic());
        if file.project_id.as_deref().is_some_and(is_odd) {
            return None;
        }
        let lasts = file.refresh_token.as_ref().unwrap_or(&file.access_token);
        let project_id = file.project_id.as_deref().unwrap_or_default();
        Some(Self {
            lasting: Secret::new(format!("{lasts} {project_id}")),
            access_token: Secret::new(file.access_token),
            project_id: file.project_id,
            expires_at_ms: u64::try_from(file.expiry_date).ok().filter(|at_ms| *at_ms > 0),
        })
    }

    /// When a process that has this token is to be used no more; none for never.
    pub(super) fn ends_at(&self) -> Option<SystemTime> {
        UNIX_EPOCH
            .checked_add(Duration::from_millis(self.expires_at_ms?))?
            .checked_sub(AHEAD)
    }
}
