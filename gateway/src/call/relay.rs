//! From a provider's answer to the client's: passed on as it came, and metered on the way.

use std::time::{Duration, Instant};

use bytes::Bytes;
use dialect::Dialect;
use dialect::rates::Rates;
use dialect::sse::{self, StreamLimits};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use policy::Target;
use provider::AnswerBody;

use super::again::{self, Again};
use super::attempt::{Answer, Call, Failure, Told};
use super::beat::Beat;
use super::fault::Failed;
use super::heard::sent_tokens;
use super::leave::ClientStream;
use super::settle::Settlement;
use super::stream::StreamBody;
use super::way::Way;
use super::whole::{self, Between};
use crate::ledger::Outcome;
use crate::room::BodyRoom;
use crate::worker::Request;

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
    /// Members of the request that had no place in the provider's dialect.
    pub lossy: Option<String>,
    /// Whether this, or what it took, is a guess of the gateway's: the provider cannot be asked, or does not tell.
    pub estimated: bool,
    /// What it cost, in nano-dollars, where that is known before the body is sent.
    pub cost_nano: Option<i64>,
    /// How the caller stands with its limits.
    pub rates: Option<Rates>,
    /// What the gateway itself took, in microseconds: neither the client sending nor the provider answering.
    pub overhead_us: u64,
}

/// The body that the client gets.
pub enum ReplyBody {
    Whole(Bytes),
    Stream(ClientStream),
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Passes the answer on. `waited` is what went by before while others were asked in vain.
///
/// # Errors
/// When the answer is an error, breaks off before anything of it could be passed on, or is none. The attempt is not settled
/// then.
pub(super) async fn relay(
    answer: Answer,
    call: Call<'_>,
    waited: Duration,
    settlement: &mut Settlement,
) -> Result<Reply, Box<Failure>> {
    let Call {
        envelope,
        body: sent_body,
        request: Request { asked, .. },
        ..
    } = call;
    let Answer {
        upstream,
        target,
        credential_name,
        attempts,
        lossy,
        crossing,
        provider_dialect,
        sent,
        rates,
    } = answer;
    let provider::Answer {
        status,
        headers,
        mut body,
    } = upstream;
    let crosses = crossing.is_some();
    let is_array = asked.in_path.is_array && !crosses;
    let mut head = ReplyHead {
        status,
        headers,
        target,
        credential_name,
        attempts,
        lossy,
        estimated: attempts == 0,
        rates,
        cost_nano: None,
        overhead_us: 0,
    };
    let overhead_us = |answered: Duration| {
        micros(
            call.started
                .elapsed()
                .saturating_sub(waited)
                .saturating_sub(answered),
        )
    };
    let settings = call.worker.gateway.settings();
    let is_stream =
        envelope.stream && status.is_success() && (is_array || is_stream(&head.headers, &mut body).await);
    if is_stream {
        settlement.answered(status.as_u16());
        let way = Way::new(*asked, envelope, crossing);
        let provider = head.target.provider.clone();
        let gateway = &call.worker.gateway;
        let on_cancel = gateway.leaving().of(&provider, gateway.directory().catalog());
        let mut stream = Box::new(StreamBody::new(
            body,
            settlement.hand_over(),
            way,
            provider,
            on_cancel,
        ));
        if let Err(failed) = stream.begin().await {
            *settlement = stream.hand_back();
            return Err(failed.into());
        }
        if let Some(events) = stream.only_error()
            && let Some(again) = after_error(asked.dialect, &events)
        {
            *settlement = stream.hand_back();
            say(&mut head.headers, EVENT_STREAM);
            let body = ReplyBody::Whole(Bytes::from(events));
            return Err(Box::new(Failure {
                told: Told::Reply(Box::new(Reply { head, body })),
                outcome: Outcome::ProviderError,
                again,
            }));
        }
        if !stream.is_told() {
            stream.guess_input(sent_tokens((asked.dialect, sent_body)));
        }
        if let Some(every) = settings.keep_alive.every.filter(|_| !asked.in_path.is_array) {
            stream.keep_alive(Beat::new(every), asked.dialect.keep_alive());
        }
        head.overhead_us = overhead_us(sent.elapsed());
        say(
            &mut head.headers,
            if asked.in_path.is_array {
                JSON
            } else {
                EVENT_STREAM
            },
        );
        return Ok(Reply {
            head,
            body: ReplyBody::Stream(gateway.leaving().hand_out(stream, on_cancel)),
        });
    }
    settlement.update(|attempt| attempt.first_byte = Some(Instant::now()));
    let between = Between {
        provider: &head.target.provider,
        provider_dialect,
        asked: *asked,
        envelope,
        body: sent_body,
    };
    let rest = if status.is_success() {
        None
    } else {
        again::retry_after(&head.headers)
    };
    let room = BodyRoom::of_answer(
        settings.room,
        call.worker.gateway.room_taken(),
        &call.caller.tenant.room_taken,
    );
    let (whole, came) = match whole::take(body, status, crossing, between, room, settlement).await {
        Ok(taken) => taken,
        Err(failed) => {
            let again = failed.again.told(rest);
            return Err(Failed { again, ..failed }.into());
        }
    };
    head.status = whole.status;
    head.overhead_us = overhead_us(came.saturating_duration_since(sent));
    say(
        &mut head.headers,
        if whole.is_stream { EVENT_STREAM } else { JSON },
    );
    let is_error = !whole.status.is_success();
    if !is_error {
        settlement.answered(whole.status.as_u16());
        let metered = whole.heard.metered(Outcome::Ok);
        head.estimated |= metered.is_guess;
        head.cost_nano = settlement.close_together(Outcome::Ok, metered).await;
    }
    let reply = Reply {
        head,
        body: ReplyBody::Whole(whole.body),
    };
    if is_error {
        return Err(Box::new(Failure {
            told: Told::Reply(Box::new(reply)),
            outcome: Outcome::ProviderError,
            again: whole.again.told(rest),
        }));
    }
    Ok(reply)
}

/// What may be done about an error that a stream begins with, in the client's dialect; `None` where that is nothing, as about
/// all that is wrong with the request.
fn after_error(dialect: Dialect, events: &[u8]) -> Option<Again> {
    let mut read = sse::Events::new(StreamLimits::default());
    read.push(events).ok()?;
    let mut again = None;
    while let Some(event) = read.next_event() {
        let fault = dialect.read_fault(StatusCode::OK.as_u16(), &sse::data(event));
        let rest = fault.retry_after_ms.map(Duration::from_millis);
        again = Some(again::after_fault(fault.kind).told(rest));
    }
    again.filter(|again| matches!(again, Again::Elsewhere(_)))
}

/// Whether a good answer is a stream. Its first bytes say so, and its headers only where those leave it open: there are
/// vendors that send streams under another type, and errors as streams.
async fn is_stream(headers: &HeaderMap, body: &mut AnswerBody) -> bool {
    let begins = body.peek().await;
    sse::is_stream(&begins).unwrap_or_else(|| is_of_type(headers, &EVENT_STREAM))
}

fn is_of_type(headers: &HeaderMap, content_type: &HeaderValue) -> bool {
    let said = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    said.is_some_and(|said| said.to_ascii_lowercase().starts_with(content_type.as_bytes()))
}

/// Tells the client what the body is, for clients go by that, unless the provider has said so in its own words.
fn say(headers: &mut HeaderMap, content_type: HeaderValue) {
    if !is_of_type(headers, &content_type) {
        headers.insert(CONTENT_TYPE, content_type);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
