//! The id of a call.

use std::fmt;

use ulid::Ulid;

/// A ULID: later calls have greater ids. Clients see it as `x-request-id`; the log, the ledger and traces know the call by
/// it. It is kept as the text that all of them want.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CallId([u8; ulid::ULID_LEN]);

impl CallId {
    /// A new one, of this instant.
    pub fn generate() -> Self {
        let mut text = [0; ulid::ULID_LEN];
        Ulid::generate().array_to_str(&mut text);
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id of one of its attempts. It goes to the provider as `x-request-id`.
    pub(crate) fn of_attempt(&self, number: u32) -> String {
        format!("{}-{number}", self.as_str())
    }

    /// The 128 bits that the text stands for.
    pub(crate) fn bits(&self) -> u128 {
        Ulid::from_string(self.as_str()).map_or(0, u128::from)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
