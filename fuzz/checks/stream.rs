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
            let said = without_blank_runs(stream);
            assert!(said.starts_with(&out), "what was not sent");
            let rest = said.get(out.len()..).unwrap_or_default();
            assert!(
                end == StreamEnd::Cut || rest.is_empty() || contains(&out, b"[DONE]"),
                "a whole stream loses nothing"
            );
        }
    }
}

/// Of blank lines, those that end an event.
fn without_blank_runs(stream: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut rest, mut was_blank) = (stream, true);
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let text = end.unwrap_or(rest.len());
        let next = match rest.get(text..) {
            Some([b'\r', b'\n', ..]) => text + 2,
            Some([_, ..]) => text + 1,
            _ => text,
        };
        let (line, after) = rest.split_at(next);
        if text > 0 || !was_blank {
            out.extend_from_slice(line);
        }
        (rest, was_blank) = (after, text == 0);
    }
    out
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
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
