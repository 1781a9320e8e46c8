//! The one form of everything that is sealed: `format (1 byte) | key version (4, big-endian) | nonce (12) | ciphertext
//! and tag`.
//!
//! AES-256-GCM under a key derived for one use. Format, version and what the value is about are authenticated with it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::Zeroizing;

use crate::VaultError;

pub(crate) const KEY_LEN: usize = 32;

/// A key from which one is derived for each use.
pub(crate) type Key = Zeroizing<[u8; KEY_LEN]>;

/// A sealed value, taken apart.
pub(crate) struct Blob<'a> {
    /// Of the key that sealed it.
    pub(crate) version: u32,
    nonce: &'a [u8],
    sealed: &'a [u8],
}

/// What a key is used for, and what the value is about.
pub(crate) struct Purpose<'a> {
    pub(crate) label: &'static [u8],
    pub(crate) about: &'a [u8],
}

const FORMAT: u8 = 1;

/// Seals a text. Two sealings of one text differ.
pub(crate) fn seal(
    key: &Key,
    version: u32,
    purpose: &Purpose<'_>,
    text: &[u8],
) -> Result<Vec<u8>, VaultError> {
    let mut sealed = Zeroizing::new(text.to_vec());
    let nonce = cipher(key, purpose)?
        .seal_in_place_append_tag(Aad::from(purpose.associated_data(version)), &mut *sealed)
        .map_err(|_| VaultError::Cipher)?;
    let mut blob = vec![FORMAT];
    blob.extend_from_slice(&version.to_be_bytes());
    blob.extend_from_slice(nonce.as_ref());
    blob.extend_from_slice(&sealed);
    Ok(blob)
}

/// HKDF-SHA256 (RFC 5869) with a label for each use, so that no two uses share a key.
pub(crate) fn derive(key: &Key, label: &[u8]) -> Result<Key, VaultError> {
    let mut derived = Zeroizing::new([0; KEY_LEN]);
    Salt::new(HKDF_SHA256, &[])
        .extract(key.as_slice())
        .expand(&[label], HKDF_SHA256)
        .and_then(|output| output.fill(derived.as_mut_slice()))
        .map_err(|_| VaultError::Cipher)?;
    Ok(derived)
}

impl<'a> Blob<'a> {
    pub(crate) fn read(blob: &'a [u8]) -> Result<Self, VaultError> {
        let (format, rest) = blob.split_first().ok_or(VaultError::Form)?;
        let (version, rest) = rest.split_first_chunk().ok_or(VaultError::Form)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or(VaultError::Form)?;
        if *format != FORMAT {
            return Err(VaultError::Form);
        }
        let version = u32::from_be_bytes(*version);
        Ok(Self {
            version,
            nonce,
            sealed,
        })
    }

    pub(crate) fn open(&self, key: &Key, purpose: &Purpose<'_>) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let nonce = Nonce::try_assume_unique_for_key(self.nonce).map_err(|_| VaultError::Form)?;
        let mut text = Zeroizing::new(self.sealed.to_vec());
        let len = cipher(key, purpose)?
            .open_in_place(nonce, Aad::from(purpose.associated_data(self.version)), &mut text)
            .map_err(|_| VaultError::DoesNotOpen)?
            .len();
        text.truncate(len);
        Ok(text)
    }
}

impl Purpose<'_> {
    fn associated_data(&self, version: u32) -> Vec<u8> {
        let mut data = vec![FORMAT];
        data.extend_from_slice(&version.to_be_bytes());
        data.extend_from_slice(self.about);
        data
    }
}

fn cipher(key: &Key, purpose: &Purpose<'_>) -> Result<RandomizedNonceKey, VaultError> {
    let key = derive(key, purpose.label)?;
    RandomizedNonceKey::new(&AES_256_GCM, key.as_slice()).map_err(|_| VaultError::Cipher)
}
