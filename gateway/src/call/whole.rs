//! A whole answer: collected, looked at, and translated where client and provider speak differently.
//!
//! It is held to its end before anything of it goes on, so that one that breaks off is never called a success.

use std::time::{Duration, Instant};

use bytes::Bytes;
use dialect::neutral::{BadAnswer, Fault, FaultKind};
use dialect::translate::Crossing;
use dialect::{Dialect, Envelope, Usage};
use http::StatusCode;
use provider::AnswerBody;

use super::again::{self, Again};
use super::fault::{self, Failed};
use crate::worker::{Asked, Operation};

/// What the client gets.
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) usage: Option<Usage>,
    /// Whether the body is a stream after all, made of a whole answer for a client that wants one.
    pub(super) is_stream: bool,
    /// Where it is an error: whether another attempt may do better.
    pub(super) again: Again,
}

/// From whom and for whom an answer is.
pub(super) struct Between<'a> {
    pub(super) provider: &'a str,
    pub(super) provider_dialect: Dialect,
    pub(super) asked: Asked<'a>,
    pub(super) envelope: &'a Envelope,
}

/// The largest answer that is not a stream.
const WHOLE_BYTES_MAX: usize = 32 << 20;
/// The largest answer that is vectors: as many as may be asked for at once, of thousands of numbers each.
const VECTORS_BYTES_MAX: usize = 96 << 20;
/// The largest that comes as a stream, in which each piece has its event around it: as for other streams.
const GATHERED_BYTES_MAX: usize = 64 << 20;

/// Takes an answer with this status to its end; and when that came.
pub(super) async fn take(
    body: AnswerBody,
    status: StatusCode,
    crossing: Option<Box<Crossing>>,
    between: Between<'_>,
) -> Result<(Whole, Instant), Failed> {
    let bytes_max = match between.asked.operation {
        _ if crossing.as_ref().is_some_and(|crossing| crossing.gathers()) => GATHERED_BYTES_MAX,
        Operation::Embed(_) => VECTORS_BYTES_MAX,
        Operation::Generate | Operation::CountTokens(_) => WHOLE_BYTES_MAX,
    };
    let body = collect(body, between.provider, bytes_max).await?;
    let came = Instant::now();
    let whole = if status.is_success() {
        good(body, status, crossing, &between)
    } else {
        bad(body, status, crossing.as_deref(), &between)
    };
    whole.map(|whole| (whole, came))
}

fn good(
    body: Bytes,
    status: StatusCode,
    crossing: Option<Box<Crossing>>,
    between: &Between<'_>,
) -> Result<Whole, Failed> {
    let Some(crossing) = crossing else {
        let usage = between.provider_dialect.usage_of(&body);
        let usage = usage.map_err(|_| fault::not_json(between.provider, status))?;
        let is_free = matches!(between.asked.operation, Operation::CountTokens(_));
        return Ok(Whole {
            status,
            body,
            usage: usage.filter(|_| !is_free),
            is_stream: false,
            again: Again::Never,
        });
    };
    let is_stream = between.envelope.stream;
    let answered = if is_stream {
        crossing.streamed(&body, between.envelope, between.asked.in_path)
    } else {
        crossing.reply(&body)
    };
    match answered {
        Ok(answered) => Ok(Whole {
            status,
            body: Bytes::from(answered.body),
            usage: answered.usage,
            is_stream,
            again: Again::Never,
        }),
        Err(BadAnswer::Fault(fault)) => faulty(fault, &crossing, between.provider),
        Err(BadAnswer::Cut) => Err(fault::unfinished(between.provider)),
        Err(error) => Err(fault::no_reply(between.provider, &error)),
    }
}

/// An answer that tells of an error. One that is about our credential says so by its status or, where Google answers 400
/// to a wrong key, by what stands in it.
fn bad(
    body: Bytes,
    status: StatusCode,
    crossing: Option<&Crossing>,
    between: &Between<'_>,
) -> Result<Whole, Failed> {
    let told = between.provider_dialect.read_fault(status.as_u16(), &body);
    match crossing {
        Some(crossing) => faulty(told, crossing, between.provider),
        None if told.kind == FaultKind::Auth => Err(fault::credential_refused(between.provider)),
        None if between.provider_dialect.usage_of(&body).is_err() => {
            Err(fault::not_json(between.provider, status))
        }
        None => Ok(Whole {
            status,
            body,
            usage: None,
            is_stream: false,
            again: after(&told),
        }),
    }
}

/// A provider's error, for a client of another dialect.
fn faulty(fault: Fault, crossing: &Crossing, provider: &str) -> Result<Whole, Failed> {
    if fault.kind == FaultKind::Auth {
        return Err(fault::credential_refused(provider));
    }
    let again = after(&fault);
    let (status, body) = crossing.fault(fault);
    Ok(Whole {
        status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
        body: Bytes::from(body),
        usage: None,
        is_stream: false,
        again,
    })
}

fn after(fault: &Fault) -> Again {
    let told = fault.retry_after_ms.map(Duration::from_millis);
    again::after_fault(fault.kind).told(told)
}

async fn collect(mut body: AnswerBody, provider: &str, bytes_max: usize) -> Result<Bytes, Failed> {
    let mut first = Bytes::new();
    let mut rest = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|fault| fault::broken(provider, fault))?;
        // Blank lines say nothing, as comments do in a stream.
        body.judged(!piece.iter().all(u8::is_ascii_whitespace))
            .map_err(|fault| fault::broken(provider, fault))?;
        if first.len().saturating_add(rest.len()).saturating_add(piece.len()) > bytes_max {
            return Err(fault::too_large(provider));
        }
        // Most answers come in one piece, which then is not copied.
        if first.is_empty() && rest.is_empty() {
            first = piece;
        } else {
            append(&mut rest, &std::mem::take(&mut first), bytes_max);
            append(&mut rest, &piece, bytes_max);
        }
    }
    Ok(if rest.is_empty() { first } else { Bytes::from(rest) })
}

/// Appends a piece. The room is doubled when there is too little, but never beyond what may be needed.
fn append(body: &mut Vec<u8>, piece: &[u8], bytes_max: usize) {
    let needed = body.len().saturating_add(piece.len());
    if needed > body.capacity() {
        let room = body.capacity().saturating_mul(2).min(bytes_max).max(needed);
        body.reserve_exact(room.saturating_sub(body.len()));
    }
    body.extend_from_slice(piece);
}
