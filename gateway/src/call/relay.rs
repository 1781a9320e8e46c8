//! From a provider's answer to the client's: passed on as it came, and metered on the way.

use std::time::{Duration, Instant};

use bytes::Bytes;
use dialect::openai_chat::{self, Envelope};
use dialect::refusal::Refusal;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use policy::Target;
use provider::AnswerBody;

use super::attempt::Answer;
use super::fault::{self, Failed};
use super::stream::StreamBody;
use crate::ledger::Outcome;

/// An answer on its way to the client.
pub struct Reply {
    pub head: ReplyHead,
    pub body: ReplyBody,
}

/// What the client is told before the body.
pub struct ReplyHead {
    pub status: StatusCode,
    /// The provider's headers that a client can use.
    pub headers: HeaderMap,
    /// Which target answered.
    pub target: Target,
    /// The name of the credential; none for the built-in echo.
    pub credential_name: Option<String>,
    pub attempts: u32,
    /// What the gateway itself took, in microseconds: neither the client sending nor the provider answering.
    pub overhead_us: u64,
}

/// The body that the client gets.
pub enum ReplyBody {
    Whole(Bytes),
    Stream(Box<StreamBody>),
}

/// The largest answer that is not a stream. It is held whole, so that one that breaks off is never called a success.
const WHOLE_BYTES_MAX: usize = 32 << 20;

/// Passes the answer on. `started` is when the whole request was there.
///
/// # Errors
/// When the answer breaks off before anything of it could be passed on, or is none. The call is settled then.
pub(super) async fn relay(answer: Answer, envelope: &Envelope, started: Instant) -> Result<Reply, Refusal> {
    let Answer {
        upstream,
        mut settlement,
        target,
        credential_name,
        attempts,
        sent,
    } = answer;
    let provider::Answer {
        status,
        headers,
        body,
    } = upstream;
    let streamed = envelope.stream && status.is_success() && is_event_stream(&headers);
    let provider = target.provider.clone();
    settlement.answered(status.as_u16());
    let (body, waited) = if streamed {
        let mut stream = Box::new(StreamBody::new(body, settlement, envelope, provider));
        stream.begin().await?;
        (ReplyBody::Stream(stream), sent.elapsed())
    } else {
        settlement.update(|attempt| attempt.first_byte = Some(Instant::now()));
        let collected = collect(body, &provider)
            .await
            .and_then(|body| looked_at(body, status, &provider));
        let waited = sent.elapsed();
        match collected {
            Ok((body, seen)) => {
                let outcome = if status.is_success() {
                    Outcome::Ok
                } else {
                    Outcome::ProviderError
                };
                settlement.close(outcome, seen.usage);
                (ReplyBody::Whole(body), waited)
            }
            Err((refusal, outcome)) => return Err(settlement.refuse(refusal, outcome)),
        }
    };
    let head = ReplyHead {
        status,
        headers,
        target,
        credential_name,
        attempts,
        overhead_us: micros(started.elapsed().saturating_sub(waited)),
    };
    Ok(Reply { head, body })
}

async fn collect(mut body: AnswerBody, provider: &str) -> Result<Bytes, Failed> {
    let mut first = Bytes::new();
    let mut rest = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|fault| fault::broken(provider, fault))?;
        // Blank lines say nothing, as comments do in a stream.
        body.judged(!piece.iter().all(u8::is_ascii_whitespace))
            .map_err(|fault| fault::broken(provider, fault))?;
        if first.len().saturating_add(rest.len()).saturating_add(piece.len()) > WHOLE_BYTES_MAX {
            return Err(fault::too_large(provider));
        }
        // Most answers come in one piece, which then is not copied.
        if first.is_empty() && rest.is_empty() {
            first = piece;
        } else {
            append(&mut rest, &std::mem::take(&mut first));
            append(&mut rest, &piece);
        }
    }
    Ok(if rest.is_empty() { first } else { Bytes::from(rest) })
}

/// Appends a piece. The room is doubled when there is too little, but never beyond what may be needed.
fn append(body: &mut Vec<u8>, piece: &[u8]) {
    let needed = body.len().saturating_add(piece.len());
    if needed > body.capacity() {
        let room = body.capacity().saturating_mul(2).min(WHOLE_BYTES_MAX).max(needed);
        body.reserve_exact(room.saturating_sub(body.len()));
    }
    body.extend_from_slice(piece);
}

/// The body with what was seen in it, if it is a JSON object.
fn looked_at(
    body: Bytes,
    status: StatusCode,
    provider: &str,
) -> Result<(Bytes, openai_chat::Metered), Failed> {
    match openai_chat::Metered::look(&body) {
        Some(seen) => Ok((body, seen)),
        None => Err(fault::not_json(provider, status)),
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .to_ascii_lowercase()
            .starts_with(b"text/event-stream")
    })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
