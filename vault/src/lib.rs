//! Secrets: a type that cannot leak, sealing under a data key, wrapping data keys under the master key, and the forms of
//! the keys that clients show.
//!
//! The only crate with a cipher. Everything here is AES-256-GCM, HKDF-SHA256 and HMAC-SHA256 of aws-lc-rs; nothing of
//! that kind is made by hand.

mod blob;
mod chance;
mod data_key;
mod digest;
pub mod gateway_key;
mod master;
mod secret;
mod wrap;

pub use data_key::{DataKey, Place};
pub use digest::DigestKey;
pub use master::{MasterKeyError, MasterKeys};
pub use secret::Secret;
pub use wrap::{RingSource, Vault};

/// Why something could not be sealed or opened. Holds neither a secret nor what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("the sealed value has no form that this program knows")]
    Form,
    #[error("the sealed value does not open: another key, another place, or it was changed")]
    DoesNotOpen,
    #[error("the value was sealed under version {0} of the data key, not this one")]
    UnknownDataKey(u32),
    #[error("version {0} of the master key is not at hand")]
    UnknownVersion(u32),
    #[error("the master key cannot be read again")]
    Source,
    #[error("the operating system gave no random bytes")]
    NoChance,
    #[error("the cipher refused to work")]
    Cipher,
}
