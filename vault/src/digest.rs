//! Keyed digests, by which a secret is recognised without being kept.

use aws_lc_rs::hmac;

/// A key under which secrets are digested. A stolen table of digests is worth nothing without it.
#[derive(Clone)]
pub struct DigestKey(hmac::Key);

impl DigestKey {
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// HMAC-SHA256 of the secret (RFC 2104).
    pub fn digest(&self, secret: &str) -> [u8; 32] {
        let mut digest = [0; 32];
        let tag = hmac::sign(&self.0, secret.as_bytes());
        for (to, from) in digest.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        digest
    }

    /// Whether the presented secret has this digest; compared in constant time.
    pub fn verify(&self, presented: &str, digest: &[u8]) -> bool {
        hmac::verify(&self.0, presented.as_bytes(), digest).is_ok()
    }
}
