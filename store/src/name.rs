//! Names that people give: to tenants, keys, credentials, providers.

use crate::error::StoreError;

const LEN_MAX: usize = 64;

/// Refuses what is no name. `what` says whose name it is.
pub(crate) fn check(what: &'static str, name: &str) -> Result<(), StoreError> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=LEN_MAX).contains(&name.len()) && name.bytes().all(is_letter) {
        return Ok(());
    }
    Err(StoreError::Invalid {
        what,
        why: format!("a name is 1 to {LEN_MAX} of the letters A-Z, a-z, 0-9, `.`, `_` and `-`"),
    })
}
