//! A whole answer: collected, looked at, and translated where client and provider speak differently.
//!
//! It is held to its end before anything of it goes on, so that one that breaks off is never called a success.

use std::time::{Duration, Instant};

use bytes::Bytes;
use dialect::neutral::{BadAnswer, Fault, FaultKind, Profile, Texts};
use dialect::translate::Crossing;
use dialect::{Dialect, Envelope, Usage};
use http::StatusCode;
use provider::AnswerBody;

use super::again::{self, Again};
use super::fault::{self, Failed};
use super::heard::Heard;
use super::settle::Settlement;
use crate::room::BodyRoom;
use crate::worker::{Asked, Operation};

/// What the client gets.
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) heard: Heard,
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
    /// What the client sent.
    pub(super) body: &'a Bytes,
}

/// The largest answer that is not a stream.
const WHOLE_BYTES_MAX: usize = 32 << 20;
/// The largest answer that is vectors: as many as may be asked for at once, of thousands of numbers each.
const VECTORS_BYTES_MAX: usize = 96 << 20;
/// The largest that comes as a stream, in which each piece has its event around it: as for other streams.
const GATHERED_BYTES_MAX: usize = 64 << 20;

/// What every answer may hold without taking room: most are shorter.
const ROOMLESS_BYTES: usize = 16 << 10;

/// Takes an answer with this status to its end, into the room that is left for it; and when that came.
pub(super) async fn take(
    body: AnswerBody,
    status: StatusCode,
    crossing: Option<Box<Crossing>>,
    between: Between<'_>,
    mut room: BodyRoom,
    settlement: &mut Settlement,
) -> Result<(Whole, Instant), Failed> {
    let bytes_max = match between.asked.operation {
        _ if crossing.as_ref().is_some_and(|crossing| crossing.gathers()) => GATHERED_BYTES_MAX,
        Operation::Embed(_) => VECTORS_BYTES_MAX,
        Operation::Generate | Operation::CountTokens(_) => WHOLE_BYTES_MAX,
    };
    let gathering = crossing.as_deref().filter(|_| status.is_success());
    let mut coming = Coming {
        body: Pieces::default(),
        crossing: gathering,
        between: &between,
        room: &mut room,
        settlement,
    };
    coming.collect(body, bytes_max).await?;
    let body = coming.body.take();
    drop(coming);
    let came = Instant::now();
    let whole = if status.is_success() {
        let whole = good(&body, status, crossing.as_deref(), &between);
        let is_answer = whole.as_ref().is_ok_and(|whole| whole.status.is_success());
        if let (false, Some(crossing)) = (is_answer, &crossing) {
            settlement.so_far(between.so_far(crossing, &body));
        }
        whole
    } else {
        bad(body, status, crossing.as_deref(), &between)
    };
    whole.map(|whole| {
        let body = room.house(whole.body);
        (Whole { body, ..whole }, came)
    })
}

fn good(
    body: &Bytes,
    status: StatusCode,
    crossing: Option<&Crossing>,
    between: &Between<'_>,
) -> Result<Whole, Failed> {
    let Some(crossing) = crossing else {
        return Ok(Whole {
            status,
            body: body.clone(),
            heard: between.heard_in(body, status)?,
            is_stream: false,
            again: Again::Never,
        });
    };
    let is_stream = between.envelope.stream;
    let answered = if is_stream {
        crossing.streamed(body, between.envelope, between.asked.in_path)
    } else {
        crossing.reply(body)
    };
    match answered {
        Ok(answered) => Ok(Whole {
            status,
            heard: between.heard(answered.usage, answered.said_bytes),
            body: Bytes::from(answered.body),
            is_stream,
            again: Again::Never,
        }),
        Err(BadAnswer::Fault(fault)) => faulty(fault, crossing, between.provider),
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
            heard: Heard::default(),
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
        heard: Heard::default(),
        is_stream: false,
        again,
    })
}

fn after(fault: &Fault) -> Again {
    let told = fault.retry_after_ms.map(Duration::from_millis);
    again::after_fault(fault.kind).told(told)
}

impl Between<'_> {
    fn heard(&self, told: Option<Usage>, said_bytes: u64) -> Heard {
        match self.asked.operation {
            // Nobody pays for it.
            Operation::CountTokens(_) => Heard::default(),
            Operation::Generate | Operation::Embed(_) => {
                Heard::of(told, said_bytes, (self.asked.dialect, self.body))
            }
        }
    }

    /// What an answer tells that goes on as it came. How much it says is only looked for where it tells no usage.
    fn heard_in(&self, body: &Bytes, status: StatusCode) -> Result<Heard, Failed> {
        let told = self.provider_dialect.usage_of(body);
        let told = told.map_err(|_| fault::not_json(self.provider, status))?;
        if told.is_some() || self.asked.operation != Operation::Generate {
            return Ok(self.heard(told, 0));
        }
        let reply = self.provider_dialect.read_reply(body, &Profile::default());
        Ok(reply.map_or_else(
            |_| Heard::default(),
            |reply| self.heard(None, Texts::of_reply(&reply).bytes()),
        ))
    }

    /// What was heard of an answer that breaks off here.
    fn so_far(&self, crossing: &Crossing, body: &[u8]) -> Heard {
        let so_far = crossing.so_far(body);
        if so_far.usage.is_some() || so_far.said_bytes > 0 {
            let said_events = so_far.said_events;
            let heard = self.heard(so_far.usage, so_far.said_bytes);
            Heard { said_events, ..heard }
        } else {
            Heard::default()
        }
    }
}

/// An answer that is coming in. If it does not come to its end, because it breaks off or its client leaves, what was heard of
/// it is told.
struct Coming<'a> {
    body: Pieces,
    /// Where it is a good one that may come as a stream.
    crossing: Option<&'a Crossing>,
    between: &'a Between<'a>,
    room: &'a mut BodyRoom,
    settlement: &'a mut Settlement,
}

/// What has come. Most answers come in one piece, which then is not copied.
#[derive(Default)]
struct Pieces {
    first: Bytes,
    rest: Vec<u8>,
}

impl Coming<'_> {
    async fn collect(&mut self, mut body: AnswerBody, bytes_max: usize) -> Result<(), Failed> {
        let provider = self.between.provider;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|fault| fault::broken(provider, fault))?;
            // Blank lines say nothing, as comments do in a stream.
            body.judged(!piece.iter().all(u8::is_ascii_whitespace))
                .map_err(|fault| fault::broken(provider, fault))?;
            let held = self.body.len().saturating_add(piece.len());
            if held > bytes_max {
                return Err(fault::too_large(provider));
            }
            if held > ROOMLESS_BYTES {
                self.room.take_up_to(held).map_err(fault::no_room)?;
            }
            self.body.add(piece, bytes_max);
        }
        self.crossing = None;
        Ok(())
    }
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        if let Some(crossing) = self.crossing {
            let heard = self.between.so_far(crossing, &self.body.take());
            self.settlement.so_far(heard);
        }
    }
}

impl Pieces {
    fn len(&self) -> usize {
        self.first.len().saturating_add(self.rest.len())
    }

    fn add(&mut self, piece: Bytes, bytes_max: usize) {
        if self.len() == 0 {
            self.first = piece;
        } else {
            append(&mut self.rest, &std::mem::take(&mut self.first), bytes_max);
            append(&mut self.rest, &piece, bytes_max);
        }
    }

    fn take(&mut self) -> Bytes {
        let Self { first, rest } = std::mem::take(self);
        if rest.is_empty() { first } else { Bytes::from(rest) }
    }
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
