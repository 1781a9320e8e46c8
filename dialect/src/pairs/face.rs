//! The four dialects, each by the same names.

use crate::neutral::{
    BadAnswer, Event, Heading, Losses, OwnedHeading, Profile, Reply, Request, Target, Written,
};
use crate::refusal::Refusal;
use crate::spec::recorded;
use crate::sse::{Events, StreamLimits};
use crate::{Dialect, anthropic_messages, gemini_generate, openai_chat, openai_responses};

/// One dialect's codecs.
pub(super) struct Face {
    pub dialect: Dialect,
    /// Its folder of recordings.
    pub folder: &'static str,
    pub read_request: fn(&[u8]) -> Result<Request, Refusal>,
    pub write_request: fn(&Request, &Target<'_>, &mut Losses) -> Result<Written, Refusal>,
    pub read_reply: fn(&[u8], &Profile) -> Result<Reply, BadAnswer>,
    pub write_reply: fn(&Reply, &Heading<'_>) -> Vec<u8>,
    pub read_stream: fn(&[u8]) -> Vec<Event>,
    pub write_stream: fn(&[Event]) -> Vec<u8>,
    pub check_stream: fn(&[u8]) -> Result<(), String>,
    /// What its document calls a request.
    pub request_schema: &'static str,
}

macro_rules! read_stream {
    ($dialect:ident) => {
        |stream| {
            let mut reader = $dialect::StreamReader::new(&Profile::default());
            let mut events = Events::new(StreamLimits::default());
            let mut out = Vec::new();
            events.push(stream).unwrap();
            while let Some(event) = events.next_event() {
                reader.read(event, &mut out);
            }
            if !events.rest().is_empty() {
                reader.read(events.rest(), &mut out);
            }
            reader.finish(&mut out);
            out
        }
    };
}

macro_rules! write_stream {
    ($dialect:ident $(, $option:expr)?) => {
        |events| {
            let mut writer = $dialect::StreamWriter::new(heading() $(, $option)?);
            let mut out = Vec::new();
            for event in events {
                writer.write(event, &mut out);
            }
            out
        }
    };
}

/// A list of problems as a result.
fn nothing(problems: Vec<impl std::fmt::Debug>) -> Result<(), String> {
    match problems.as_slice() {
        [] => Ok(()),
        problems => Err(format!("{problems:?}")),
    }
}

pub(super) fn heading() -> OwnedHeading {
    OwnedHeading {
        id: "id_1".to_owned(),
        created_s: 1_700_000_000,
        model: "model-asked".to_owned(),
    }
}

pub(super) const FACES: [Face; 4] = [
    Face {
        dialect: Dialect::OpenaiChat,
        folder: "openai-chat",
        read_request: openai_chat::read_request,
        write_request: openai_chat::write_request,
        read_reply: openai_chat::read_reply,
        write_reply: openai_chat::write_reply,
        read_stream: read_stream!(openai_chat),
        write_stream: write_stream!(openai_chat, true),
        check_stream: |stream| nothing(openai_chat::tests::checker::check(stream)),
        request_schema: "CreateChatCompletionRequest",
    },
    Face {
        dialect: Dialect::OpenaiResponses,
        folder: "openai-responses",
        read_request: openai_responses::read_request,
        write_request: openai_responses::write_request,
        read_reply: openai_responses::read_reply,
        write_reply: openai_responses::write_reply,
        read_stream: read_stream!(openai_responses),
        write_stream: write_stream!(openai_responses),
        check_stream: |stream| {
            use openai_responses::tests::checker::{Leniency, problems};
            nothing(problems(stream, Leniency::default()))
        },
        request_schema: "CreateResponse",
    },
    Face {
        dialect: Dialect::AnthropicMessages,
        folder: "anthropic",
        read_request: anthropic_messages::read_request,
        write_request: anthropic_messages::write_request,
        read_reply: anthropic_messages::read_reply,
        write_reply: anthropic_messages::write_reply,
        read_stream: read_stream!(anthropic_messages),
        write_stream: write_stream!(anthropic_messages, None),
        check_stream: |stream| {
            use anthropic_messages::tests::checker::{Ending, check};
            match check(stream)? {
                Ending::Cut => Err("it was cut".to_owned()),
                Ending::Good | Ending::Error => Ok(()),
            }
        },
        request_schema: "BetaCreateMessageParams",
    },
    Face {
        dialect: Dialect::GeminiGenerate,
        folder: "gemini",
        read_request: |body| gemini_generate::read_request(body, "model", false),
        write_request: gemini_generate::write_request,
        read_reply: gemini_generate::read_reply,
        write_reply: gemini_generate::write_reply,
        read_stream: read_stream!(gemini_generate),
        write_stream: write_stream!(gemini_generate, gemini_generate::Framing::Events),
        check_stream: |stream| gemini_generate::tests::checker::check(stream, false),
        request_schema: "GenerateContentRequest",
    },
];

fn others(own: Dialect, ending: &'static str) -> impl Iterator<Item = (&'static Face, String, Vec<u8>)> {
    let others = FACES.iter().filter(move |face| face.dialect != own);
    others.flat_map(move |face| {
        let files = recorded(face.folder, ending).into_iter();
        files.map(move |(name, body)| (face, name, body))
    })
}

/// The recorded streams of all dialects but one, by name.
pub(crate) fn streams_of_others(own: Dialect) -> Vec<(String, Vec<Event>)> {
    let read = |(face, name, stream): (&Face, _, Vec<u8>)| (name, (face.read_stream)(&stream));
    others(own, ".stream.sse").map(read).collect()
}

/// Their answers, but for those that are errors.
pub(crate) fn replies_of_others(own: Dialect) -> Vec<(String, Reply)> {
    let profile = Profile::default();
    let read =
        |(face, name, body): (&Face, _, Vec<u8>)| Some((name, (face.read_reply)(&body, &profile).ok()?));
    others(own, ".response.json").filter_map(read).collect()
}

/// Their requests. Some were recorded to see how they are refused.
pub(crate) fn requests_of_others(own: Dialect) -> Vec<(String, Result<Request, Refusal>)> {
    let read = |(face, name, body): (&Face, _, Vec<u8>)| (name, (face.read_request)(&body));
    others(own, ".request.json").map(read).collect()
}
