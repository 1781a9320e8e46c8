//! Random bytes and letters.

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::VaultError;

pub(crate) const LOWER: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
pub(crate) const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(crate) fn bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, VaultError> {
    let mut bytes = Zeroizing::new([0; N]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| VaultError::NoChance)?;
    Ok(bytes)
}

/// `len` letters of `alphabet`, each as likely as any other: bytes beyond the last whole multiple of the alphabet's
/// size are thrown away, since folding them in would favour the first letters.
pub(crate) fn letters(alphabet: &[u8], len: usize) -> Result<Zeroizing<String>, VaultError> {
    let size = alphabet.len().max(1);
    let fair = 256_usize.saturating_sub(256 % size);
    let mut text = Zeroizing::new(String::with_capacity(len));
    while text.len() < len {
        let drawn = bytes::<32>()?;
        let wanted = len.saturating_sub(text.len());
        let fair_bytes = drawn
            .iter()
            .map(|byte| usize::from(*byte))
            .filter(|byte| *byte < fair);
        text.extend(
            fair_bytes
                .filter_map(|byte| alphabet.get(byte % size))
                .map(|letter| char::from(*letter))
                .take(wanted),
        );
    }
    Ok(text)
}
