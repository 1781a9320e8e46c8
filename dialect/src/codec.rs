//! The functions of a dialect, found by its name.
//!
//! Each dialect's folder has the same functions under the same names. This is the one place that knows all of the folders:
//! whoever is handed a [`Dialect`] asks it.

use crate::gemini_generate::Framing;
use crate::json::Limits;
use crate::needle::Needle;
use crate::neutral::{
    BadAnswer, Event, Fault, Heading, Losses, OwnedHeading, Profile, Reply, Request, Target, Written,
};
use crate::openai_chat::{ChunkMeter, ModelEntry};
use crate::refusal::Refusal;
use crate::relay::{StreamEnd, StreamMeter, StreamRelay};
use crate::{
    Dialect, Envelope, LookError, Usage, anthropic_messages, gemini_generate, openai_chat, openai_responses,
};

/// What the path of an endpoint says, in the dialect where it says anything (Gemini's).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InPath<'a> {
    pub model: &'a str,
    pub stream: bool,
    /// Whether a stream is one JSON array, and not server-sent events.
    pub is_array: bool,
}

impl Dialect {
    /// Looks at a request.
    ///
    /// # Errors
    /// When it is no JSON object within the limits, or cannot be a request of this dialect.
    pub fn look(self, body: &[u8], in_path: InPath<'_>, limits: &Limits) -> Result<Envelope, LookError> {
        match self {
            Self::OpenaiChat => openai_chat::look(body, limits),
            Self::OpenaiResponses => openai_responses::look(body, limits),
            Self::AnthropicMessages => anthropic_messages::look(body, limits),
            Self::GeminiGenerate => gemini_generate::look(body, in_path.model, in_path.stream, limits),
        }
    }

    /// Reads a request.
    ///
    /// # Errors
    /// When it is not what this dialect says a request is.
    pub fn read_request(self, body: &[u8], in_path: InPath<'_>) -> Result<Request, Refusal> {
        match self {
            Self::OpenaiChat => openai_chat::read_request(body),
            Self::OpenaiResponses => openai_responses::read_request(body),
            Self::AnthropicMessages => anthropic_messages::read_request(body),
            Self::GeminiGenerate => gemini_generate::read_request(body, in_path.model, in_path.stream),
        }
    }

    /// Writes a request for a provider.
    ///
    /// # Errors
    /// When something cannot be said in this dialect that cannot be left out either.
    pub fn write_request(
        self,
        request: &Request,
        target: &Target<'_>,
        losses: &mut Losses,
    ) -> Result<Written, Refusal> {
        match self {
            Self::OpenaiChat => openai_chat::write_request(request, target, losses),
            Self::OpenaiResponses => openai_responses::write_request(request, target, losses),
            Self::AnthropicMessages => anthropic_messages::write_request(request, target, losses),
            Self::GeminiGenerate => gemini_generate::write_request(request, target, losses),
        }
    }

    /// The usage that a whole answer tells.
    ///
    /// # Errors
    /// When the answer is no JSON object from its beginning to its end.
    pub fn usage_of(self, body: &[u8]) -> Result<Option<Usage>, BadAnswer> {
        let usage = match self {
            Self::OpenaiChat => openai_chat::Metered::look(body).map(|metered| metered.usage),
            Self::OpenaiResponses => openai_responses::Metered::look(body).map(|metered| metered.usage),
            Self::AnthropicMessages => anthropic_messages::Metered::look(body).map(|metered| metered.usage),
            Self::GeminiGenerate => gemini_generate::Metered::look(body).map(|metered| metered.usage),
        };
        usage.ok_or_else(|| BadAnswer::Malformed("it is no JSON object".to_owned()))
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// When it is none.
    pub fn read_reply(self, body: &[u8], profile: &Profile) -> Result<Reply, BadAnswer> {
        match self {
            Self::OpenaiChat => openai_chat::read_reply(body, profile),
            Self::OpenaiResponses => openai_responses::read_reply(body, profile),
            Self::AnthropicMessages => anthropic_messages::read_reply(body, profile),
            Self::GeminiGenerate => gemini_generate::read_reply(body, profile),
        }
    }

    /// Writes a whole answer for a client.
    pub fn write_reply(self, reply: &Reply, heading: &Heading<'_>) -> Vec<u8> {
        match self {
            Self::OpenaiChat => openai_chat::write_reply(reply, heading),
            Self::OpenaiResponses => openai_responses::write_reply(reply, heading),
            Self::AnthropicMessages => anthropic_messages::write_reply(reply, heading),
            Self::GeminiGenerate => gemini_generate::write_reply(reply, heading),
        }
    }

    /// Reads a provider's error.
    pub fn read_fault(self, status: u16, body: &[u8]) -> Fault {
        match self {
            Self::OpenaiChat => openai_chat::read_fault(status, body),
            Self::OpenaiResponses => openai_responses::read_fault(status, body),
            Self::AnthropicMessages => anthropic_messages::read_fault(status, body),
            Self::GeminiGenerate => gemini_generate::read_fault(status, body),
        }
    }

    /// Writes a provider's error for a client: its status, and its body.
    pub fn write_fault(self, fault: &Fault) -> (u16, Vec<u8>) {
        match self {
            Self::OpenaiChat => openai_chat::write_fault(fault),
            Self::OpenaiResponses => openai_responses::write_fault(fault),
            Self::AnthropicMessages => anthropic_messages::write_fault(fault),
            Self::GeminiGenerate => gemini_generate::write_fault(fault),
        }
    }

    /// Writes a refusal of ours, as a body.
    pub fn write_refusal(self, refusal: &Refusal) -> Vec<u8> {
        match self {
            Self::OpenaiChat => openai_chat::write_refusal(refusal),
            Self::OpenaiResponses => openai_responses::write_refusal(refusal),
            Self::AnthropicMessages => anthropic_messages::write_refusal(refusal),
            Self::GeminiGenerate => gemini_generate::write_refusal(refusal),
        }
    }

    /// Writes a refusal of ours as the last event of a stream; `number` is the event's, in the dialect that numbers them.
    pub fn write_refusal_event(self, refusal: &Refusal, number: u64) -> Vec<u8> {
        match self {
            Self::OpenaiChat => openai_chat::write_refusal_event(refusal),
            Self::OpenaiResponses => openai_responses::write_refusal_event(refusal, number),
            Self::AnthropicMessages => anthropic_messages::write_refusal_event(refusal),
            Self::GeminiGenerate => gemini_generate::write_refusal_event(refusal),
        }
    }

    /// Writes a provider's error as the only event of a stream.
    pub fn write_fault_event(self, fault: &Fault) -> Vec<u8> {
        match self {
            Self::OpenaiChat => openai_chat::write_fault_event(fault),
            Self::OpenaiResponses => openai_responses::write_fault_event(fault),
            Self::AnthropicMessages => anthropic_messages::write_fault_event(fault),
            Self::GeminiGenerate => gemini_generate::write_fault_event(fault),
        }
    }

    /// A sign of life between two events of a stream, over which every client passes.
    pub fn keep_alive(self) -> &'static [u8] {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => b": keep-alive\n\n",
            Self::AnthropicMessages => b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
            // Google's own clients stumble over comments, and pass over an empty line.
            Self::GeminiGenerate => b"\r\n",
        }
    }

    /// Reads a provider's list of models that answer; `None` when it is none.
    pub fn read_model_list(self, body: &[u8], owned_by: &str) -> Option<Vec<ModelEntry>> {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => openai_chat::read_model_list(body, owned_by),
            Self::AnthropicMessages => anthropic_messages::read_model_list(body, owned_by),
            Self::GeminiGenerate => {
                let models = gemini_generate::read_model_list(body)?.models.into_iter();
                let answers = |model: &gemini_generate::ModelEntry| {
                    let is_ours = |method: &String| method == "generateContent" || method == "embedContent";
                    model.methods.iter().any(is_ours)
                };
                let entry = |model: gemini_generate::ModelEntry| ModelEntry {
                    id: model.id,
                    created_at_s: 0,
                    owned_by: owned_by.to_owned(),
                };
                Some(models.filter(answers).map(entry).collect())
            }
        }
    }

    /// Writes a list of models for a client.
    pub fn write_model_list(self, models: &[ModelEntry]) -> Vec<u8> {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => openai_chat::write_model_list(models),
            Self::AnthropicMessages => anthropic_messages::write_model_list(models),
            Self::GeminiGenerate => {
                let models: Vec<_> = models.iter().map(as_geminis).collect();
                gemini_generate::write_model_list(&models)
            }
        }
    }

    /// Writes one entry of such a list, alone.
    pub fn write_model(self, model: &ModelEntry) -> Vec<u8> {
        match self {
            Self::OpenaiChat | Self::OpenaiResponses => openai_chat::write_model(model),
            Self::AnthropicMessages => anthropic_messages::write_model(model),
            Self::GeminiGenerate => gemini_generate::write_model(&as_geminis(model)),
        }
    }

    /// How an id of ours for an answer begins.
    pub fn id_prefix(self) -> &'static str {
        match self {
            Self::OpenaiChat => "chatcmpl-",
            Self::OpenaiResponses => "resp_",
            Self::AnthropicMessages => "msg_",
            Self::GeminiGenerate => "",
        }
    }
}

/// No list of OpenAI's or Anthropic's says what a model can do, but all vendors name those that make vectors so.
fn as_geminis(model: &ModelEntry) -> gemini_generate::ModelEntry {
    gemini_generate::ModelEntry {
        id: model.id.clone(),
        input_tokens_max: None,
        output_tokens_max: None,
        methods: if model.id.contains("embed") {
            vec!["embedContent".to_owned()]
        } else {
            ["generateContent", "countTokens"].map(str::to_owned).to_vec()
        },
    }
}

/// The meter of a passing stream, of whichever dialect.
#[derive(Clone)]
pub enum Meter {
    OpenaiChat(ChunkMeter),
    OpenaiResponses(openai_responses::EventMeter),
    AnthropicMessages(anthropic_messages::EventMeter),
    GeminiGenerate(gemini_generate::ChunkMeter),
}

impl Meter {
    /// For the answer to this request. A chunk that holds nothing but usage is left out for a client that did not ask.
    pub fn new(dialect: Dialect, envelope: &Envelope) -> Self {
        match dialect {
            Dialect::OpenaiChat => {
                Self::OpenaiChat(ChunkMeter::new(!envelope.include_usage, envelope.choices))
            }
            Dialect::OpenaiResponses => Self::OpenaiResponses(openai_responses::EventMeter::default()),
            Dialect::AnthropicMessages => Self::AnthropicMessages(anthropic_messages::EventMeter::default()),
            Dialect::GeminiGenerate => Self::GeminiGenerate(gemini_generate::ChunkMeter::default()),
        }
    }

    fn dialect(&self) -> Dialect {
        match self {
            Self::OpenaiChat(_) => Dialect::OpenaiChat,
            Self::OpenaiResponses(_) => Dialect::OpenaiResponses,
            Self::AnthropicMessages(_) => Dialect::AnthropicMessages,
            Self::GeminiGenerate(_) => Dialect::GeminiGenerate,
        }
    }

    fn meter(&self) -> &dyn StreamMeter {
        match self {
            Self::OpenaiChat(meter) => meter,
            Self::OpenaiResponses(meter) => meter,
            Self::AnthropicMessages(meter) => meter,
            Self::GeminiGenerate(meter) => meter,
        }
    }
}

impl StreamMeter for Meter {
    fn read(&mut self, event: &[u8]) -> bool {
        match self {
            Self::OpenaiChat(meter) => meter.read(event),
            Self::OpenaiResponses(meter) => meter.read(event),
            Self::AnthropicMessages(meter) => meter.read(event),
            Self::GeminiGenerate(meter) => meter.read(event),
        }
    }

    fn end(&self) -> StreamEnd {
        self.meter().end()
    }

    fn is_done(&self) -> bool {
        self.meter().is_done()
    }

    fn usage(&self) -> Option<Usage> {
        self.meter().usage()
    }

    fn has_told_all(&self) -> bool {
        self.meter().has_told_all()
    }

    fn says(&self, event: &[u8]) -> bool {
        self.meter().says(event)
    }

    fn next_number(&self) -> u64 {
        self.meter().next_number()
    }

    fn failed(&self, refusal: &Refusal, number: u64) -> Vec<u8> {
        self.meter().failed(refusal, number)
    }

    fn said_under(&self) -> &'static Needle {
        self.meter().said_under()
    }
}

impl StreamRelay<Meter> {
    /// What the client is told when a stream that has begun breaks.
    pub fn refuse(&self, refusal: &Refusal) -> Vec<u8> {
        let (meter, number) = (self.meter(), self.meter().next_number());
        let mut told = meter.dialect().write_refusal_event(refusal, number);
        told.extend(meter.failed(refusal, number.saturating_add(1)));
        told
    }
}

/// The reader of a provider's stream, of whichever dialect.
pub(crate) enum Reader {
    OpenaiChat(openai_chat::StreamReader),
    OpenaiResponses(openai_responses::StreamReader),
    AnthropicMessages(anthropic_messages::StreamReader),
    GeminiGenerate(gemini_generate::StreamReader),
}

impl Reader {
    pub(crate) fn new(dialect: Dialect, profile: &Profile) -> Self {
        match dialect {
            Dialect::OpenaiChat => Self::OpenaiChat(openai_chat::StreamReader::new(profile)),
            Dialect::OpenaiResponses => Self::OpenaiResponses(openai_responses::StreamReader::new(profile)),
            Dialect::AnthropicMessages => {
                Self::AnthropicMessages(anthropic_messages::StreamReader::new(profile))
            }
            Dialect::GeminiGenerate => Self::GeminiGenerate(gemini_generate::StreamReader::new(profile)),
        }
    }

    pub(crate) fn read(&mut self, event: &[u8], out: &mut Vec<Event>) {
        match self {
            Self::OpenaiChat(reader) => reader.read(event, out),
            Self::OpenaiResponses(reader) => reader.read(event, out),
            Self::AnthropicMessages(reader) => reader.read(event, out),
            Self::GeminiGenerate(reader) => reader.read(event, out),
        }
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<Event>) {
        match self {
            Self::OpenaiChat(reader) => reader.finish(out),
            Self::OpenaiResponses(reader) => reader.finish(out),
            Self::AnthropicMessages(reader) => reader.finish(out),
            Self::GeminiGenerate(reader) => reader.finish(out),
        }
    }
}

/// The writer of a client's stream, of whichever dialect.
pub(crate) enum Writer {
    OpenaiChat(openai_chat::StreamWriter),
    OpenaiResponses(openai_responses::StreamWriter),
    AnthropicMessages(anthropic_messages::StreamWriter),
    GeminiGenerate(gemini_generate::StreamWriter),
}

impl Writer {
    pub(crate) fn new(
        dialect: Dialect,
        heading: OwnedHeading,
        envelope: &Envelope,
        in_path: InPath<'_>,
        input_tokens: Option<u64>,
    ) -> Self {
        match dialect {
            Dialect::OpenaiChat => {
                Self::OpenaiChat(openai_chat::StreamWriter::new(heading, envelope.include_usage))
            }
            Dialect::OpenaiResponses => Self::OpenaiResponses(openai_responses::StreamWriter::new(heading)),
            Dialect::AnthropicMessages => {
                Self::AnthropicMessages(anthropic_messages::StreamWriter::new(heading, input_tokens))
            }
            Dialect::GeminiGenerate => {
                let framing = if in_path.is_array {
                    Framing::Array
                } else {
                    Framing::Events
                };
                Self::GeminiGenerate(gemini_generate::StreamWriter::new(heading, framing))
            }
        }
    }

    /// Ends a stream that has begun with a refusal of ours, in the dialect whose errors have a status inside a stream too;
    /// whether this is that one.
    pub(crate) fn refuse(&mut self, refusal: &Refusal, out: &mut Vec<u8>) -> bool {
        match self {
            Self::GeminiGenerate(writer) => writer.refuse(refusal, out),
            Self::OpenaiChat(_) | Self::OpenaiResponses(_) | Self::AnthropicMessages(_) => return false,
        }
        true
    }

    pub(crate) fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match self {
            Self::OpenaiChat(writer) => writer.write(event, out),
            Self::OpenaiResponses(writer) => writer.write(event, out),
            Self::AnthropicMessages(writer) => writer.write(event, out),
            Self::GeminiGenerate(writer) => writer.write(event, out),
        }
    }
}
