//! What a candidate is sent: the client's own bytes where it speaks the client's dialect, else a translation.

use bytes::Bytes;
use dialect::neutral::{OwnedHeading, Target};
use dialect::refusal::Refusal;
use dialect::translate::{Crossing, Sent};
use dialect::{Dialect, Envelope, splice};
use provider::StreamUsage;

use super::attempt::Candidate;
use crate::clock::now_ms;
use crate::worker::Request;

/// A body to send, where to, and what its answer has to be put through.
pub(super) struct Prepared {
    pub(super) pieces: Vec<Bytes>,
    /// What follows the base URL.
    pub(super) path: String,
    /// None between equals.
    pub(super) crossing: Option<Box<Crossing>>,
}

/// Prepares the request for this candidate.
///
/// # Errors
/// When it cannot be said in the dialect of its provider, or, for a `strict` tenant, not all of it can.
pub(super) fn prepare(
    candidate: &Candidate<'_>,
    request: &Request<'_>,
    envelope: &Envelope,
    body: &Bytes,
    strict: bool,
) -> Result<Prepared, Refusal> {
    let (client, provider) = (request.asked.dialect, candidate.provider.dialect);
    let model = &candidate.target.model;
    let is_array = client == provider && request.asked.in_path.is_array;
    let path = path(provider, model, envelope.stream, is_array);
    if client == provider {
        let ask_usage = candidate.provider.stream_usage == StreamUsage::Ask && client == Dialect::OpenaiChat;
        return Ok(Prepared {
            pieces: splice(body, envelope, model, ask_usage),
            path,
            crossing: None,
        });
    }
    let sent = Sent {
        dialect: client,
        body,
        in_path: request.asked.in_path,
    };
    let target = Target {
        model,
        profile: candidate.provider.profile(model),
    };
    let heading = OwnedHeading {
        id: format!("{}{}", client.id_prefix(), request.call_id),
        created_s: now_ms().unsigned_abs() / 1_000,
        model: envelope.model.clone(),
    };
    let (crossing, body) = Crossing::of(sent, provider, &target, heading, strict)?;
    Ok(Prepared {
        pieces: vec![Bytes::from(body)],
        path,
        crossing: Some(Box::new(crossing)),
    })
}

/// Where a provider of this dialect takes requests.
fn path(dialect: Dialect, model: &str, stream: bool, is_array: bool) -> String {
    match dialect {
        Dialect::OpenaiChat => "/chat/completions".to_owned(),
        Dialect::OpenaiResponses => "/responses".to_owned(),
        Dialect::AnthropicMessages => "/messages".to_owned(),
        Dialect::GeminiGenerate => match (stream, is_array) {
            (false, _) => format!("/models/{model}:generateContent"),
            (true, false) => format!("/models/{model}:streamGenerateContent?alt=sse"),
            (true, true) => format!("/models/{model}:streamGenerateContent"),
        },
    }
}
