//! Secrets: a type that cannot leak, sealing and opening under a data key, and the forms of the keys that clients show.
//!
//! The only crate with a cipher. Everything here is AES-256-GCM, HKDF-SHA256 and HMAC-SHA256 of aws-lc-rs; nothing of
//! that kind is made by hand.

mod chance;
mod data_key;
mod digest;
pub mod gateway_key;
mod secret;

pub use data_key::{DataKey, Place};
pub use digest::DigestKey;
pub use secret::Secret;

/// Why something could not be sealed or opened. Holds neither a secret nor what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    #[error("the sealed value has no form that this program knows")]
    Form,
    #[error("the sealed value does not open: another key, another place, or it was changed")]
    DoesNotOpen,
    #[error("the operating system gave no random bytes")]
    NoChance,
    #[error("the cipher refused to work")]
    Cipher,
}
