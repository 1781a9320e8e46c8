//! Streams whose chunks end anywhere: at every one of their bytes, the events are the same.
//!
//! Readers, writers and meters are handed whole events, and never see a chunk. So two things alone have to be held
//! against chunks: [`Events`], before a reader, and [`StreamRelay`], around a meter. What came long before and after a cut
//! cannot matter to either, so that for each cut only the event which is cut and the one after it are taken again, from the
//! state at the beginning of the first: that is linear where whole streams for each of their bytes would be square.

use bytes::Bytes;

use crate::relay::{StreamEnd, StreamMeter, StreamRelay};
use crate::spec::recorded;
use crate::sse::{Events, StreamLimits};
use crate::usage::Usage;

const FOLDERS: [&str; 4] = ["openai-chat", "openai-responses", "anthropic", "gemini"];

/// A meter that only tells what it was handed, by length and checksum, and lets most of it pass.
#[derive(Clone, Default)]
struct Witness {
    handed: Vec<(usize, u32)>,
}

impl StreamMeter for Witness {
    fn read(&mut self, event: &[u8]) -> bool {
        self.handed.push((event.len(), crc32fast::hash(event)));
        !event.len().is_multiple_of(3)
    }

    fn end(&self) -> StreamEnd {
        StreamEnd::Complete
    }

    fn is_done(&self) -> bool {
        false
    }

    fn usage(&self) -> Option<Usage> {
        None
    }

    fn has_told_all(&self) -> bool {
        false
    }

    fn says(&self, event: &[u8]) -> bool {
        event.len().is_multiple_of(2)
    }
}

/// The places after the events of a stream, and its end.
fn ends(stream: &[u8]) -> Vec<usize> {
    let mut events = Events::new(StreamLimits::default());
    events.push(stream).unwrap();
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(event) = events.next_event() {
        at += event.len();
        ends.push(at);
    }
    if at < stream.len() {
        ends.push(stream.len());
    }
    ends
}

/// Calls for each event, with the place where it begins, where it ends, and where the next one ends.
fn for_each_event(stream: &[u8], mut each: impl FnMut(usize, usize, usize)) {
    let ends = ends(stream);
    let mut start = 0;
    for (number, end) in ends.iter().enumerate() {
        each(start, *end, ends.get(number + 1).copied().unwrap_or(stream.len()));
        start = *end;
    }
}

fn assert_same_events(stream: &[u8], name: &str) {
    let mut before = Events::new(StreamLimits::default());
    for_each_event(stream, |start, end, next| {
        for at in start + 1..=end {
            let mut events = before.clone();
            let (mut found, mut ends) = (start, [0; 2]);
            for chunk in [&stream[start..at], &stream[at..next]] {
                events.push(chunk).unwrap();
                while let Some(event) = events.next_event() {
                    assert!(stream[found..].starts_with(event), "{name} cut at {at}");
                    found += event.len();
                    ends.rotate_left(1);
                    ends[1] = found;
                }
            }
            // The last one may lack its end.
            let rest = events.rest();
            assert!(&stream[found..next] == rest, "{name} cut at {at}");
            let known = ends.iter().all(|place| [0, end, next].contains(place));
            assert!(known, "{name} cut at {at}: {ends:?}");
            assert!(found >= end || next == stream.len(), "{name} cut at {at}");
        }
        before.push(&stream[start..end]).unwrap();
        while before.next_event().is_some() {}
    });
}

fn assert_same_relay(stream: &Bytes, name: &str) {
    let mut before = StreamRelay::over(Witness::default(), StreamLimits::default());
    for_each_event(stream, |start, end, next| {
        let relayed = |at: usize| {
            let (mut relay, mut out) = (before.clone(), Vec::new());
            relay.push(stream.slice(start..at), &mut out).unwrap();
            relay.push(stream.slice(at..next), &mut out).unwrap();
            if next == stream.len() {
                relay.finish(&mut out);
            }
            let mut passed = crc32fast::Hasher::new();
            out.iter().for_each(|piece| passed.update(piece));
            (
                passed.finalize(),
                relay.said_events(),
                relay.meter().handed.clone(),
            )
        };
        let uncut = relayed(start);
        for at in start + 1..=end {
            assert!(relayed(at) == uncut, "{name} cut at {at}");
        }
        before.push(stream.slice(start..end), &mut Vec::new()).unwrap();
        before.meter_mut().handed.clear();
    });
}

/// Streams of every shape, and what was recorded where that is at hand.
fn streams() -> Vec<(String, Vec<u8>)> {
    let own = [
        (
            "line feeds",
            "event: a\ndata: {\"x\":1}\n\ndata: {}\n\n: sign of life\n\ndata: [DONE]\n\n",
        ),
        (
            "both",
            "\u{feff}data: {}\r\n\r\nevent: b\r\ndata: \u{1f469}\u{200d}\u{1f680}\u{2028}\r\n\r\ndata: x",
        ),
        ("mixed", "data: a\r\n\ndata: b\n\r\ndata: c\n\n\n\ndata: d\n\n"),
        ("cut", "data: {\"x\":\n\ndata: {\"y"),
    ];
    let own = own.map(|(name, stream)| (name.to_owned(), stream.as_bytes().to_vec()));
    let recorded = FOLDERS.iter().flat_map(|folder| recorded(folder, ".stream.sse"));
    own.into_iter().chain(recorded).collect()
}

#[test]
fn p46_p47_p48_every_stream_cut_at_every_byte_has_the_same_events() {
    let mut cuts = 0;
    for (name, stream) in streams() {
        cuts += stream.len();
        assert_same_events(&stream, &name);
    }
    println!("{cuts} cuts");
}

#[test]
fn p46_p47_p48_every_stream_cut_at_every_byte_passes_the_same() {
    for (name, stream) in streams() {
        assert_same_relay(&Bytes::from(stream), &name);
    }
}
