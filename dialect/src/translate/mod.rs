//! A call that crosses from its client's dialect to its provider's, and the answer that comes back.
//!
//! A [`Crossing`] is made of a request and knows what the answer has to be put through; it translates a whole answer, an
//! error, or, as a [`Translation`], a stream. It has no clock and no chance: ids and times come in.

mod count;
mod embed;
mod found;
mod gather;
mod named;
mod refused;
mod stream;
mod strict;
mod user;

pub use gather::SoFar;
#[cfg(test)]
pub(crate) use named::in_words_of;
pub use stream::Translation;

use crate::codec::InPath;
use crate::count::Counter;
use crate::neutral::{
    BadAnswer, Fault, FaultKind, Losses, OwnedHeading, Profile, Reply, Target, Texts, Undo, collect, discreet,
};
use crate::refusal::Refusal;
use crate::{Dialect, Envelope, Usage, openai_chat, sse, weigh};
use embed::Vectors;

/// The two dialects of a call, and what its answer needs.
#[derive(Clone)]
pub struct Crossing {
    client: Dialect,
    provider: Dialect,
    profile: Profile,
    undo: Undo,
    heading: OwnedHeading,
    lossy: Option<String>,
    /// Whether the client knows of `function_call` alone.
    has_functions: bool,
    /// Whether a stream was asked for though the client wants none.
    gathers: bool,
    /// About what the input is, for a client whose dialect always tells usage.
    input_tokens: Option<u64>,
    purpose: Purpose,
}

/// What is asked for.
#[derive(Clone)]
enum Purpose {
    Generate,
    Count(Counter, Counter),
    Embed(Box<Vectors>),
}

/// A request as its client sent it.
#[derive(Clone, Copy)]
pub struct Sent<'a> {
    /// Whose request it is, which goes into the names that stand for the tenant's users.
    pub tenant: &'a str,
    pub dialect: Dialect,
    pub body: &'a [u8],
    pub in_path: InPath<'a>,
}

/// A whole answer as its client gets it.
pub struct Answered {
    pub body: Vec<u8>,
    /// `None` where the provider tells none.
    pub usage: Option<Usage>,
    /// How much the model says in it, in bytes of text.
    pub said_bytes: u64,
}

impl Crossing {
    /// Translates a request into the provider's dialect. With `strict` nothing may be lost.
    ///
    /// # Errors
    /// When the request is none of its dialect, or holds what cannot be said in the provider's.
    pub fn of(
        sent: Sent<'_>,
        provider: Dialect,
        target: &Target<'_>,
        heading: OwnedHeading,
        strict: bool,
    ) -> Result<(Self, Vec<u8>), Refusal> {
        Self::capped(sent, provider, target, heading, strict, None)
    }

    /// The same, with a cap of so many tokens for the answer where the client set none.
    ///
    /// # Errors
    /// As [`Crossing::of`].
    pub fn capped(
        sent: Sent<'_>,
        provider: Dialect,
        target: &Target<'_>,
        heading: OwnedHeading,
        strict: bool,
        cap: Option<u64>,
    ) -> Result<(Self, Vec<u8>), Refusal> {
        let mut request = sent.dialect.read_request(sent.body, sent.in_path)?;
        let gathers = !request.stream && gather::is_worth_it(&request, provider, target.profile);
        request.stream |= gathers;
        let cap = cap.map(|cap| cap.min(target.profile.cap_for(&request)));
        request.max_tokens = request.max_tokens.or(cap);
        if provider != Dialect::AnthropicMessages {
            found::name_found_tools(&mut request);
        }
        if request.has_functions {
            // One call is all that the answer can tell of.
            request.parallel_tools = Some(false);
        }
        request.user = request.user.map(|user| user::opaque(sent.tenant, &user));
        let mut losses = Losses::new(strict);
        let is_openais = matches!(provider, Dialect::OpenaiChat | Dialect::OpenaiResponses);
        if sent.dialect == Dialect::AnthropicMessages && is_openais {
            strict::relax(&mut request, &mut losses)?;
        }
        let written = provider.write_request(&request, target, &mut losses);
        let written = written.map_err(|refusal| named::in_words_of(sent.dialect, refusal))?;
        let input_tokens = Self::input_tokens(sent, &written.undo);
        let crossing = Self {
            client: sent.dialect,
            provider,
            profile: target.profile.clone(),
            undo: written.undo,
            heading,
            lossy: losses.header(),
            has_functions: request.has_functions,
            gathers,
            input_tokens,
            purpose: Purpose::Generate,
        };
        Ok((crossing, written.body))
    }

    /// Gemini's clients are told usage with the end, which does not come where the gateway itself ends the text.
    fn input_tokens(sent: Sent<'_>, undo: &Undo) -> Option<u64> {
        let needs_it = match sent.dialect {
            Dialect::AnthropicMessages | Dialect::OpenaiResponses => true,
            Dialect::GeminiGenerate => !undo.stop.is_empty(),
            Dialect::OpenaiChat => false,
        };
        needs_it.then(|| weigh(sent.dialect, sent.body).tokens_about())?
    }

    /// What was lost on the way to the provider, as `x-tollgate-lossy` tells it.
    pub fn lossy(&self) -> Option<&str> {
        self.lossy.as_deref()
    }

    /// Whether the provider was asked for a stream, of which the client gets a whole answer: a long one would have to come
    /// over a connection on which nothing moves until it is there, and such are cut on the way.
    pub fn gathers(&self) -> bool {
        self.gathers
    }

    /// Translates a whole answer, also one that came as a stream.
    ///
    /// # Errors
    /// When it is none.
    pub fn reply(&self, body: &[u8]) -> Result<Answered, BadAnswer> {
        match &self.purpose {
            Purpose::Generate => {}
            Purpose::Count(client, provider) => return count::reply(*client, *provider, body),
            Purpose::Embed(vectors) => return vectors.reply(body),
        }
        let mut reply = self.read(body)?;
        let (usage, said_bytes) = (reply.usage, Texts::of_reply(&reply).bytes());
        self.undo.reply(&mut reply);
        reply.usage = usage.or_else(|| Some(Usage::guess(self.input_tokens?, said_bytes)));
        let mut body = self.client.write_reply(&reply, &self.heading.as_heading());
        if self.has_functions {
            body = openai_chat::functions::turn_back(&body);
        }
        Ok(Answered {
            body,
            usage,
            said_bytes,
        })
    }

    /// Writes a provider's error: the status and the body that the client gets.
    pub fn fault(&self, fault: Fault) -> (u16, Vec<u8>) {
        self.client.write_fault(&told(fault))
    }

    /// Reads a whole answer, of which one that ends in no sense is none.
    fn read(&self, body: &[u8]) -> Result<Reply, BadAnswer> {
        let reply = if sse::is_stream(body) == Some(true) {
            gather::read(self.provider, &self.profile, body)?
        } else {
            self.provider.read_reply(body, &self.profile)?
        };
        let fault = reply.choices().find_map(|choice| choice.finish.fault());
        match fault {
            Some(fault) => Err(BadAnswer::Fault(fault)),
            None => Ok(reply),
        }
    }

    /// What an answer that breaks off here has told: something only where it came as a stream.
    pub fn so_far(&self, body: &[u8]) -> SoFar {
        match sse::is_stream(body) {
            Some(true) => gather::so_far(self.provider, &self.profile, body),
            _ => SoFar::default(),
        }
    }

    /// Begins to translate a stream.
    pub fn stream(self, envelope: &Envelope, in_path: InPath<'_>) -> Translation {
        Translation::new(self, envelope, in_path)
    }

    /// Makes a stream of a whole answer, for a client that asked for one of a provider that made none.
    ///
    /// # Errors
    /// When it is no answer.
    pub fn streamed(
        &self,
        body: &[u8],
        envelope: &Envelope,
        in_path: InPath<'_>,
    ) -> Result<Answered, BadAnswer> {
        let reply = self.read(body)?;
        let (usage, said_bytes) = (reply.usage, Texts::of_reply(&reply).bytes());
        let mut events = Vec::new();
        collect::events(reply, &mut events);
        let mut translation = Translation::new(self.clone(), envelope, in_path);
        let mut body = Vec::new();
        events
            .into_iter()
            .for_each(|event| translation.event(event, &mut body));
        Ok(Answered {
            body,
            usage,
            said_bytes,
        })
    }
}

/// What clients are told of a provider's fault: nothing that tells of our account there, and of our credential, nothing but
/// that it was refused. That is not the caller's to mend, who would look for the mistake in a key of its own.
fn told(fault: Fault) -> Fault {
    match fault.kind {
        FaultKind::Auth | FaultKind::Permission => Fault {
            kind: FaultKind::Credential,
            message: "the provider refused the gateway's credential".to_owned(),
            param: None,
            code: Some("provider_credential_refused".to_owned()),
            retry_after_ms: None,
        },
        _ => Fault {
            message: discreet(&fault.message).into_owned(),
            ..fault
        },
    }
}
