//! Sealing and opening under a tenant's data key.
//!
//! Its place, tenant, table, row and column, is authenticated with a sealed value but not stored in it: a value that
//! was moved or swapped in the database does not open.

use zeroize::Zeroizing;

use crate::blob::{self, Blob, KEY_LEN, Key, Purpose};
use crate::digest::DigestKey;
use crate::secret::Secret;
use crate::{VaultError, chance};

/// 32 random bytes that seal one tenant's secrets. Destroying it destroys them.
pub struct DataKey {
    version: u32,
    key: Key,
}

/// Where a sealed value belongs.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub tenant: &'a str,
    pub table: &'a str,
    pub row: &'a str,
    pub column: &'a str,
}

const VERSION_LEN: usize = 4;
const SEALING: &[u8] = b"tollgate/data-key/sealing/1";
const DIGESTS: &[u8] = b"tollgate/data-key/digests/1";

impl DataKey {
    /// A tenant's first data key, version 1.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, VaultError> {
        Ok(Self {
            version: 1,
            key: chance::bytes()?,
        })
    }

    pub fn version(&self) -> u32 {
        self.version
    }

    /// Version and key as they are wrapped.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(VERSION_LEN + KEY_LEN));
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(self.key.as_slice());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, VaultError> {
        let (version, key) = bytes.split_first_chunk().ok_or(VaultError::Form)?;
        let key: [u8; KEY_LEN] = key.try_into().map_err(|_| VaultError::Form)?;
        Ok(Self {
            version: u32::from_be_bytes(*version),
            key: Zeroizing::new(key),
        })
    }

    /// Seals a secret for this place. Two sealings of one secret differ.
    ///
    /// # Errors
    /// When the cipher fails, which it has no reason to.
    pub fn seal(&self, place: &Place<'_>, secret: &Secret) -> Result<Vec<u8>, VaultError> {
        let about = place.to_bytes();
        let purpose = Purpose {
            label: SEALING,
            about: &about,
        };
        blob::seal(&self.key, self.version, &purpose, secret.expose().as_bytes())
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// When the value has another form, was sealed under another version, or does not open for this place.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Secret, VaultError> {
        let blob = Blob::read(sealed)?;
        if blob.version != self.version {
            return Err(VaultError::UnknownDataKey(blob.version));
        }
        let about = place.to_bytes();
        let opened = blob.open(
            &self.key,
            &Purpose {
                label: SEALING,
                about: &about,
            },
        )?;
        std::str::from_utf8(&opened)
            .map(|text| Secret::new(text.to_owned()))
            .map_err(|_| VaultError::Form)
    }

    /// A key for digests, derived from this one and of no use for opening anything.
    ///
    /// # Errors
    /// When the derivation fails, which it has no reason to.
    pub fn digest_key(&self) -> Result<DigestKey, VaultError> {
        blob::derive(&self.key, DIGESTS).map(|key| DigestKey::new(key.as_slice()))
    }
}

impl Place<'_> {
    /// The place as bytes. Each part is preceded by its length: `ab` in `c` is not `a` in `bc`.
    fn to_bytes(self) -> Vec<u8> {
        let mut data = Vec::new();
        for part in [self.tenant, self.table, self.row, self.column] {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> = Place {
        tenant: "ten-1",
        table: "credentials",
        row: "cred-1",
        column: "secret",
    };

    fn secret() -> Secret {
        Secret::new("sk-provider-0123456789".to_owned())
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_and_nowhere_else() {
        let key = DataKey::generate().unwrap();
        let sealed = key.seal(&HERE, &secret()).unwrap();
        assert!(key.open(&HERE, &sealed).unwrap().matches(&secret()));
        let elsewhere = [
            Place {
                tenant: "ten-2",
                ..HERE
            },
            Place {
                table: "logins",
                ..HERE
            },
            Place {
                row: "cred-2",
                ..HERE
            },
            Place {
                column: "other",
                ..HERE
            },
            Place {
                row: "cred-1s",
                column: "ecret",
                ..HERE
            },
        ];
        for place in elsewhere {
            assert_eq!(key.open(&place, &sealed).err(), Some(VaultError::DoesNotOpen));
        }
        assert_eq!(
            DataKey::generate().unwrap().open(&HERE, &sealed).err(),
            Some(VaultError::DoesNotOpen)
        );
    }

    #[test]
    fn a_value_names_the_version_that_sealed_it() {
        let one = DataKey::generate().unwrap();
        let two = DataKey {
            version: 2,
            ..DataKey::generate().unwrap()
        };
        let sealed = one.seal(&HERE, &secret()).unwrap();
        assert_eq!(
            two.open(&HERE, &sealed).err(),
            Some(VaultError::UnknownDataKey(1))
        );
        let read = DataKey::from_bytes(&two.to_bytes()).unwrap();
        let sealed = two.seal(&HERE, &secret()).unwrap();
        assert_eq!((read.version(), read.open(&HERE, &sealed).is_ok()), (2, true));
    }

    #[test]
    fn a_changed_or_shortened_value_does_not_open() {
        let key = DataKey::generate().unwrap();
        let sealed = key.seal(&HERE, &secret()).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(&HERE, &changed).is_err(), "byte {at}");
            assert!(key.open(&HERE, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn two_sealings_differ_and_neither_shows_the_secret() {
        let key = DataKey::generate().unwrap();
        let (one, other) = (
            key.seal(&HERE, &secret()).unwrap(),
            key.seal(&HERE, &secret()).unwrap(),
        );
        assert_ne!(one, other);
        assert!(
            !one.windows(8)
                .any(|window| secret().expose().as_bytes().starts_with(window))
        );
    }

    #[test]
    fn a_digest_knows_its_secret_only_under_its_key() {
        let key = DataKey::generate().unwrap().digest_key().unwrap();
        let digest = key.digest("one");
        assert!(key.verify("one", &digest));
        assert!(!key.verify("two", &digest) && !key.verify("one", &digest[..31]) && !key.verify("one", &[]));
        assert!(
            !DataKey::generate()
                .unwrap()
                .digest_key()
                .unwrap()
                .verify("one", &digest)
        );
    }
}
