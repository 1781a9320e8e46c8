//! What holds for every stream: however it is cut, the client gets the same bytes and the ledger the same usage, and
//! what the client gets was sent.

use bytes::Bytes;
use dialect::Usage;
use dialect::openai_chat::{StreamEnd, StreamLimits, StreamRelay};

/// The first byte says where the rest is cut.
pub fn check(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else {
        return;
    };
    let cut = usize::from(*cut) + 1;
    for strip_usage in [false, true] {
        let whole = relayed(stream, stream.len().max(1), strip_usage);
        for size in [1, cut] {
            assert_eq!(relayed(stream, size, strip_usage), whole, "in pieces of {size}");
        }
        let (out, end, _) = whole;
        if !strip_usage {
            assert!(stream.starts_with(&out), "what was not sent");
            assert!(
                end == StreamEnd::Cut || out.len() == stream.len(),
                "a whole stream loses nothing"
            );
        }
    }
}

fn relayed(stream: &[u8], size: usize, strip_usage: bool) -> (Vec<u8>, StreamEnd, Option<Usage>) {
    let mut relay = StreamRelay::new(strip_usage, 1, StreamLimits::default());
    let mut out = Vec::new();
    for piece in stream.chunks(size) {
        relay
            .push(Bytes::copy_from_slice(piece), &mut out)
            .expect("within the limits");
    }
    let end = relay.finish(&mut out);
    (out.concat(), end, relay.usage())
}
