//! The way of a stream through the gateway: passed on as it came, or translated.

use bytes::Bytes;
use dialect::codec::Meter;
use dialect::gemini_generate::ArrayRelay;
use dialect::refusal::Refusal;
use dialect::sse::{StreamLimits, StreamTooLarge};
use dialect::translate::{Crossing, Translation};
use dialect::{Envelope, StreamEnd, StreamRelay, Usage};

use crate::worker::Asked;

pub(super) enum Way {
    /// Server-sent events between equals.
    Pass(StreamRelay<Meter>),
    /// One JSON array between equals, which only Gemini has.
    Array(ArrayRelay),
    Cross(Box<Translation>),
}

impl Way {
    pub(super) fn new(asked: Asked<'_>, envelope: &Envelope, crossing: Option<Box<Crossing>>) -> Self {
        let Asked { dialect, in_path, .. } = asked;
        match crossing {
            Some(crossing) => Self::Cross(Box::new(crossing.stream(envelope, in_path))),
            None if in_path.is_array => Self::Array(ArrayRelay::new(StreamLimits::default())),
            None => {
                let meter = Meter::new(dialect, envelope);
                Self::Pass(StreamRelay::over(meter, StreamLimits::default()))
            }
        }
    }

    /// Takes what the provider sent and appends what the client gets.
    pub(super) fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), StreamTooLarge> {
        match self {
            Self::Pass(relay) => relay.push(chunk, out),
            Self::Array(relay) => relay.push(chunk, out),
            Self::Cross(translation) => translation.push(&chunk, out),
        }
    }

    /// The provider has ended the stream in good order: says how it ended, and appends what was still to be said.
    pub(super) fn finish(&mut self, out: &mut Vec<Bytes>) -> StreamEnd {
        match self {
            Self::Pass(relay) => relay.finish(out),
            Self::Array(relay) => relay.end(),
            Self::Cross(translation) => translation.finish(out),
        }
    }

    /// How the stream stands if nothing more comes.
    pub(super) fn end(&self) -> StreamEnd {
        match self {
            Self::Pass(relay) => relay.end(),
            Self::Array(relay) => relay.end(),
            Self::Cross(translation) => translation.end(),
        }
    }

    /// Whether the client has been told the end: nothing that comes after it concerns the client.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Pass(relay) => relay.is_done(),
            Self::Array(relay) => relay.end() == StreamEnd::Complete,
            Self::Cross(translation) => translation.is_done(),
        }
    }

    /// Whether the provider says more after that.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Self::Pass(relay) if relay.goes_on())
    }

    /// Whether the provider has said anything since this was last asked. Comments keep a connection busy, and say nothing.
    pub(super) fn has_said(&mut self) -> bool {
        match self {
            Self::Pass(relay) => relay.has_said(),
            Self::Array(_) => true,
            Self::Cross(translation) => translation.has_said(),
        }
    }

    /// By how many of the provider's events the model has said something.
    pub(super) fn said_events(&self) -> u64 {
        match self {
            Self::Pass(relay) => relay.said_events(),
            Self::Array(relay) => relay.said_items(),
            Self::Cross(translation) => translation.said_events(),
        }
    }

    /// Whether the gateway itself has told the client the end, so that the provider need not go on.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Cross(translation) if translation.is_cut())
    }

    /// The last usage that the provider reported.
    pub(super) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Pass(relay) => relay.usage(),
            Self::Array(relay) => relay.usage(),
            Self::Cross(translation) => translation.usage(),
        }
    }

    /// Whether that is what all of it has used.
    pub(super) fn has_told_all(&self) -> bool {
        match self {
            Self::Pass(relay) => relay.has_told_all(),
            Self::Array(relay) => relay.has_told_all(),
            Self::Cross(translation) => translation.has_told_all(),
        }
    }

    /// How much the model has said so far, in bytes of text.
    pub(super) fn said_bytes(&self) -> u64 {
        match self {
            Self::Pass(relay) => relay.said_bytes(),
            Self::Array(relay) => relay.said_bytes(),
            Self::Cross(translation) => translation.said_bytes(),
        }
    }

    /// What the client is told when the stream breaks.
    pub(super) fn refuse(&mut self, refusal: &Refusal) -> Vec<u8> {
        match self {
            Self::Pass(relay) => relay.refuse(refusal),
            Self::Array(relay) => relay.refuse(refusal),
            Self::Cross(translation) => translation.refuse(refusal),
        }
    }
}
