//! What a provider says of an error, without what it says of our account.
//!
//! Providers quote keys (`sk-abc***`), organisations and projects in their messages. The rest of a message is what a
//! caller needs, so only such words are hidden.

use std::borrow::Cow;

const HIDDEN: &str = "[hidden]";
/// How keys, tokens and names of accounts begin at the vendors of the catalogue.
const BEGINNINGS: [&str; 16] = [
    "sk-",
    "sk_",
    "pk-",
    "rk-",
    "AIza",
    "AQ.",
    "ya29.",
    "xai-",
    "gsk_",
    "nvapi-",
    "hf_",
    "org-",
    "proj_",
    "acct_",
    "project_number:",
    "projects/",
];
/// Shorter words are not worth hiding, and may be anything.
const WORD_BYTES_MIN: usize = 8;

/// The message with what looks like a secret, or names an account, hidden.
pub fn discreet(message: &str) -> Cow<'_, str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_.*:/".contains(letter);
    let tells = |word: &str| {
        let begins = BEGINNINGS.iter().any(|beginning| word.starts_with(beginning));
        begins && word.trim_end_matches(['.', ':', '/']).len() >= WORD_BYTES_MIN
    };
    let bare = |piece: &str| piece.trim_end_matches(|letter| !is_part(letter)).len();
    if !message.split(|letter| !is_part(letter)).any(tells) {
        return Cow::Borrowed(message);
    }
    let mut shown = String::with_capacity(message.len());
    for piece in message.split_inclusive(|letter| !is_part(letter)) {
        let (word, after) = piece.split_at(bare(piece));
        if tells(word) {
            let end = word.trim_end_matches(['.', ':', '/']).len();
            shown.push_str(HIDDEN);
            shown.push_str(word.get(end..).unwrap_or_default());
        } else {
            shown.push_str(word);
        }
        shown.push_str(after);
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::discreet;

    #[test]
    fn keys_and_accounts_are_hidden_and_nothing_else_is() {
        let table = [
            (
                "Incorrect API key provided: sk-abc***def. Look it up.",
                "Incorrect API key provided: [hidden]. Look it up.",
            ),
            (
                "Rate limit for gpt-4o in organization org-Abc123XyZ on tokens",
                "Rate limit for gpt-4o in organization [hidden] on tokens",
            ),
            (
                "consumer 'project_number:1234567' is over",
                "consumer '[hidden]' is over",
            ),
            (
                "`claude-3-5-sonnet-20241022` needs max_tokens",
                "`claude-3-5-sonnet-20241022` needs max_tokens",
            ),
            (
                "sk- is how a key begins; é stays",
                "sk- is how a key begins; é stays",
            ),
            ("", ""),
        ];
        for (message, expected) in table {
            assert_eq!(discreet(message), expected);
        }
    }
}
