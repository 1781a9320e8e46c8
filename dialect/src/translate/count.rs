//! A request to count tokens that crosses.

use super::{Crossing, Purpose, Sent};
use crate::count::Counter;
use crate::neutral::{BadAnswer, Losses, OwnedHeading, Target};
use crate::refusal::Refusal;
use crate::translate::Answered;

impl Crossing {
    /// Translates a request to count from one dialect that can be asked for that to the other. With `strict` nothing may
    /// be lost.
    ///
    /// # Errors
    /// When the request is none of its dialect, or holds what cannot be said in the provider's.
    pub fn of_count(
        sent: Sent<'_>,
        (client, provider): (Counter, Counter),
        target: &Target<'_>,
        heading: OwnedHeading,
        strict: bool,
    ) -> Result<(Self, Vec<u8>), Refusal> {
        let mut request = client.read_request(sent.body, sent.in_path)?;
        // Who asks makes no difference to a count.
        request.user = None;
        let mut losses = Losses::new(strict);
        let written = provider.write_request(&request, target, &mut losses)?;
        let crossing = Self {
            client: sent.dialect,
            provider: provider.dialect(),
            profile: target.profile.clone(),
            undo: written.undo,
            heading,
            lossy: losses.header(),
            has_functions: false,
            gathers: false,
            input_tokens: None,
            purpose: Purpose::Count(client, provider),
        };
        Ok((crossing, written.body))
    }
}

/// Counts are free: there is no usage in them.
pub(super) fn reply(client: Counter, provider: Counter, body: &[u8]) -> Result<Answered, BadAnswer> {
    let tokens = provider.read(body)?;
    Ok(Answered {
        body: client.write(tokens),
        usage: None,
        said_bytes: 0,
    })
}
