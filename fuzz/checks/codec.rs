//! What holds for every request, answer, stream and error of any dialect: whatever was read can be written in every
//! dialect, as JSON; and a stream means the same however it is cut.

use dialect::neutral::{
    Event, Heading, Losses, OwnedHeading, Profile, Reply, Request, Target, ThinkingStyle,
};
use dialect::sse::{self, Events, StreamLimits};
use dialect::{anthropic_messages, gemini_generate, openai_chat, openai_responses};
use serde_json::value::RawValue;

/// The first byte says what it is, the second where a stream is cut.
macro_rules! face {
    ($name:ident, $dialect:ident, |$body:ident| $read_request:expr) => {
        pub fn $name(bytes: &[u8]) {
            let [what, cut, body @ ..] = bytes else {
                return;
            };
            match what % 4 {
                0 => {
                    let $body = body;
                    if let Ok(request) = $read_request {
                        request_in_all(&request);
                    }
                }
                1 => {
                    if let Ok(reply) = $dialect::read_reply(body, &Profile::default()) {
                        reply_in_all(&reply);
                    }
                }
                2 => {
                    let read = |size: usize| {
                        let mut reader = $dialect::StreamReader::new(&Profile::default());
                        let mut out = Vec::new();
                        each_event(body, size, |event| reader.read(event, &mut out));
                        reader.finish(&mut out);
                        out
                    };
                    let whole = read(body.len().max(1));
                    assert_eq!(read(usize::from(*cut) + 1), whole, "cut elsewhere");
                    stream_in_all(&whole);
                }
                _ => {
                    let fault = $dialect::read_fault(u16::from(*cut) + 300, body);
                    for written in [
                        openai_chat::write_fault(&fault),
                        openai_responses::write_fault(&fault),
                        anthropic_messages::write_fault(&fault),
                        gemini_generate::write_fault(&fault),
                    ] {
                        assert_json(&written.1);
                    }
                }
            }
        }
    };
}

face!(openai_chat, openai_chat, |body| openai_chat::read_request(body));
face!(openai_responses, openai_responses, |body| {
    openai_responses::read_request(body)
});
face!(anthropic_messages, anthropic_messages, |body| {
    anthropic_messages::read_request(body)
});
face!(gemini_generate, gemini_generate, |body| {
    gemini_generate::read_request(body, "model", true)
});

fn each_event(stream: &[u8], size: usize, mut read: impl FnMut(&[u8])) {
    let mut events = Events::new(StreamLimits::default());
    for piece in stream.chunks(size) {
        events.push(piece).expect("within the limits");
        while let Some(event) = events.next_event() {
            read(event);
        }
    }
    if !events.rest().is_empty() {
        read(events.rest());
    }
}

fn assert_json(text: &[u8]) {
    let read = serde_json::from_slice::<&RawValue>(text);
    assert!(read.is_ok(), "{read:?}: {}", String::from_utf8_lossy(text));
}

/// Every event of a stream holds JSON, but for the one word.
fn assert_stream(stream: &[u8]) {
    each_event(stream, stream.len().max(1), |event| {
        let data = sse::data(event);
        if !data.is_empty() && *data != *b"[DONE]" {
            assert_json(&data);
        }
    });
}

fn request_in_all(request: &Request) {
    let old = Profile {
        thinking: ThinkingStyle::Budget {
            min: 1_024,
            max: 32_768,
            can_be_off: true,
        },
        json_schema: false,
        system_anywhere: false,
        full_json_schema: false,
        ..Profile::default()
    };
    for profile in [&Profile::default(), &old] {
        let target = Target {
            model: "model",
            profile,
        };
        for write in [
            openai_chat::write_request,
            openai_responses::write_request,
            anthropic_messages::write_request,
            gemini_generate::write_request,
        ] {
            if let Ok(written) = write(request, &target, &mut Losses::new(false)) {
                assert_json(&written.body);
            }
        }
    }
}

fn reply_in_all(reply: &Reply) {
    let heading = Heading {
        id: "id",
        created_s: 1,
        model: "model",
    };
    for write in [
        openai_chat::write_reply,
        openai_responses::write_reply,
        anthropic_messages::write_reply,
        gemini_generate::write_reply,
    ] {
        assert_json(&write(reply, &heading));
    }
}

fn stream_in_all(events: &[Event]) {
    let heading = || OwnedHeading {
        id: "id".to_owned(),
        created_s: 1,
        model: "model".to_owned(),
    };
    let mut chat = openai_chat::StreamWriter::new(heading(), true);
    let mut responses = openai_responses::StreamWriter::new(heading());
    let mut anthropic = anthropic_messages::StreamWriter::new(heading(), None);
    let mut gemini = gemini_generate::StreamWriter::new(heading(), gemini_generate::Framing::Events);
    let mut streams: [Vec<u8>; 4] = Default::default();
    let [one, two, three, four] = &mut streams;
    for event in events {
        chat.write(event, one);
        responses.write(event, two);
        anthropic.write(event, three);
        gemini.write(event, four);
    }
    streams.iter().for_each(|stream| assert_stream(stream));
}
