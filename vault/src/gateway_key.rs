//! The forms of the keys that are shown to the gateway.
//!
//! `sk-tg-<id>-<secret><check>` for a client, `sk-tga-…` for an administrator: an id of 12 letters `[a-z0-9]` to look
//! the key up by, a secret of 32 letters (190 bits), and 4 letters that depend on all before them, so that a mistyped
//! or invented key is turned away before anything is looked up.

use crate::VaultError;
use crate::chance::{self, BASE62, LOWER};
use crate::secret::Secret;

/// Which door a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Calls of a tenant's programs.
    Gateway,
    /// The admin API and the UI.
    Admin,
}

/// A key as somebody presents it; nothing but its form has been checked.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    pub kind: KeyKind,
    pub id: &'a str,
    pub secret: &'a str,
}

/// A key that has just been made.
pub struct NewKey {
    pub id: String,
    /// The whole key, to be shown once.
    pub text: Secret,
    /// The part that is digested.
    pub secret: Secret,
}

const ID_LEN: usize = 12;
const SECRET_LEN: usize = 32;
const CHECK_LEN: usize = 4;

impl KeyKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Gateway => "sk-tg-",
            Self::Admin => "sk-tga-",
        }
    }
}

/// Reads a key; `None` when it has not the form, or its check letters are wrong. Any text may be given.
pub fn parse(text: &str) -> Option<Presented<'_>> {
    let kinds = [KeyKind::Gateway, KeyKind::Admin];
    let (kind, rest) = kinds
        .into_iter()
        .find_map(|kind| text.strip_prefix(kind.prefix()).map(|rest| (kind, rest)))?;
    let (id, rest) = rest.split_at_checked(ID_LEN)?;
    let (secret, check_letters) = rest.strip_prefix('-')?.split_at_checked(SECRET_LEN)?;
    // The letters of `LOWER` and of `BASE62`.
    let is_id = id
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !is_id || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let checked = text.strip_suffix(check_letters)?;
    (check_letters == check(checked)).then_some(Presented { kind, id, secret })
}

/// Makes a key with a new id.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn generate(kind: KeyKind) -> Result<NewKey, VaultError> {
    let id = chance::letters(LOWER, ID_LEN)?;
    with_new_secret(kind, &id)
}

/// Makes a new secret for the key with this id.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn with_new_secret(kind: KeyKind, id: &str) -> Result<NewKey, VaultError> {
    let secret = chance::letters(BASE62, SECRET_LEN)?;
    let text = assemble(kind, id, &secret);
    Ok(NewKey {
        id: id.to_owned(),
        text: Secret::new(text),
        secret: Secret::new(secret.as_str().to_owned()),
    })
}

fn assemble(kind: KeyKind, id: &str, secret: &str) -> String {
    let mut text = format!("{}{id}-{secret}", kind.prefix());
    let check = check(&text);
    text.push_str(&check);
    text
}

/// An id for a row: the prefix, a dash, and 12 letters `[a-z0-9]`.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn random_id(prefix: &str) -> Result<String, VaultError> {
    Ok(format!("{prefix}-{}", chance::letters(LOWER, ID_LEN)?.as_str()))
}

/// CRC-32 of the text as letters, the lowest place first. It finds typing errors; it is no protection.
fn check(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes()) as usize;
    let mut letters = String::with_capacity(CHECK_LEN);
    for _ in 0..CHECK_LEN {
        letters.extend(BASE62.get(rest % BASE62.len()).map(|letter| char::from(*letter)));
        rest /= BASE62.len();
    }
    letters
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_key_is_read_back() {
        for kind in [KeyKind::Gateway, KeyKind::Admin] {
            let key = generate(kind).unwrap();
            let read = parse(key.text.expose()).unwrap();
            assert_eq!(
                (read.kind, read.id, read.secret),
                (kind, key.id.as_str(), key.secret.expose())
            );
            let renewed = with_new_secret(kind, &key.id).unwrap();
            assert_eq!(parse(renewed.text.expose()).unwrap().id, key.id);
            assert!(!renewed.secret.matches(&key.secret));
        }
    }

    #[test]
    fn any_one_changed_letter_is_noticed() {
        // A fixed key: of the changes to a random one, once in a long while one would keep its check letters.
        let text = assemble(
            KeyKind::Gateway,
            "k3y1d0123456",
            "S3cr3tS3cr3tS3cr3tS3cr3tS3cr3t01",
        );
        assert!(parse(&text).is_some());
        for at in 0..text.len() {
            for letter in *b"aZ0-_" {
                let mut changed = text.as_bytes().to_vec();
                changed[at] = letter;
                let changed = String::from_utf8(changed).unwrap();
                assert!(changed == text || parse(&changed).is_none(), "letter {at}");
            }
        }
    }

    #[test]
    fn half_a_key_and_more_than_one_are_none() {
        let key = generate(KeyKind::Gateway).unwrap();
        let text = key.text.expose();
        for end in 0..text.len() {
            assert!(parse(&text[..end]).is_none(), "cut at {end}");
        }
        assert!(parse(&format!("{text}0")).is_none());
        assert!(parse(&format!(" {text}")).is_none());
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(sk-tga?-)?\\PC{0,60}") {
            prop_assert!(parse(&text).is_none());
        }
    }
}
