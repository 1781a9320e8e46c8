//! From a provider's answer to the client's: passed on as it came, and metered on the way.

use std::time::{Duration, Instant};

use bytes::Bytes;
use dialect::Envelope;
use dialect::rates::Rates;
use dialect::refusal::Refusal;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use policy::Target;

use super::attempt::Answer;
use super::stream::StreamBody;
use super::way::Way;
use super::whole::{self, Between};
use crate::ledger::Outcome;
use crate::worker::Asked;

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
    /// Whether this is a guess of the gateway's, since the provider cannot be asked.
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
    Stream(Box<StreamBody>),
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// Passes the answer on. `started` is when the whole request was there.
///
/// # Errors
/// When the answer breaks off before anything of it could be passed on, or is none. The call is settled then.
pub(super) async fn relay(
    answer: Answer,
    asked: Asked<'_>,
    envelope: &Envelope,
    started: Instant,
) -> Result<Reply, Refusal> {
    let Answer {
        upstream,
        mut settlement,
        target,
        credential_name,
        attempts,
        crossing,
        provider_dialect,
        sent,
        rates,
    } = answer;
    let provider::Answer {
        mut status,
        mut headers,
        body,
    } = upstream;
    let lossy = crossing
        .as_ref()
        .and_then(|crossing| crossing.lossy())
        .map(str::to_owned);
    let crosses = crossing.is_some();
    let is_array = asked.in_path.is_array && !crosses;
    let waited;
    let mut cost_nano = None;
    let body = if envelope.stream && status.is_success() && (is_array || is_event_stream(&headers)) {
        settlement.answered(status.as_u16());
        let way = Way::new(asked, envelope, crossing);
        let mut stream = Box::new(StreamBody::new(body, settlement, way, target.provider.clone()));
        stream.begin().await?;
        waited = sent.elapsed();
        if crosses {
            headers.insert(
                CONTENT_TYPE,
                if asked.in_path.is_array {
                    JSON
                } else {
                    EVENT_STREAM
                },
            );
        }
        ReplyBody::Stream(stream)
    } else {
        settlement.update(|attempt| attempt.first_byte = Some(Instant::now()));
        let between = Between {
            provider: &target.provider,
            provider_dialect,
            asked,
            envelope,
        };
        let (whole, came) = match whole::take(body, status, crossing, between).await {
            Ok(taken) => taken,
            Err((refusal, outcome)) => return Err(settlement.refuse(refusal, outcome)),
        };
        let outcome = if whole.status.is_success() {
            Outcome::Ok
        } else {
            Outcome::ProviderError
        };
        status = whole.status;
        waited = came.saturating_duration_since(sent);
        settlement.answered(status.as_u16());
        cost_nano = settlement.close(outcome, whole.usage);
        if crosses {
            headers.insert(CONTENT_TYPE, if whole.is_stream { EVENT_STREAM } else { JSON });
        }
        ReplyBody::Whole(whole.body)
    };
    let head = ReplyHead {
        status,
        headers,
        target,
        credential_name,
        attempts,
        lossy,
        estimated: attempts == 0,
        rates,
        cost_nano,
        overhead_us: micros(started.elapsed().saturating_sub(waited)),
    };
    Ok(Reply { head, body })
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
