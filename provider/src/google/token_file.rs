//! The tokens of a login as they are kept: in the spelling of the gemini CLI's `oauth_creds.json`, so that such a file is
//! taken as it is, and one can be written for it.

use serde::{Deserialize, Serialize};
use vault::Secret;

/// A login's tokens.
///
/// Has no `Debug`, like the tokens in it.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenFile {
    /// Absent in the CLI's own file.
    #[serde(default)]
    pub kind: TokenKind,
    pub access_token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Milliseconds since the Unix epoch.
    #[serde(default)]
    pub expiry_date: i64,
    /// When the access token came, in the same; none where nobody has seen it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(default = "bearer")]
    pub token_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// For which client the tokens are, where that is not the CLI's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
}

/// Whose client the tokens are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// The operator's own.
    OwnClient,
    /// The gemini CLI's.
    #[default]
    CliLogin,
}

/// A text that is no such file. Holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFileError {
    #[error(
        "this is no oauth_creds.json: it is a JSON object with access_token, refresh_token and expiry_date"
    )]
    Malformed,
    #[error("it has no refresh_token: such a login would end within the hour")]
    NoRefreshToken,
}

/// No token comes near this.
const TOKEN_BYTES_MAX: usize = 16 << 10;
/// So much of its life may be left of a token that lives too short to be renewed long ahead: the fourth part.
const PART_LEFT: i64 = 4;
/// A token that lives shorter is not renewed sooner than this after it came.
const SHORTEST_MS: i64 = 10 * 1_000;

impl TokenFile {
    /// Reads a file that somebody brings, or one of ours.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(text: &Secret) -> Result<Self, TokenFileError> {
        let file: Self = serde_json::from_str(text.expose()).map_err(|_| TokenFileError::Malformed)?;
        let tokens = [
            Some(&file.access_token),
            file.refresh_token.as_ref(),
            file.id_token.as_ref(),
        ];
        let is_token = |token: &String| {
            (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !tokens.into_iter().flatten().all(is_token) {
            return Err(TokenFileError::Malformed);
        }
        Ok(file)
    }

    /// The same for a login that is to last.
    ///
    /// # Errors
    /// Also when there is no token by which it can be renewed.
    pub fn read_lasting(text: &Secret) -> Result<Self, TokenFileError> {
        let mut file = Self::read(text)?;
        // That is for whoever has seen it come to say.
        file.issued_at = None;
        if file.refresh_token.is_none() {
            return Err(TokenFileError::NoRefreshToken);
        }
        Ok(file)
    }

    /// Whether it is time for another access token than this one, which ends at an instant: so long ahead of that, or, of
    /// one that does not live much longer itself, when a part of its life is left. So a token is not renewed with every
    /// call, however short it lives.
    pub fn is_due(&self, ends_at_ms: i64, ahead_ms: i64, now_ms: i64) -> bool {
        let Some(issued_at) = self.issued_at else {
            return ends_at_ms.saturating_sub(now_ms) <= ahead_ms;
        };
        let life_ms = self.expiry_date.saturating_sub(issued_at).max(0);
        let has_just_come = now_ms.saturating_sub(issued_at) < SHORTEST_MS;
        if life_ms < SHORTEST_MS && has_just_come {
            return false;
        }
        ends_at_ms.saturating_sub(now_ms) <= ahead_ms.min(life_ms / PART_LEFT)
    }

    /// The file as a text to be sealed.
    pub fn write(&self) -> Secret {
        // A struct of texts and numbers can always be written.
        Secret::new(serde_json::to_string(self).unwrap_or_default())
    }

    /// What must not be told to anybody.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        let others = [self.refresh_token.as_deref(), self.id_token.as_deref()];
        std::iter::once(self.access_token.as_str()).chain(others.into_iter().flatten())
    }
}

fn bearer() -> String {
    "Bearer".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TokenFile, TokenFileError> {
        TokenFile::read(&Secret::new(text.to_owned()))
    }

    #[test]
    fn the_clis_own_file_is_taken_and_written_again() {
        let text = r#"{"access_token":"ya29.a","refresh_token":"1//r","scope":"s","token_type":"Bearer","id_token":"i","expiry_date":7}"#;
        let file = read(text).ok().unwrap();
        assert_eq!((file.kind, file.expiry_date), (TokenKind::CliLogin, 7));
        let written = file.write();
        assert!(
            written
                .expose()
                .starts_with(r#"{"kind":"cli_login","access_token":"ya29.a""#)
        );
        assert!(read(written.expose()).ok().unwrap().write().matches(&written));
    }

    #[test]
    fn a_token_is_renewed_ahead_of_its_end_but_not_all_of_the_time() {
        let ahead_ms = 300_000;
        let due = |life_ms: i64, age_ms: i64| {
            let mut file = read(r#"{"access_token":"a"}"#).ok().unwrap();
            (file.issued_at, file.expiry_date) = (Some(1_000_000), 1_000_000 + life_ms);
            file.is_due(file.expiry_date, ahead_ms, 1_000_000 + age_ms)
        };
        let table = [
            (3_600_000, 3_299_999, false),
            (3_600_000, 3_300_000, true),
            // Shorter than what it would be renewed ahead.
            (120_000, 0, false),
            (120_000, 89_999, false),
            (120_000, 90_000, true),
            // Of no use at all.
            (0, 0, false),
            (0, 9_999, false),
            (0, 10_000, true),
            (-5, 9_999, false),
        ];
        for (life_ms, age_ms, expected) in table {
            assert_eq!(due(life_ms, age_ms), expected, "{life_ms} after {age_ms}");
        }
        // Of one that somebody has brought, nobody knows.
        let brought = r#"{"access_token":"a","refresh_token":"r","expiry_date":600000,"issued_at":599999}"#;
        let brought = TokenFile::read_lasting(&Secret::new(brought.to_owned()))
            .ok()
            .unwrap();
        assert!(brought.is_due(brought.expiry_date, ahead_ms, 300_000));
        assert!(!brought.is_due(brought.expiry_date, ahead_ms, 299_999));
    }

    #[test]
    fn what_is_no_login_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b","refresh_token":"r"}"#,
            "sk-1",
        ] {
            assert_eq!(read(text).err(), Some(TokenFileError::Malformed), "{text}");
        }
        let short = Secret::new(r#"{"access_token":"a"}"#.to_owned());
        assert_eq!(
            TokenFile::read_lasting(&short).err(),
            Some(TokenFileError::NoRefreshToken)
        );
    }
}
