//! A request for embeddings that crosses.

use super::{Answered, Crossing, Purpose, Sent, user};
use crate::embeddings::{EmbeddingRequest, Form, Manner};
use crate::neutral::{BadAnswer, Losses, OwnedHeading, Target, Undo};
use crate::refusal::Refusal;
use crate::{Dialect, Usage};

/// What the vectors that come back are held against.
#[derive(Clone)]
pub(super) struct Vectors {
    client: Form,
    provider: Form,
    request: EmbeddingRequest,
}

impl Crossing {
    /// Translates a request for embeddings. With `strict` nothing may be lost.
    ///
    /// # Errors
    /// When the request is none of its form, or holds what cannot be said in the provider's.
    pub fn of_embeddings(
        sent: Sent<'_>,
        (client, manner): (Form, Manner),
        provider_dialect: Dialect,
        target: &Target<'_>,
        heading: OwnedHeading,
        strict: bool,
    ) -> Result<(Self, Vec<u8>), Refusal> {
        let mut losses = Losses::new(strict);
        let mut request = client.read_request(sent.body, sent.in_path, &mut losses)?;
        request.user = request.user.map(|user| user::opaque(sent.tenant, &user));
        let provider = manner.form(target.model, &request);
        let body = provider.write_request(&request, target.model, &mut losses)?;
        let crossing = Self {
            client: sent.dialect,
            provider: provider_dialect,
            profile: target.profile.clone(),
            undo: Undo::default(),
            heading,
            lossy: losses.header(),
            has_functions: false,
            gathers: false,
            input_tokens: None,
            purpose: Purpose::Embed(Box::new(Vectors {
                client,
                provider,
                request,
            })),
        };
        Ok((crossing, body))
    }
}

impl Crossing {
    /// How the provider is asked for embeddings, where it is.
    pub fn embeds_as(&self) -> Option<Form> {
        match &self.purpose {
            Purpose::Embed(vectors) => Some(vectors.provider),
            Purpose::Generate | Purpose::Count(..) => None,
        }
    }
}

impl Vectors {
    /// Translates the answer. A vector too few or too many would give every text after it another's.
    pub(super) fn reply(&self, body: &[u8]) -> Result<Answered, BadAnswer> {
        let mut reply = self.provider.read_reply(body)?;
        if reply.vectors.len() != self.request.inputs.len() {
            return Err(BadAnswer::Malformed(
                "there are not as many vectors as texts".to_owned(),
            ));
        }
        if self.request.dimensions.is_some() {
            reply.normalize();
        }
        let usage = reply.input_tokens.map(|input_tokens| Usage {
            input_tokens,
            ..Usage::default()
        });
        Ok(Answered {
            body: self.client.write_reply(&reply, &self.request),
            usage,
            said_bytes: 0,
        })
    }
}
