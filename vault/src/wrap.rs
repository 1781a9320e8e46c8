//! Wrapping data keys under the master key, and proof that the master key is the right one.
//!
//! The scope, a tenant's id or the installation, is authenticated with a wrapped key.

use std::sync::Arc;

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use crate::VaultError;
use crate::blob::{self, Blob, Purpose};
use crate::data_key::DataKey;
use crate::master::MasterKeys;

/// A handle on the master keys. Its clones share one ring.
#[derive(Clone)]
pub struct Vault {
    ring: Arc<ArcSwap<MasterKeys>>,
    /// Where the ring is read again when a version is met that it does not hold.
    source: Option<Arc<RingSource>>,
}

/// Reads the ring from where the operator keeps it.
pub type RingSource = dyn Fn() -> Result<MasterKeys, VaultError> + Send + Sync;

const WRAPPING: &[u8] = b"tollgate/master-key/wrapping/1";
const PROOF_SCOPE: &str = "tollgate/proof";

impl Vault {
    /// A vault whose ring never changes but by [`Vault::replace`].
    pub fn new(ring: MasterKeys) -> Self {
        Self {
            ring: Arc::new(ArcSwap::from_pointee(ring)),
            source: None,
        }
    }

    /// A vault that asks `source` once more when it meets a version it does not know: another process may have
    /// rotated the master key.
    pub fn reloading(ring: MasterKeys, source: Arc<RingSource>) -> Self {
        Self {
            ring: Arc::new(ArcSwap::from_pointee(ring)),
            source: Some(source),
        }
    }

    /// Puts another ring in place of this one, for every clone of the handle.
    pub fn replace(&self, ring: MasterKeys) {
        self.ring.store(Arc::new(ring));
    }

    pub fn ring(&self) -> Arc<MasterKeys> {
        self.ring.load_full()
    }

    pub fn current_version(&self) -> u32 {
        self.ring.load().current_version()
    }

    /// Wraps a data key under the current master key.
    ///
    /// # Errors
    /// When the cipher fails, which it has no reason to.
    pub fn wrap(&self, scope: &str, key: &DataKey) -> Result<Vec<u8>, VaultError> {
        self.seal(scope, &key.to_bytes())
    }

    /// Unwraps what was wrapped for this scope, under whichever version.
    ///
    /// # Errors
    /// When the value has another form, its version is not in the ring, or it does not open for this scope.
    pub fn unwrap(&self, scope: &str, wrapped: &[u8]) -> Result<DataKey, VaultError> {
        DataKey::from_bytes(&self.open(scope, wrapped)?)
    }

    /// A value by which [`Vault::check_proof`] knows this installation's master key again.
    ///
    /// # Errors
    /// When the cipher fails, which it has no reason to.
    pub fn proof(&self) -> Result<Vec<u8>, VaultError> {
        self.seal(PROOF_SCOPE, &[])
    }

    /// Whether the ring holds the key under which the proof was made.
    ///
    /// # Errors
    /// When it does not: the master key is another installation's, or an old one.
    pub fn check_proof(&self, proof: &[u8]) -> Result<(), VaultError> {
        self.open(PROOF_SCOPE, proof).map(|_| ())
    }

    /// The version of the master key under which a value was wrapped.
    ///
    /// # Errors
    /// When the value has another form.
    pub fn master_version_of(wrapped: &[u8]) -> Result<u32, VaultError> {
        Blob::read(wrapped).map(|blob| blob.version)
    }

    fn seal(&self, scope: &str, text: &[u8]) -> Result<Vec<u8>, VaultError> {
        let ring = self.ring.load();
        let version = ring.current_version();
        let key = ring.get(version).ok_or(VaultError::UnknownVersion(version))?;
        blob::seal(key, version, &purpose(scope), text)
    }

    fn open(&self, scope: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let blob = Blob::read(wrapped)?;
        let ring = self.ring_with(blob.version)?;
        let key = ring
            .get(blob.version)
            .ok_or(VaultError::UnknownVersion(blob.version))?;
        blob.open(key, &purpose(scope))
    }

    /// The ring, read again from its source when it lacks this version.
    fn ring_with(&self, version: u32) -> Result<Arc<MasterKeys>, VaultError> {
        let ring = self.ring();
        match &self.source {
            Some(source) if ring.get(version).is_none() => {
                self.replace(source()?);
                Ok(self.ring())
            }
            _ => Ok(ring),
        }
    }
}

fn purpose(scope: &str) -> Purpose<'_> {
    Purpose {
        label: WRAPPING,
        about: scope.as_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, Secret};

    const PLACE: Place<'_> = Place {
        tenant: "ten-1",
        table: "credentials",
        row: "cred-1",
        column: "secret",
    };

    fn vault() -> Vault {
        Vault::new(MasterKeys::generate().unwrap())
    }

    #[test]
    fn a_wrapped_key_opens_for_its_scope_under_its_master_key_and_not_otherwise() {
        let (vault, key, secret) = (vault(), DataKey::generate().unwrap(), Secret::new("s".to_owned()));
        let sealed = key.seal(&PLACE, &secret).unwrap();
        let wrapped = vault.wrap("ten-1", &key).unwrap();
        assert!(
            vault
                .unwrap("ten-1", &wrapped)
                .unwrap()
                .open(&PLACE, &sealed)
                .unwrap()
                .matches(&secret)
        );
        assert_eq!(
            vault.unwrap("ten-2", &wrapped).err(),
            Some(VaultError::DoesNotOpen)
        );
        assert_eq!(
            super::tests::vault().unwrap("ten-1", &wrapped).err(),
            Some(VaultError::DoesNotOpen)
        );
        for at in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[at] ^= 1;
            assert!(vault.unwrap("ten-1", &changed).is_err(), "byte {at}");
            assert!(vault.unwrap("ten-1", &wrapped[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn after_a_rotation_old_and_new_open_until_the_old_key_is_gone() {
        let (vault, key) = (vault(), DataKey::generate().unwrap());
        let old = vault.wrap("ten-1", &key).unwrap();
        vault.replace(vault.ring().with_next().unwrap());
        let new = vault
            .wrap("ten-1", &vault.unwrap("ten-1", &old).unwrap())
            .unwrap();
        assert_eq!(
            (Vault::master_version_of(&old), Vault::master_version_of(&new)),
            (Ok(1), Ok(2))
        );
        vault.replace(vault.ring().current_only());
        assert!(vault.unwrap("ten-1", &new).is_ok());
        assert_eq!(
            vault.unwrap("ten-1", &old).err(),
            Some(VaultError::UnknownVersion(1))
        );
    }

    #[test]
    fn a_running_vault_learns_of_a_rotation_by_another_process() {
        let old = MasterKeys::generate().unwrap();
        let new = old.with_next().unwrap();
        let wrapped = Vault::new(new.clone())
            .wrap("ten-1", &DataKey::generate().unwrap())
            .unwrap();
        let running = Vault::reloading(old, Arc::new(move || Ok(new.clone())));
        assert!(running.unwrap("ten-1", &wrapped).is_ok());
        assert_eq!(running.current_version(), 2);
    }

    #[test]
    fn a_proof_tells_the_right_master_key_from_another() {
        let vault = vault();
        let proof = vault.proof().unwrap();
        assert_eq!(vault.check_proof(&proof), Ok(()));
        assert_eq!(
            super::tests::vault().check_proof(&proof),
            Err(VaultError::DoesNotOpen)
        );
    }
}
