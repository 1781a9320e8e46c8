//! Whether an attempt that failed may be followed by another, with the next credential or at the next target, and how far
//! that goes.
//!
//! Another one is made where the provider or the way to it failed, or the provider does not take our credential, and nothing
//! has gone to the client. None is made for what is wrong with the request, which would be wrong everywhere; after a
//! time-out, since the provider may still be at work and the caller has waited; and for an answer that makes no sense, which
//! has been paid for.

use std::time::{Duration, Instant};

use dialect::neutral::FaultKind;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use provider::SendFault;

use crate::gateway::AttemptSettings;
use crate::live::Rest;

/// What could be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Nothing.
    Never,
    /// No other attempt; and for how long this credential is not to be asked first by other calls.
    NeverAfter(Rest),
    /// Somebody else may be asked; and for how long this credential is not to be asked first.
    Elsewhere(Rest),
}

/// How far one call may go.
pub(super) struct Tries {
    settings: AttemptSettings,
    /// When the request was there.
    started: Instant,
    pub(super) made: u32,
}

const RETRY_AFTER_MS: &str = "retry-after-ms";

impl Tries {
    pub(super) fn new(settings: AttemptSettings, started: Instant) -> Self {
        Self {
            settings,
            started,
            made: 0,
        }
    }

    /// The number of the attempt that begins.
    pub(super) fn begin(&mut self) -> u32 {
        self.made = self.made.saturating_add(1);
        self.made
    }

    /// Whether there may be one more.
    pub(super) fn are_left(&self) -> bool {
        self.made < self.settings.attempts_max && self.started.elapsed() < self.settings.begin_within
    }
}

impl Again {
    /// The same, where the provider has said how long.
    pub(super) fn told(self, rest: Option<Duration>) -> Self {
        match (self, rest) {
            (Self::Elsewhere(Rest::Usual), Some(rest)) => Self::Elsewhere(Rest::Told(rest)),
            (again, _) => again,
        }
    }
}

/// Nothing came back.
pub(super) fn after_sending(fault: SendFault) -> Again {
    match fault {
        SendFault::Connect
        | SendFault::ConnectTimeout
        | SendFault::Broken
        | SendFault::NoToken
        | SendFault::NoNewToken
        | SendFault::Busy
        | SendFault::Program => Again::Elsewhere(Rest::Usual),
        SendFault::AddressForbidden
        | SendFault::BadSecret
        | SendFault::TokenRefused
        | SendFault::LoginEnded
        | SendFault::SwitchedOff
        | SendFault::Account(_) => Again::Elsewhere(Rest::Refused),
        SendFault::FirstByteTimeout => Again::NeverAfter(Rest::Usual),
        SendFault::Late
        | SendFault::Encoded
        | SendFault::Flooded
        | SendFault::BadRequest
        | SendFault::Nothing
        | SendFault::TooLarge => Again::Never,
    }
}

/// An answer with this status, and nothing in it that can be read.
pub(super) fn after_status(status: StatusCode) -> Again {
    let is_elsewhere = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    match status {
        StatusCode::NOT_IMPLEMENTED => Again::Never,
        _ if is_elsewhere => Again::Elsewhere(Rest::Usual),
        _ => Again::Never,
    }
}

/// An answer that tells of an error of this kind.
pub(super) fn after_fault(kind: FaultKind) -> Again {
    match kind {
        FaultKind::RateLimit | FaultKind::Overloaded | FaultKind::Timeout | FaultKind::Internal => {
            Again::Elsewhere(Rest::Usual)
        }
        FaultKind::Auth | FaultKind::Billing | FaultKind::Permission | FaultKind::Credential => {
            Again::Elsewhere(Rest::Refused)
        }
        FaultKind::BadRequest
        | FaultKind::ContextTooLong
        | FaultKind::ContentBlocked
        | FaultKind::NotFound
        | FaultKind::TooLarge => Again::Never,
    }
}

/// After how long the provider wants to be asked again.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = text(RETRY_AFTER_MS).and_then(|text| text.parse().ok());
    millis.map(Duration::from_millis).or_else(|| {
        let text = text(RETRY_AFTER.as_str())?;
        // Seconds, by some with a fraction. A date would need a clock that is the provider's.
        let seconds: f64 = text.parse().ok()?;
        Duration::try_from_secs_f64(seconds).ok()
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_provider_says_when_in_seconds_or_milliseconds() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            retry_after(&HeaderMap::from_iter(headers))
        };
        assert_eq!(of(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(
            of(&[("retry-after", " 1.5 ")]),
            Some(Duration::from_millis(1_500))
        );
        let both = [("retry-after", "7"), ("retry-after-ms", "120")];
        assert_eq!(of(&both), Some(Duration::from_millis(120)));
        for none in ["", "-1", "soon", "NaN", "1e400", "Wed, 21 Oct 2026 07:28:00 GMT"] {
            assert_eq!(of(&[("retry-after", none)]), None, "{none}");
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn what_is_wrong_with_a_request_is_wrong_everywhere() {
        for status in [400, 404, 409, 413, 422, 501] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(after_status(status), Again::Never, "{status}");
        }
        for status in [429, 500, 502, 503, 504, 529] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(after_status(status), Again::Elsewhere(Rest::Usual), "{status}");
        }
    }

    #[test]
    fn a_call_goes_only_so_far() {
        let settings = AttemptSettings {
            attempts_max: 2,
            begin_within: Duration::from_secs(60),
        };
        let mut tries = Tries::new(settings, Instant::now());
        assert_eq!((tries.begin(), tries.are_left()), (1, true));
        assert_eq!((tries.begin(), tries.are_left()), (2, false));
        let at_once = AttemptSettings {
            begin_within: Duration::ZERO,
            ..settings
        };
        assert!(!Tries::new(at_once, Instant::now()).are_left());
    }
}
