//! Reading a stream of Gemini's: chunks, into neutral events.
//!
//! A chunk is an answer with the next pieces in it. Google has no last event, so the end is told when the body has ended.

use super::super::answer::{Answer, Candidate, seconds};
use super::super::fault::fault_of;
use super::super::look::CHOICES_MAX;
use super::super::wire::Str;
use super::candidate::{CandidateReader, Unreadable};
use crate::Dialect;
use crate::neutral::{Event, Fault, FaultKind, Profile, Raw, Start};
use crate::sse;

/// Reads one stream.
#[derive(Debug, Clone, Default)]
pub struct StreamReader {
    has_started: bool,
    has_ended: bool,
    id: String,
    first: CandidateReader,
    /// Candidates beside the first, by their numbers.
    others: Vec<(u32, CandidateReader)>,
}

impl StreamReader {
    pub fn new(_profile: &Profile) -> Self {
        Self::default()
    }

    /// Reads one server-sent event.
    pub fn read(&mut self, event: &[u8], out: &mut Vec<Event>) {
        let data = sse::data(event);
        if data.is_empty() {
            if event.starts_with(b":") && !self.has_ended {
                out.push(Event::KeepAlive);
            }
        } else {
            self.read_chunk(&data, out);
        }
    }

    /// Reads one chunk: the data of an event, or an item of an array.
    pub fn read_chunk(&mut self, json: &[u8], out: &mut Vec<Event>) {
        if self.has_ended || json == b"[DONE]" {
            return;
        }
        match serde_json::from_slice::<Answer<'_>>(json) {
            Ok(answer) => self.read_answer(answer, out),
            Err(_) => self.fail("a chunk of the stream could not be read", out),
        }
    }

    /// The body has ended.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        // Without a reason of each candidate the stream has broken off.
        let is_whole = self.first.has_finished() && self.others.iter().all(|(_, other)| other.has_finished());
        self.first.end(out);
        for (number, other) in &mut self.others {
            let mut events = Vec::new();
            other.end(&mut events);
            out.extend(events.into_iter().map(|event| event.of(*number)));
        }
        out.extend(is_whole.then_some(Event::End));
        self.has_ended = true;
    }

    fn read_answer(&mut self, mut answer: Answer<'_>, out: &mut Vec<Event>) {
        if let Some(error) = answer.error {
            self.has_ended = true;
            out.push(Event::Fault(fault_of(200, error.get())));
            return;
        }
        self.start(&answer, out);
        let blocked = answer.blocked();
        for candidate in answer.candidates.take().unwrap_or_default() {
            self.read_candidate(candidate, out);
            if self.has_ended {
                return;
            }
        }
        if let Some(feedback) = answer.feedback {
            let raw = Raw::new(Dialect::GeminiGenerate, "promptFeedback", feedback.to_owned());
            out.push(Event::Raw(raw));
            if let Some(blocked) = blocked {
                self.first.block(blocked);
            }
        }
        if let Some(usage) = answer.usage.as_ref().and_then(|counts| counts.usage()) {
            out.push(Event::Usage(usage));
        }
    }

    fn start(&mut self, answer: &Answer<'_>, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let id = answer.id.as_ref().map_or("", Str::as_str);
        self.id = id.to_owned();
        self.first = CandidateReader::new(id, 0);
        out.push(Event::Start(Start {
            id: id.to_owned(),
            model: answer.model.clone().map(Str::into_owned).unwrap_or_default(),
            created_s: answer.created.as_ref().and_then(|time| seconds(time.as_str())),
            usage: None,
            service_tier: answer.tier(),
        }));
    }

    fn read_candidate(&mut self, candidate: Candidate<'_>, out: &mut Vec<Event>) {
        let number = candidate.index.unwrap_or(0);
        let read = match u32::try_from(number) {
            Ok(0) => self.first.read(candidate, out),
            // Nobody can ask for more.
            Ok(other) if number < CHOICES_MAX => self.read_other(other, candidate, out),
            _ => Ok(()),
        };
        if read.is_err() {
            self.fail(
                "the arguments of a call came in an order that cannot be followed",
                out,
            );
        }
    }

    fn read_other(
        &mut self,
        number: u32,
        candidate: Candidate<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), Unreadable> {
        let known = self.others.iter().position(|(known, _)| *known == number);
        let at = known.unwrap_or_else(|| {
            self.others.push((number, CandidateReader::new(&self.id, number)));
            self.others.len() - 1
        });
        let mut events = Vec::new();
        let read = match self.others.get_mut(at) {
            Some((_, other)) => other.read(candidate, &mut events),
            None => Ok(()),
        };
        out.extend(events.into_iter().map(|event| event.of(number)));
        read
    }

    fn fail(&mut self, message: &str, out: &mut Vec<Event>) {
        self.has_ended = true;
        out.push(Event::Fault(Fault {
            kind: FaultKind::Internal,
            message: message.to_owned(),
            param: None,
            code: None,
            retry_after_ms: None,
        }));
    }
}
