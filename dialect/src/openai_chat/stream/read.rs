//! Reading a provider's stream: its chunks, each of which has a piece of one choice or of several.

use serde_json::value::RawValue;

use super::super::fault::read_error;
use super::super::meter::Metered;
use super::super::reply::{read_pages, seconds};
use super::super::words::read_tier;
use super::choice::ChoiceReader;
use super::chunk::{Choice, Chunk, told};
use crate::neutral::{Event, Fault, FaultKind, Profile, Start};
use crate::{Usage, sse};

/// A stream on its way in.
#[derive(Debug, Default)]
pub struct StreamReader {
    state: State,
    /// Of the answer's first chunk.
    id: String,
    think_tags: bool,
    first: ChoiceReader,
    /// Choices beside the first, by their numbers.
    others: Vec<(u32, ChoiceReader)>,
    usage: Option<Usage>,
}

/// OpenAI's bound of `n`, beyond which a choice is none that anybody asked for.
const CHOICES_MAX: u32 = 128;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Before,
    Running,
    /// Nothing that comes now concerns anybody.
    Over,
}

impl StreamReader {
    pub fn new(profile: &Profile) -> Self {
        Self {
            think_tags: profile.think_tags,
            first: ChoiceReader::new(profile.think_tags),
            ..Self::default()
        }
    }

    /// Reads one whole event.
    pub fn read(&mut self, event: &[u8], out: &mut Vec<Event>) {
        if self.state == State::Over {
            return;
        }
        let data = sse::data(event);
        let data = data.trim_ascii();
        if data.is_empty() {
            out.push(Event::KeepAlive);
        } else if data == b"[DONE]" {
            self.end(out);
        } else {
            // Looked at as a whole here, and not again piece by piece.
            let text = std::str::from_utf8(data).unwrap_or_default();
            match serde_json::from_str::<Chunk<'_>>(text) {
                Ok(chunk) => self.chunk(chunk, data, out),
                Err(_) => self.fail(unreadable(), out),
            }
        }
    }

    /// The body has ended. Reasons to finish, of each choice one, are as good a sign as `[DONE]`, which some never send.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        let mut choices = std::iter::once(&self.first).chain(self.others.iter().map(|(_, other)| other));
        if self.state == State::Running && choices.all(ChoiceReader::has_finished) {
            self.end(out);
        }
        self.state = State::Over;
    }

    fn chunk(&mut self, chunk: Chunk<'_>, data: &[u8], out: &mut Vec<Event>) {
        let errors = chunk.choices.iter().flatten().filter_map(|choice| choice.error);
        if let Some(error) = chunk.error.or_else(|| errors.into_iter().next()) {
            self.read_usage(&chunk, data, out);
            self.fail(read_error(200, error), out);
            return;
        }
        // Azure begins with a chunk that has an empty id and no choices.
        let has_choices = chunk.choices.as_ref().is_some_and(|choices| !choices.is_empty());
        if self.state == State::Before && has_choices {
            self.state = State::Running;
            let start = start(&chunk);
            self.first.identify(&start.id, 0);
            self.id.clone_from(&start.id);
            out.push(Event::Start(start));
        }
        if let Some(pages) = chunk.citations {
            self.first.cite(read_pages(pages));
        }
        self.read_usage(&chunk, data, out);
        for choice in chunk.choices.into_iter().flatten() {
            self.choice(choice, out);
        }
    }

    fn read_usage(&mut self, chunk: &Chunk<'_>, data: &[u8], out: &mut Vec<Event>) {
        if chunk.usage.is_none() && chunk.x_groq.is_none() {
            return;
        }
        let usage = Metered::look(data).and_then(|metered| metered.usage);
        if let Some(usage) = usage.filter(|usage| self.usage != Some(*usage)) {
            self.usage = Some(usage);
            out.push(Event::Usage(usage));
        }
    }

    fn choice(&mut self, choice: Choice<'_>, out: &mut Vec<Event>) {
        let number = choice.index.unwrap_or(0);
        if number == 0 {
            self.first.read(choice, out);
            return;
        }
        let Some(number) = u32::try_from(number).ok().filter(|number| *number < CHOICES_MAX) else {
            return;
        };
        let known = self.others.iter().position(|(known, _)| *known == number);
        let at = known.unwrap_or_else(|| {
            let mut other = ChoiceReader::new(self.think_tags);
            other.identify(&self.id, number);
            self.others.push((number, other));
            self.others.len() - 1
        });
        if let Some((_, other)) = self.others.get_mut(at) {
            let mut events = Vec::new();
            other.read(choice, &mut events);
            out.extend(events.into_iter().map(|event| event.of(number)));
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        if self.state == State::Before {
            out.push(Event::Start(Start::default()));
        }
        self.first.end(out);
        for (number, mut other) in std::mem::take(&mut self.others) {
            let mut events = Vec::new();
            other.end(&mut events);
            out.extend(events.into_iter().map(|event| event.of(number)));
        }
        out.push(Event::End);
        self.state = State::Over;
    }

    fn fail(&mut self, fault: Fault, out: &mut Vec<Event>) {
        out.push(Event::Fault(fault));
        self.state = State::Over;
    }
}

fn start(chunk: &Chunk<'_>) -> Start {
    let owned = |json: Option<&RawValue>| told(json).unwrap_or_default().into_owned();
    Start {
        id: owned(chunk.id),
        model: owned(chunk.model),
        created_s: chunk.created.and_then(seconds),
        usage: None,
        service_tier: told(chunk.service_tier).and_then(|word| read_tier(&word)),
    }
}

fn unreadable() -> Fault {
    Fault {
        kind: FaultKind::Internal,
        message: "an event of the provider's stream is no chunk of an answer".to_owned(),
        param: None,
        code: None,
        retry_after_ms: None,
    }
}
