//! The master keys of an installation: what wraps the data keys.
//!
//! A ring holds one key for each version. New data keys are wrapped under the highest; the others are there until
//! everything has been wrapped anew. As text, in a file or a variable, a ring is `1:<base64>` items separated by
//! commas or white space; a single key of 32 bytes without a version, in base64 or hex, is version 1.

use std::collections::{BTreeMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::blob::{KEY_LEN, Key};
use crate::secret::Secret;
use crate::{VaultError, chance};

/// All master keys that are in use.
#[derive(Clone)]
pub struct MasterKeys {
    keys: BTreeMap<u32, Key>,
    current: u32,
}

/// A text that is no ring of master keys. Says nothing of what the text was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyError {
    #[error("the master key is empty")]
    Empty,
    #[error("a master key is 32 bytes in base64 or hex, with or without a version before it (`1:<base64>`)")]
    Malformed,
    #[error("the master key is too weak: it must be 32 random bytes")]
    Weak,
    #[error("two master keys have version {0}")]
    Twice(u32),
}

/// Of 32 random bytes, fewer than this many different ones come up once in 10^20 times or less.
const DIFFERENT_BYTES_MIN: usize = 20;

impl MasterKeys {
    /// Reads a ring.
    ///
    /// # Errors
    /// When a key is missing, malformed or plainly not random, or a version is there twice.
    pub fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let mut keys = BTreeMap::new();
        let items = text.split(|letter: char| letter == ',' || letter.is_whitespace());
        for item in items.filter(|item| !item.is_empty()) {
            let (version, key) = match item.split_once(':') {
                Some((version, key)) => (version.parse().map_err(|_| MasterKeyError::Malformed)?, key),
                None => (1, item),
            };
            if version == 0 {
                return Err(MasterKeyError::Malformed);
            }
            if keys.insert(version, read_key(key)?).is_some() {
                return Err(MasterKeyError::Twice(version));
            }
        }
        let current = *keys.keys().next_back().ok_or(MasterKeyError::Empty)?;
        Ok(Self { keys, current })
    }

    /// A ring of one fresh key, version 1.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> Result<Self, VaultError> {
        Ok(Self {
            keys: BTreeMap::from([(1, chance::bytes()?)]),
            current: 1,
        })
    }

    /// The same ring with one more fresh key, which is current from then on.
    ///
    /// # Errors
    /// When the operating system gives no random bytes, or no version is left.
    pub fn with_next(&self) -> Result<Self, VaultError> {
        let current = self.current.checked_add(1).ok_or(VaultError::Form)?;
        let mut keys = self.keys.clone();
        keys.insert(current, chance::bytes()?);
        Ok(Self { keys, current })
    }

    /// The same ring without its older keys.
    #[must_use]
    pub fn current_only(&self) -> Self {
        let mut keys = self.keys.clone();
        keys.retain(|version, _| *version == self.current);
        Self {
            keys,
            current: self.current,
        }
    }

    /// The ring as [`MasterKeys::parse`] reads it, one key a line.
    pub fn to_text(&self) -> Secret {
        let mut text = String::with_capacity(self.keys.len().saturating_mul(64));
        for (version, key) in &self.keys {
            let key = Zeroizing::new(STANDARD.encode(key.as_slice()));
            text.push_str(&version.to_string());
            text.push(':');
            text.push_str(&key);
            text.push('\n');
        }
        Secret::new(text)
    }

    pub fn current_version(&self) -> u32 {
        self.current
    }

    /// The versions in the ring, the oldest first.
    pub fn versions(&self) -> impl Iterator<Item = u32> {
        self.keys.keys().copied()
    }

    pub(crate) fn get(&self, version: u32) -> Option<&Key> {
        self.keys.get(&version)
    }
}

fn read_key(text: &str) -> Result<Key, MasterKeyError> {
    let bytes = if text.len() == 2 * KEY_LEN {
        from_hex(text)
    } else {
        STANDARD.decode(text).map(Zeroizing::new).ok()
    };
    let bytes = bytes.ok_or(MasterKeyError::Malformed)?;
    let key: [u8; KEY_LEN] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| MasterKeyError::Malformed)?;
    let key = Zeroizing::new(key);
    let different: HashSet<u8> = key.iter().copied().collect();
    // A pass phrase, or a pattern, spelt in base64 or hex.
    if different.len() < DIFFERENT_BYTES_MIN
        || key.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
    {
        return Err(MasterKeyError::Weak);
    }
    Ok(key)
}

fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits: Option<Vec<u32>> = text.chars().map(|letter| letter.to_digit(16)).collect();
    let digits = Zeroizing::new(digits?);
    let bytes = digits.chunks_exact(2).map(|pair| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> MasterKeyError {
        MasterKeys::parse(text).err().unwrap()
    }

    #[test]
    fn a_ring_is_read_back_and_its_highest_version_is_current() {
        let ring = MasterKeys::generate()
            .unwrap()
            .with_next()
            .unwrap()
            .with_next()
            .unwrap();
        let read = MasterKeys::parse(ring.to_text().expose()).unwrap();
        assert_eq!(read.versions().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(read.current_version(), 3);
        assert!(read.to_text().matches(&ring.to_text()));
        let left = read.current_only();
        assert_eq!(
            (left.versions().collect::<Vec<_>>(), left.current_version()),
            (vec![3], 3)
        );
    }

    #[test]
    fn one_key_needs_no_version_and_may_be_hex() {
        let ring = MasterKeys::generate().unwrap();
        let text = ring.to_text();
        let bare = text.expose().trim().strip_prefix("1:").unwrap();
        let hex: String = STANDARD
            .decode(bare)
            .unwrap()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        for spelling in [
            bare,
            &format!("{bare}\n"),
            &hex,
            &hex.to_uppercase(),
            &format!(" 1:{hex},"),
        ] {
            assert!(MasterKeys::parse(spelling).unwrap().to_text().matches(&text));
        }
    }

    #[test]
    fn what_is_no_master_key_is_refused() {
        let good = MasterKeys::generate().unwrap().to_text();
        let good = good.expose().trim();
        let phrase = STANDARD.encode("correct horse battery staple, or");
        for text in ["", " \n", ","] {
            assert_eq!(refused(text), MasterKeyError::Empty);
        }
        for text in [
            "secret",
            "1:",
            "0:AAAA",
            "x:AAAA",
            "1:AAAA",
            &good.replace("1:", "-1:"),
            &good[..40],
        ] {
            assert_eq!(refused(text), MasterKeyError::Malformed);
        }
        for text in ["00".repeat(32), "0123456789abcdef".repeat(4), phrase] {
            assert_eq!(refused(&text), MasterKeyError::Weak);
        }
        assert_eq!(refused(&format!("{good},{good}")), MasterKeyError::Twice(1));
    }
}
