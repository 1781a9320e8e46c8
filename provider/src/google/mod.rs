//! Signing in with Google, for the gemini CLI: where the browser is sent, what the code that it brings back is exchanged
//! for, and how the tokens are renewed. The client is the operator's own; what belongs to the CLI's own client is renewed
//! by the CLI.
//!
//! The protocol is the crate `oauth2`'s; what it sends goes by [`Courier`], so: no redirect is followed.

mod client;
mod token_file;

pub use client::{Authorization, OAuthClient, OAuthFault, OAuthSettings, OAuthSetupError};
pub use token_file::{TokenFile, TokenFileError, TokenKind};
