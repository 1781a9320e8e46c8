//! A whole answer out of a stream: for one that is so long that it should not be waited for in silence, and for a provider
//! that streams what nobody asked it to.

use crate::codec::Reader;
use crate::neutral::collect::{Collector, Unfinished};
use crate::neutral::{BadAnswer, Event, Profile, Reply, Request};
use crate::sse::{Events, StreamLimits};
use crate::{Dialect, Usage};

/// Beyond so many tokens Anthropic's own SDKs want a stream: an answer of that length may take more than ten minutes.
const WAITED_FOR_TOKENS_MAX: u64 = 21_333;
/// How much is looked at in one go.
const STEP_BYTES: usize = 64 << 10;

/// What is known of an answer that broke off.
#[derive(Debug, Clone, Copy, Default)]
pub struct SoFar {
    /// The last usage that was told.
    pub usage: Option<Usage>,
    /// How much the model said, in bytes of text, and by how many events.
    pub said_bytes: u64,
    pub said_events: u64,
}

/// Whether the answer to this request may be so long, and a stream of it tells as much as the whole would: there are
/// vendors that do not say in a stream what it took.
pub(super) fn is_worth_it(request: &Request, provider: Dialect, profile: &Profile) -> bool {
    let tells_usage = provider != Dialect::OpenaiChat || profile.stream_options;
    tells_usage
        && request
            .max_tokens
            .is_some_and(|tokens| tokens > WAITED_FOR_TOKENS_MAX)
}

/// Reads the whole answer that a stream comes to.
pub(super) fn read(provider: Dialect, profile: &Profile, stream: &[u8]) -> Result<Reply, BadAnswer> {
    let mut collector = Collector::default();
    each_event(provider, profile, stream, |event| collector.event(event))?;
    collector.reply().map_err(|unfinished| match unfinished {
        Unfinished::Fault(fault) => BadAnswer::Fault(fault),
        Unfinished::Cut => BadAnswer::Cut,
    })
}

/// What a stream that has come this far told.
pub(super) fn so_far(provider: Dialect, profile: &Profile, stream: &[u8]) -> SoFar {
    let mut collector = Collector::default();
    let (mut said_bytes, mut said_events) = (0, 0);
    let read = each_event(provider, profile, stream, |event| {
        said_bytes += event.said_bytes();
        said_events += u64::from(event.says());
        collector.event(event);
    });
    // What it told before an event that is too large, it has told.
    drop(read);
    SoFar {
        usage: collector.usage(),
        said_bytes,
        said_events,
    }
}

fn each_event(
    provider: Dialect,
    profile: &Profile,
    stream: &[u8],
    mut take: impl FnMut(Event),
) -> Result<(), BadAnswer> {
    let mut events = Events::new(StreamLimits::default());
    let mut reader = Reader::new(provider, profile);
    let mut read = Vec::new();
    for step in stream.chunks(STEP_BYTES) {
        let pushed = events.push(step);
        pushed.map_err(|_| BadAnswer::Malformed("an event of its stream is too large".to_owned()))?;
        while let Some(event) = events.next_event() {
            reader.read(event, &mut read);
            read.drain(..).for_each(&mut take);
        }
    }
    let rest = events.rest();
    if !rest.is_empty() {
        reader.read(rest, &mut read);
    }
    reader.finish(&mut read);
    read.into_iter().for_each(take);
    Ok(())
}
