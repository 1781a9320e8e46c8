//! A text that must not get out by accident.

use aws_lc_rs::constant_time;
use zeroize::Zeroizing;

use crate::VaultError;
use crate::chance::{self, BASE62};

/// A secret text, overwritten when dropped.
///
/// It has no way out but [`Secret::expose`], which is easy to search for. It cannot be printed:
///
/// ```compile_fail,E0277
/// let secret = vault::Secret::new("s".to_owned());
/// println!("{secret:?}");
/// ```
///
/// ```compile_fail,E0277
/// let secret = vault::Secret::new("s".to_owned());
/// println!("{secret}");
/// ```
///
/// Nor compared by `==`, which takes the longer the more of two texts agrees:
///
/// ```compile_fail,E0369
/// let one = vault::Secret::new("s".to_owned());
/// let other = vault::Secret::new("s".to_owned());
/// assert!(one == other);
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// As many letters as 256 bits take.
const RANDOM_LEN: usize = 43;

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// 256 bits that nobody can guess, as letters and digits.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn random() -> Result<Self, VaultError> {
        chance::letters(BASE62, RANDOM_LEN).map(Self)
    }

    /// The text itself, for the one place that must have it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both are the same text, in a time that depends on their lengths alone.
    pub fn matches(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_texts_differ() {
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert!(!one.matches(&other) && one.expose().len() == RANDOM_LEN);
    }

    #[test]
    fn equal_texts_match_and_others_do_not() {
        let secret = |text: &str| Secret::new(text.to_owned());
        assert!(secret("one").matches(&secret("one")));
        assert!(!secret("one").matches(&secret("two")));
        assert!(!secret("one").matches(&secret("one more")));
    }
}
